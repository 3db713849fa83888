from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chalice.app import Chalice, IAMAuthorizer

from local.gateway.tokens import KeysAway
from tests.unit.gateway.support import Jwks, api, app, bearer, call, environ


def test_the_event_has_the_shape_that_api_gateway_gives() -> None:
    status, event, _ = call(
        "/api/event?a=1&a=2&b=&c=%C3%A7+x", "POST", b'{"k": 1}', content_type="application/json"
    )
    assert status == 200
    assert event["resource"] == event["requestContext"]["resourcePath"] == "/api/event"
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""], "c": ["ç x"]}
    assert event["queryStringParameters"] == {"a": "2", "b": "", "c": "ç x"}
    assert event["pathParameters"] is None
    assert event["body"] == '{"k": 1}'
    assert event["isBase64Encoded"] is False
    assert event["headers"]["Content-Type"] == "application/json"
    assert event["requestContext"]["requestId"] == "request-1"
    assert "authorizer" not in event["requestContext"]


def test_no_query_is_null_as_in_api_gateway() -> None:
    _, event, _ = call("/api/event")
    assert event["multiValueQueryStringParameters"] is None
    assert event["queryStringParameters"] is None
    assert event["body"] is None


def test_a_binary_body_comes_in_base64() -> None:
    body = b"\x00\xff\x01"
    _, event, _ = call("/api/event", "POST", body, content_type="application/octet-stream")
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == body


def test_the_callers_address_is_the_peers_whatever_it_says() -> None:
    _, event, _ = call("/api/event", x_forwarded_for="203.0.113.9", forwarded="for=203.0.113.9")
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("path", "item"),
    [
        ("/api/items/7", "7"),
        ("/api/items/new", "the literal one"),
        ("/api/items/7/", "7"),
        ("/api/items/%C3%A7%20x", "ç x"),
        ("/api/items/a%2Fb", "a/b"),
        ("/api/items/..", ".."),
    ],
)
def test_a_path_finds_its_route(path: str, item: str) -> None:
    assert call(path)[:2] == (200, {"item": item})


@pytest.mark.parametrize("path", ["/api/nothing", "/api/items", "/api/items/", "/api/items/a/b"])
def test_an_unknown_path_is_404_as_a_problem_document(path: str) -> None:
    status, body, headers = call(path)
    assert status == body["status"] == 404
    assert headers["Content-Type"] == "application/problem+json"


def test_an_unknown_method_is_405_with_those_that_are_allowed() -> None:
    status, body, headers = call("/api/event", "DELETE")
    assert status == body["status"] == 405
    assert headers["Allow"] == "GET, POST"


def test_a_protected_route_needs_a_token() -> None:
    status, body, headers = call("/api/me")
    assert status == body["status"] == 401
    assert headers["WWW-Authenticate"] == "Bearer"
    assert headers["Content-Type"] == "application/problem+json"


def test_a_protected_route_sees_the_claims() -> None:
    status, body, _ = call("/api/me", authorization=bearer())
    assert status == 200
    assert body["custom:tenant_id"] == "7b0c7a52-0a52-4a6e-9d0e-111111111111"


def test_claims_in_a_request_do_not_become_an_authorizer() -> None:
    _, event, _ = call("/api/event", authorization=bearer())
    assert "authorizer" not in event["requestContext"]


def test_keys_that_cannot_be_fetched_make_503() -> None:
    gateway = api(jwks=Jwks(failure=KeysAway("down")))
    _, answer = gateway.answer(environ("/api/me", authorization=bearer()), b"", "r")
    assert answer.status == 503
    assert dict(answer.headers)["Retry-After"] == "2"


def test_an_authorizer_that_nobody_enforces_here_lets_nobody_in() -> None:
    made: Any = Chalice("x", configure_logs=False)

    @made.route("/api/secret", authorizer=IAMAuthorizer())  # type: ignore[untyped-decorator]
    def secret() -> dict[str, str]:
        return {"secret": "told"}

    gateway = api(made)
    with pytest.raises(TypeError, match="IAMAuthorizer"):
        gateway.answer(environ("/api/secret", authorization=bearer()), b"", "r")


def test_a_binary_answer_arrives_as_bytes() -> None:
    _, answer = api().answer(environ("/api/image", accept="image/png"), b"", "r")
    assert answer.body == b"\x89PNG\0\xff"
    assert dict(answer.headers)["Content-Length"] == "6"


def test_repeated_headers_are_repeated_and_the_servers_own_are_dropped() -> None:
    _, answer = api().answer(environ("/api/cookies"), b"", "r")
    assert [v for k, v in answer.headers if k == "Set-Cookie"] == ["a=1", "b=2"]
    assert "Transfer-Encoding" not in dict(answer.headers)


def test_no_content_has_no_body_and_no_length() -> None:
    _, answer = api().answer(environ("/api/empty"), b"", "r")
    assert (answer.status, answer.body) == (204, b"")
    assert "Content-Length" not in dict(answer.headers)


def test_too_many_query_parameters_are_400() -> None:
    status, _, _ = call("/api/event?" + "&".join(f"p{i}=1" for i in range(300)))
    assert status == 400


def test_no_request_sees_another_ones_data() -> None:
    chalice_app = app()
    gateway = api(chalice_app)

    def ask(n: int) -> tuple[int, dict[str, Any], str]:
        request_id = f"request-{n}"
        _, answer = gateway.answer(environ(f"/api/echo?n={n}"), b"", request_id)
        return n, json.loads(answer.body), request_id

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8 * 400)))
    wrong = [
        (n, body)
        for n, body, request_id in answers
        if (body["before"], body["after"]) != (str(n), str(n))
        or (body["request_id"], body["context_id"]) != (request_id, request_id)
    ]
    assert wrong == []
    assert len(answers) == 3200


def test_a_request_leaves_nothing_behind_in_its_thread() -> None:
    chalice_app = app()
    api(chalice_app).answer(environ("/api/echo?n=1"), b"", "r")
    assert chalice_app.current_request is None
    assert chalice_app.lambda_context is None
