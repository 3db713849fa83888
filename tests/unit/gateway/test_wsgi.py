from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from chalice.app import Chalice

from local.gateway.chalice_api import ChaliceApi
from local.gateway.static import StaticFiles
from local.gateway.wsgi import MAX_BODY_BYTES, Gateway
from tests.unit.gateway.support import api, bearer, environ, verifier
from traksense.contracts.metrics import REQUEST_DURATION, REQUESTS, Metric
from traksense.observability import NoMetrics, metrics


class Recorder(NoMetrics):
    def __init__(self) -> None:
        self.counted: list[tuple[Metric, str | None]] = []
        self.observed: list[tuple[Metric, str | None]] = []

    def count(self, metric: Metric, n: float, label: str | None = None) -> None:
        self.counted.append((metric, label))

    def observe(self, metric: Metric, value: float, label: str | None = None) -> None:
        self.observed.append((metric, label))


class Page:
    def render(self) -> bytes:
        return b"up 1\n"


class Front:
    """The gateway with a caller's eyes."""

    def __init__(self, folder: Path, chalice_api: ChaliceApi | None = None) -> None:
        (folder / "index.html").write_text("<!doctype html>")
        self.gateway = Gateway(chalice_api or api(), StaticFiles({"/": folder}), Page())

    def ask(self, request: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        started: list[Any] = []
        body = b"".join(self.gateway(request, lambda *args: started.append(args)))
        return int(started[0][0].split()[0]), dict(started[0][1]), body


@pytest.fixture
def front(tmp_path: Path) -> Front:
    return Front(tmp_path)


@pytest.fixture
def recorder() -> Any:
    made = Recorder()
    metrics.use(made)
    yield made
    metrics.use(NoMetrics())


@pytest.mark.parametrize(
    ("path", "status"),
    [("/health", 200), ("/", 200), ("/metrics", 200), ("/api/me", 401), ("/d/token", 404)],
)
def test_each_path_reaches_its_part(front: Front, path: str, status: int) -> None:
    assert front.ask(environ(path))[0] == status


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "127.0.0.1:8000@evil", ""],
)
def test_a_foreign_host_name_is_refused(front: Front, host: str) -> None:
    assert front.ask(environ("/health", host=host))[0] == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "127.0.0.1"])
def test_the_machines_own_names_are_served(front: Front, host: str) -> None:
    assert front.ask(environ("/health", host=host))[0] == 200


def test_every_answer_carries_security_headers_and_its_request_id(front: Front) -> None:
    for path in ("/", "/health", "/api/none", "/metrics"):
        _, headers, _ = front.ask(environ(path))
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert len(headers["X-Request-Id"]) == 32
        assert not any(name.lower().startswith("access-control-") for name in headers)


def test_a_body_that_is_too_large_is_refused_unread(front: Front) -> None:
    request = environ("/api/event", "POST", b"x", content_length=str(MAX_BODY_BYTES + 1))
    status, headers, body = front.ask(request)
    assert status == json.loads(body)["status"] == 413
    assert headers["Content-Type"] == "application/problem+json"
    assert request["wsgi.input"].read() == b"x"


def test_too_many_headers_are_refused(front: Front) -> None:
    many: dict[str, Any] = {f"x_{number}": "1" for number in range(101)}
    assert front.ask(environ("/health", **many))[0] == 431


def test_a_head_request_has_no_body(front: Front) -> None:
    status, headers, body = front.ask(environ("/", "HEAD"))
    assert (status, body) == (200, b"")
    assert headers["Content-Length"] == "15"


def test_metrics_count_the_route_and_never_the_path(front: Front, recorder: Recorder) -> None:
    front.ask(environ("/api/items/7"))
    front.ask(environ("/api/items/8"))
    front.ask(environ("/api/%0a/secret-in-a-path"))
    front.ask(environ("/anything.js"))
    assert recorder.observed == [
        (REQUEST_DURATION, "/api/items/{item}"),
        (REQUEST_DURATION, "/api/items/{item}"),
        (REQUEST_DURATION, "unmatched"),
        (REQUEST_DURATION, "static"),
    ]
    assert [label for metric, label in recorder.counted if metric is REQUESTS] == [
        "200", "200", "404", "404",
    ]  # fmt: skip


def test_a_fault_tells_the_caller_nothing_and_the_log_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Chalice):  # type: ignore[misc]
        def __call__(self, event: Any, context: Any) -> dict[str, Any]:
            raise ValueError("select * from secrets")

    made = Broken("broken", configure_logs=False)
    made.route("/api/broken")(lambda: {})
    front = Front(tmp_path, ChaliceApi(made, verifier(), 29))
    with caplog.at_level(logging.ERROR):
        status, headers, body = front.ask(environ("/api/broken", authorization=bearer()))
    assert status == 500
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["instance"] == "/api/broken"
    assert len(headers["X-Request-Id"]) == 32
    assert b"secrets" not in body
    assert b"Traceback" not in body
    assert "select * from secrets" in caplog.text


def test_files_and_metrics_can_only_be_read(front: Front) -> None:
    for path in ("/", "/metrics"):
        status, headers, _ = front.ask(environ(path, "POST"))
        assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_refusals_speak_the_callers_language(front: Front) -> None:
    for language, title in (
        ("en", "Not found"),
        ("pt-BR", "Não encontrado"),
        ("", "Não encontrado"),
    ):
        _, _, body = front.ask(environ("/missing.js", accept_language=language))
        assert json.loads(body)["title"] == title
