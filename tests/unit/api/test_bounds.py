"""What is too long, too much or too deep is refused before anybody works on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from functions.api import bounds
from functions.api.services import services
from traksense.auth.origin import Origin

from .support import NOBODY, OPERATOR, World, call


@pytest.mark.parametrize(
    ("path", "query", "headers", "status", "kind"),
    [
        ("/api/devices", {"q": "a" * 8_200}, {}, 414, "address-too-long"),
        ("/api/devices", {"a" * 8_200: "q"}, {}, 414, "address-too-long"),
        ("/api/devices/" + "a" * 8_200, {}, {}, 414, "address-too-long"),
        ("/api/devices", {"q": ["a"] * 101}, {}, 400, "malformed"),
        ("/api/devices", {str(n): "a" for n in range(101)}, {}, 400, "malformed"),
        ("/api/data/points", {"point": "a," * 101}, {}, 422, "invalid"),
        ("/api/devices", {}, {"X-Large": "a" * 16_400}, 431, "headers-too-large"),
        ("/api/devices", {}, {f"X-{n}": "a" for n in range(101)}, 431, "headers-too-large"),
    ],
)
def test_what_is_over_a_bound_is_a_clear_problem(
    world: World, path: str, query: Any, headers: Any, status: int, kind: str
) -> None:
    answer = call("GET", path, OPERATOR, query=query, headers=headers)
    assert answer.status == status, answer.text
    assert answer.json["type"] == f"urn:traksense:problem:{kind}"


def test_a_body_has_a_size_and_a_depth(world: World) -> None:
    def login(body: str) -> int:
        return call("POST", "/api/auth/login", body=body).status

    assert login('{"email": "' + "a" * 64 * 1024 + '"}') == 413
    assert login('{"email": "' + "é" * 33 * 1024 + '"}') == 413, "bytes, not characters"
    assert login("[" * 33) == 400
    assert login("[" * 60_000 + "]" * 60_000) == 413
    assert login('{"a":' * 33 + "1" + "}" * 33) == 400
    assert login("[" * 32 + "]" * 32) == 422
    assert login('{"email": "' + "[" * 100 + '", "password": "x"}') == 401, "in a text it is text"


@pytest.mark.parametrize(
    ("raw", "is_deep"),
    [
        (b"[" * 32, False), (b"[" * 33, True), (b"[]" * 1_000, False), (b'["' + b"[" * 99, False),
        (b'["\\"' + b"[" * 99 + b'"]', False), (b'["\\\\"' + b"[" * 99, True), (b"]" * 99, False),
    ],
)  # fmt: skip
def test_depth_is_counted_outside_of_texts(raw: bytes, is_deep: bool) -> None:
    assert bounds.is_too_deep(raw) == is_deep


@pytest.fixture
def behind_cloudfront(world: World) -> Iterator[World]:
    before = services.get()
    services.use(replace(before, origin=Origin(("the old secret 1", "the new secret 2"))))
    yield world
    services.use(before)


@pytest.mark.parametrize(
    ("given", "status"),
    [("the old secret 1", 200), ("the new secret 2", 200), ("a guess", 403), (None, 403)],
)
def test_only_what_comes_through_the_front_is_answered(
    behind_cloudfront: World, given: str | None, status: int
) -> None:
    world = behind_cloudfront
    headers = {} if given is None else {"X-Origin-Secret": given}
    headers["X-Viewer-Address"] = "203.0.113.9"
    with world.connect() as connection:
        connection.execute("TRUNCATE public.audit_log")
    assert call("GET", "/api/devices", world.acme.viewer, headers=headers).status == status
    login = call("POST", "/api/auth/login", NOBODY, body={}, headers=headers)
    assert login.status == (422 if status == 200 else 403)
    assert call("GET", "/health", NOBODY).status == 200
    with world.connect() as connection:
        rows = connection.execute("SELECT DISTINCT host(ip) FROM public.audit_log").fetchall()
    assert rows == ([("203.0.113.9",)] if status == 200 else [])
