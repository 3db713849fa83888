"""The gateway as a client meets it: a real process before the real API and the real user pool."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.aws.users import ensure_user
from local.child import StopRequest
from local.gateway.http_server import Server
from local.gateway.static import StaticFiles
from local.gateway.tokens import KeysAway, KeySet, TokenVerifier, jwks_fetcher
from local.gateway.wsgi import MAX_BODY_BYTES, Gateway
from tests.contract.emulator import PASSWORD, TENANT, Emulator, free_port, start_child, stop_child
from tests.unit.gateway.support import api, bearer
from traksense.aws.cognito import Tokens
from traksense.contracts.buckets import EXPORTS

# Nobody listens there: whatever gets as far as the database is answered with 503.
NO_DATABASE = "postgresql://nobody@127.0.0.1:9/none"


@dataclass
class Client:
    port: int

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            lower = {name.lower(): value for name, value in response.getheaders()}
            return response.status, lower, response.read()
        finally:
            connection.close()

    def log_in(self, email: str, password: str) -> tuple[int, Any]:
        body = json.dumps({"email": email, "password": password}).encode()
        status, _, answer = self.ask(
            "/api/auth/login", "POST", body, Content_Type="application/json"
        )
        return status, json.loads(answer)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    made = Emulator.start(tmp_path_factory.mktemp("home"))
    ensure_user(
        made.admin(), made.ids.user_pool_id, "ana@acme.example", PASSWORD, "viewer", TENANT, "Ana"
    )
    yield made
    made.stop()


@pytest.fixture(scope="module")
def gateway(emulator: Emulator) -> Iterator[Client]:
    port = free_port()
    metrics = emulator.home / "metrics"
    metrics.mkdir()
    environment = emulator.environment | {
        "TRAKSENSE_HTTP_PORT": str(port),
        "TRAKSENSE_METRICS": "none",
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "DATABASE_URL": NO_DATABASE,
        # A proxy that is not there: whoever asks it gets no answer.
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "COGNITO_USER_POOL_ID": emulator.ids.user_pool_id,
        "COGNITO_CLIENT_ID": emulator.ids.client_id,
        "TRAKSENSE_EXPORTS_BUCKET": EXPORTS.name,
        "TRAKSENSE_EXPORT_STATE_MACHINE": "arn:aws:states:us-east-1:123456789012:stateMachine:e",
    }
    process = start_child("local.gateway", environment)
    yield Client(port)
    assert stop_child(process) == 0


@pytest.fixture(scope="module")
def tokens(emulator: Emulator) -> Tokens:
    given = emulator.cognito().login("ana@acme.example", PASSWORD)
    assert isinstance(given, Tokens)
    return given


def test_the_api_the_page_and_the_metrics_share_one_port(gateway: Client) -> None:
    status, _, body = gateway.ask("/health")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    status, headers, body = gateway.ask("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<html" in body
    assert gateway.ask("/", If_None_Match=headers["etag"])[0] == 304
    status, headers, body = gateway.ask("/metrics")
    assert status == 200
    assert b'traksense_http_requests_total{status="200"}' in body
    assert b'route="/health"' in body


def test_a_login_through_the_api_gives_a_token_that_the_gateway_takes(gateway: Client) -> None:
    status, given = gateway.log_in("ana@acme.example", PASSWORD)
    assert status == 200
    status, _, _ = gateway.ask("/api/devices", Authorization=f"Bearer {given['id_token']}")
    assert status == 503  # past the authorizer, as far as the database that is away


def test_an_unknown_user_and_a_wrong_password_read_the_same(gateway: Client) -> None:
    answers = [
        gateway.log_in(email, "not the password")
        for email in ("ana@acme.example", "no@acme.example")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


def test_what_is_no_id_token_is_refused_before_the_api(gateway: Client, tokens: Tokens) -> None:
    head, payload, signature = tokens.id_token.split(".")
    for token in (
        tokens.access_token,
        tokens.refresh_token,
        f"{head}.{payload}.",
        f"{head}.{payload[:-4]}AAAA.{signature}",
        bearer().removeprefix("Bearer "),
    ):
        status, headers, body = gateway.ask("/api/devices", Authorization=f"Bearer {token}")
        assert status == json.loads(body)["status"] == 401
        assert headers["www-authenticate"] == "Bearer"
        assert headers["content-type"] == "application/problem+json"
    assert gateway.ask("/api/devices")[0] == 401


def test_a_foreign_host_name_is_refused(gateway: Client) -> None:
    for path in ("/", "/health", "/metrics"):
        assert gateway.ask(path, Host="evil.example")[0] == 421


def test_a_body_that_is_too_large_is_a_problem_document(gateway: Client) -> None:
    # Announced only: the gateway answers and hangs up before the last of it has been sent.
    length = str(MAX_BODY_BYTES + 1)
    status, headers, body = gateway.ask("/api/auth/login", "POST", Content_Length=length)
    assert status == json.loads(body)["status"] == 413
    assert headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/%2e%2e/pyproject.toml", "/..%2fpackage.json", "//etc/passwd", "/.env"],
)
def test_no_path_leads_out_of_the_page(gateway: Client, path: str) -> None:
    assert gateway.ask(path)[0] == 404


def test_the_key_survives_the_pool_and_a_gateway_without_it_says_that_it_cannot_tell(
    emulator: Emulator, gateway: Client, tokens: Tokens
) -> None:
    authorization = f"Bearer {tokens.id_token}"
    assert gateway.ask("/api/devices", Authorization=authorization)[0] == 503
    fetch = jwks_fetcher(f"http://127.0.0.1:{free_port()}", emulator.ids.user_pool_id)
    verifier = TokenVerifier(
        "us-east-1", emulator.ids.user_pool_id, emulator.ids.client_id, KeySet(fetch)
    )
    with pytest.raises(KeysAway):
        verifier.verify(authorization)


class NoPage:
    def render(self) -> bytes:
        return b""


def test_no_request_over_the_wire_sees_another_ones_data(tmp_path: Path) -> None:
    server = Server(
        Gateway(api(), StaticFiles({"/": tmp_path}), NoPage()),
        0,
        threads=8,
        largest_body=MAX_BODY_BYTES,
    )
    stop = StopRequest()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()

    def ask_many(worker: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        wrong = 0
        try:
            for number in range(400):
                wanted = f"{worker}-{number}"
                connection.request("GET", f"/api/echo?n={wanted}")
                response = connection.getresponse()
                said = json.loads(response.read())
                mixed = (said["before"], said["after"]) != (wanted, wanted)
                other = {said["request_id"], said["context_id"]} != {
                    response.getheader("X-Request-Id")
                }
                wrong += mixed or other
        finally:
            connection.close()
        return wrong

    try:
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(ask_many, range(8))) == 0
    finally:
        stop.request()
        thread.join(10)
    assert not thread.is_alive()
