from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from local.child import StopRequest
from local.errors import StartupError
from local.gateway.http_server import Server


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def server() -> Iterator[Server]:
    stop = StopRequest()
    made = Server(app, 0, threads=2, largest_body=1000)
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    yield made
    stop.request()
    thread.join(10)
    assert not thread.is_alive()


def ask(server: Server, body: bytes, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("POST", "/api/x", body, headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def test_a_request_is_served(server: Server) -> None:
    status, headers, body = ask(server, b"x" * 1000)
    assert (status, body) == (200, b"x" * 1000)
    assert "Server" not in headers


def test_a_body_over_the_limit_is_413_as_a_problem_document(server: Server) -> None:
    status, headers, body = ask(server, b"x" * 1001)
    assert status == json.loads(body)["status"] == 413
    assert headers["Content-Type"] == "application/problem+json"


def test_headers_over_the_limit_are_431_as_a_problem_document(server: Server) -> None:
    status, headers, body = ask(server, b"", **{"X-Long": "x" * 40_000})
    assert status == json.loads(body)["status"] == 431
    assert headers["Content-Type"] == "application/problem+json"


def test_a_port_in_use_is_one_clear_line(server: Server) -> None:
    with pytest.raises(StartupError, match=f"port {server.port} is in use"):
        Server(app, server.port, threads=1, largest_body=1)
