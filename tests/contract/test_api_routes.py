"""What the API promises: its routes, who may call them, and shapes that answers really have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chalice.app import CognitoUserPoolAuthorizer
from pydantic import BaseModel, TypeAdapter

from functions.api.app import app
from functions.api.routing import OPS, REGISTRY, Route
from functions.api.services import services
from tests.unit.api.support import (
    NOW,
    OPERATOR,
    FakeLogin,
    Person,
    World,
    call,
    make_world,
    outside,
)
from traksense.auth.identity import Role
from traksense.db.connection import Database
from traksense.wiring.api import api

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "http-api.md"

ROUTES = {
    ("GET", "/health"),
    ("GET", "/health/deep"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/refresh"),
    ("GET", "/api/me"),
    ("GET", "/api/devices"),
    ("GET", "/api/devices/{device_id}"),
    ("GET", "/api/devices/{device_id}/points"),
    ("GET", "/api/data/points"),
    ("GET", "/api/data/latest"),
    ("GET", "/api/data/consumption"),
    ("GET", "/api/dlq"),
}
PUBLIC_ROUTES = {"/health", "/api/auth/login", "/api/auth/refresh"}
OPERATORS_ROUTES = {"/health/deep", "/api/dlq"}


@pytest.fixture(scope="module")
def world(module_database_url: str) -> Iterator[World]:
    login = FakeLogin()
    database = Database(module_database_url)
    world = make_world(module_database_url, login, database)
    services.use(api(database, outside(login)))
    yield world
    services.use(None)
    database.close()


def test_what_is_registered_is_what_is_promised_and_no_more() -> None:
    registered = {(method, path) for path, methods in app.routes.items() for method in methods}
    assert registered == set(REGISTRY) == ROUTES


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_only_public_routes_are_open_at_the_gateway(route: tuple[str, str]) -> None:
    method, path = route
    authorizer = app.routes[path][method].authorizer
    assert (authorizer is None) == (path in PUBLIC_ROUTES)
    assert authorizer is None or isinstance(authorizer, CognitoUserPoolAuthorizer)
    assert REGISTRY[route].is_public == (path in PUBLIC_ROUTES)


def test_operators_routes_are_theirs_alone() -> None:
    assert {path for (_, path), spec in REGISTRY.items() if spec.roles == OPS} == OPERATORS_ROUTES


def answers(world: World) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """A successful call of every route."""
    device = str(world.acme.device)
    start = (NOW - timedelta(days=13)).isoformat().replace("+00:00", "Z")
    queries: dict[str, dict[str, str]] = {
        "/api/data/points": {"device": device, "from": start, "point": "temp_agua,note,status"},
        "/api/data/latest": {"device": device},
        "/api/data/consumption": {
            "device": device, "point": "temp_agua", "from": start, "to": "2199-01-01T00:00:00Z",
        },
    }  # fmt: skip
    bodies = {
        "/api/auth/login": {"email": "ana@acme.example", "password": "correct horse"},
        "/api/auth/refresh": {"refresh_token": "a.refresh.token"},
    }
    for method, path in sorted(ROUTES):
        person = OPERATOR if path in OPERATORS_ROUTES else Person(Role.VIEWER, world.acme.id)
        answer = call(
            method,
            path.replace("{device_id}", device),
            person,
            query=queries.get(path, {}),
            body=bodies.get(path),
        )
        assert answer.status == 200, (path, answer.text)
        assert answer.headers["Content-Type"] == "application/json"
        yield (method, path), answer.json


def test_every_answer_fits_the_model_that_is_declared_for_it(world: World) -> None:
    for route, answer in answers(world):
        model = REGISTRY[route].response
        read: BaseModel = TypeAdapter(model).validate_python(answer)
        again = read.model_dump(mode="json", by_alias=True)
        assert _keys(again) == _keys(answer), route
        TypeAdapter(model).json_schema()


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _keys(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_keys(inner) for inner in value]
    return None


def test_every_instant_in_an_answer_is_utc_with_z(world: World) -> None:
    for _, answer in answers(world):
        for found in re.findall(r"\d{4}-\d\d-\d\dT[^\"']+", str(answer)):
            assert re.fullmatch(r"\S{19}(\.\d{6})?Z", found), found


def parameters(spec: Route) -> set[str]:
    return {field.alias or name for name, field in spec.params.model_fields.items()}


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_every_route_and_parameter_is_documented(route: tuple[str, str]) -> None:
    text = DOCUMENT.read_text("utf-8")
    heading = f"`{route[0]} {route[1]}`"
    sections = re.split(r"^### ", text, flags=re.MULTILINE)
    (section,) = [section for section in sections if section.startswith(heading)]
    spec = REGISTRY[route]
    names = parameters(spec) | set(spec.body.model_fields if spec.body is not None else ())
    assert {name for name in names if f"`{name}`" not in section} == set()


def test_nothing_is_documented_that_is_not_there() -> None:
    text = DOCUMENT.read_text("utf-8")
    found = re.findall(r"^### `(\w+) ([^`]+)`", text, flags=re.MULTILINE)
    assert set(found) == ROUTES
