"""Errors as they leave: one shape, the caller's language, and nothing of the inside."""

from __future__ import annotations

import base64
import inspect
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from functions.api import errors
from functions.api.app import app
from functions.api.services import services
from traksense.auth import errors as auth_errors
from traksense.domain import errors as domain_errors
from traksense.i18n.catalogue import text

from .support import NOBODY, OPERATOR, World, call


class Broken:
    """A service with a fault that holds what must not leave."""

    def page(self, *arguments: Any) -> None:
        raise psycopg.errors.UndefinedTable('relation "public.secrets" does not exist')


@pytest.fixture
def broken(world: World) -> Iterator[World]:
    before = services.get()
    services.use(replace(before, devices=Broken()))  # type: ignore[arg-type]
    yield world
    services.use(before)


def test_a_fault_says_nothing_and_is_logged_with_the_requests_id(
    broken: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        answer = call("GET", "/api/devices", broken.acme.viewer)
    assert answer.status == 500
    assert answer.is_problem
    assert set(answer.json) == {"type", "title", "status", "detail", "instance"}
    for secret in ("secrets", "psycopg", "relation", "Traceback", ".py"):
        assert secret not in answer.text
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "public.secrets" in str(record.exc_info[1])


def test_a_problem_has_the_shape_of_rfc_9457(world: World) -> None:
    answer = call("GET", "/api/devices", world.acme.viewer, query={"limit": "x", "wat": "1"})
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Content-Language"] == "en"
    body = answer.json
    errors_ = body.pop("errors")
    assert body == {
        "type": "urn:traksense:problem:invalid",
        "title": "Invalid input",
        "status": 422,
        "detail": "Some values are not valid; see errors.",
        "instance": "/api/devices",
    }
    assert sorted((error["loc"], error["msg"]) for error in errors_) == [
        ("query.limit", "Give a whole number."),
        ("query.wat", "There is no such parameter."),
    ]


@pytest.mark.parametrize(
    ("accept", "title"),
    [
        ("", "Dados inválidos"),
        ("pt-BR", "Dados inválidos"),
        ("en-GB,en;q=0.9", "Invalid input"),
        ("fr", "Dados inválidos"),
        ("fr;q=0.9, en;q=0.5, pt;q=0.4", "Invalid input"),
        ("en;q=0, pt;q=0.1", "Dados inválidos"),
        ("\x00;;;q=,,,", "Dados inválidos"),
        ("a" * 8_000, "Dados inválidos"),
    ],
)
def test_a_problem_speaks_the_callers_language(world: World, accept: str, title: str) -> None:
    answer = call(
        "GET",
        "/api/devices",
        world.acme.viewer,
        query={"limit": "x"},
        headers={"Accept-Language": accept},
    )
    assert answer.json["title"] == title


def test_every_message_of_a_validation_is_in_the_language(world: World) -> None:
    query = {"limit": "0", "q": "", "online": "maybe", "cursor": ["a", "b"]}
    english = call("GET", "/api/devices", world.acme.viewer, query={**query, "cursor": "a"})
    assert {error["loc"]: error["msg"] for error in english.json["errors"]} == {
        "query.limit": "The least value is 1.",
        "query.q": "Too short: the least number of characters is 1.",
        "query.online": "Give true or false.",
    }
    twice = call(
        "GET", "/api/devices", world.acme.viewer, query=query, headers={"Accept-Language": "pt"}
    )
    assert twice.json["errors"] == [
        {"loc": "query.cursor", "msg": "Informe este parâmetro uma só vez."}
    ]


def cursor_of(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "é", "\ud800", "\x00", "=" * 10, "a" * 8_000, "a+b/", "",
        cursor_of({"x": 1}), cursor_of(1), cursor_of([]), cursor_of(b"["), cursor_of(b"[" * 300),
        cursor_of([2, "devices", "acme", "chiller-0"]), cursor_of([1, "dlq", 1, 2]),
        cursor_of([1, "devices", "acme"]), cursor_of([1, "devices", 1, 2]),
        cursor_of([1, "devices", "acme", "a\x00"]), cursor_of([1, "devices", "\ud800", "a"]),
        cursor_of([1, "devices", "acme", "' OR true --"]), cursor_of([1, "devices", "a", None]),
    ],
)  # fmt: skip
def test_a_cursor_that_was_not_given_out_is_malformed(world: World, cursor: str) -> None:
    answer = call("GET", "/api/devices", OPERATOR, query={"cursor": cursor})
    assert answer.status == 400
    assert answer.json["errors"][0]["loc"] == "query.cursor"


@pytest.mark.parametrize(
    "key",
    [(-1, 2), (1, -2), (1, 2**63), (10**18, 1), (1e30, 2), (True, 2), ("1", 2), (1, 2, 3), ()],
)
def test_a_cursor_of_dead_letters_is_checked_to_its_last_number(
    world: World, key: tuple[Any, ...]
) -> None:
    cursor = cursor_of([1, "dlq", *key])
    assert call("GET", "/api/dlq", OPERATOR, query={"cursor": cursor}).status == 400


def test_chalices_own_refusals_are_problems_too(world: World) -> None:
    refused = call("DELETE", "/health")
    assert refused.status == 405
    assert refused.is_problem
    assert refused.headers["Allow"] == "GET"
    unknown = call("GET", "/api/secrets", OPERATOR)
    assert unknown.status == 404
    assert unknown.is_problem


def test_an_unknown_path_leaves_no_trace_in_the_route_table(world: World) -> None:
    before = set(app.routes)
    call("GET", "/api/never/heard/of", NOBODY)
    assert set(app.routes) == before


def test_the_instance_can_be_encoded_whatever_was_called(world: World) -> None:
    answer = call("GET", "/api/devices/\ud800", world.acme.viewer)
    assert answer.json["instance"] == "/api/devices/?"
    answer.text.encode("utf-8")


def test_names_of_parameters_are_harmless(world: World) -> None:
    for name in ("\ud800", "\x00", "a" * 5000, "{x}", "__class__", "from_"):
        answer = call("GET", "/api/dlq", OPERATOR, query={name: "1"})
        assert answer.status == 422, name
        answer.text.encode("utf-8")


@pytest.mark.parametrize(
    "error",
    [
        kind
        for module in (domain_errors, auth_errors)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
    ],
)
def test_every_domain_error_has_an_answer(error: type[BaseException]) -> None:
    made = error.__new__(error)
    answer = errors.answer_for(made)
    faults = {
        domain_errors.TrakSenseError,
        domain_errors.PermanentError,
        domain_errors.ConfigurationError,
    }
    assert (answer is errors.INTERNAL) == (error in faults)


def test_only_what_comes_from_the_catalogue_is_shown() -> None:
    hidden = errors.respond(domain_errors.NotFound("no row in public.devices"), "en", "/x")
    assert "public.devices" not in hidden.body
    shown = errors.respond(domain_errors.NotFound(text("device.not_found")), "pt-BR", "/x")
    assert "Esse dispositivo não existe." in shown.body
