"""What the API promises: its routes, who may call them, and shapes that answers really have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chalice.app import CognitoUserPoolAuthorizer
from pydantic import BaseModel, TypeAdapter

from functions.api.app import app
from functions.api.routing import JSON, REGISTRY
from functions.api.services import services
from tests.support.api_routes import ENTRIES, Key
from tests.unit.api.support import Answer, FakeLogin, World, make_world, outside
from traksense.db.connection import Database
from traksense.wiring.api import api

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "http-api.md"

ROUTES = sorted(ENTRIES)


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
    assert registered == set(REGISTRY) == set(ROUTES)


@pytest.mark.parametrize("key", ROUTES)
def test_only_public_routes_are_open_at_the_gateway(key: Key) -> None:
    method, path = key
    authorizer = app.routes[path][method].authorizer
    assert (authorizer is None) == ENTRIES[key].is_public
    assert authorizer is None or isinstance(authorizer, CognitoUserPoolAuthorizer)
    assert REGISTRY[key].is_public == ENTRIES[key].is_public


def succeed(world: World, key: Key) -> Answer:
    """A successful call of a route, by the least of those who may make it."""
    entry = ENTRIES[key]
    answer = entry.send(entry.make(world, world.acme), *entry.caller(world.acme))
    assert answer.status == entry.status, answer.text
    return answer


@pytest.mark.parametrize("key", ROUTES)
def test_every_answer_fits_what_is_declared_for_it(world: World, key: Key) -> None:
    spec, answer = REGISTRY[key], succeed(world, key)
    assert answer.status in spec.statuses
    if spec.response is None:
        assert answer.text == ""
        return
    media_type = answer.headers["Content-Type"].partition(";")[0]
    assert media_type == spec.media_types[0]
    if media_type != JSON:
        return
    adapter: TypeAdapter[Any] = TypeAdapter(spec.response)
    again = adapter.dump_python(adapter.validate_python(answer.json), mode="json", by_alias=True)
    assert _keys(again) == _keys(answer.json)


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _keys(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_keys(inner) for inner in value]
    return None


@pytest.mark.parametrize("key", ROUTES)
def test_every_instant_in_an_answer_is_utc_with_z(world: World, key: Key) -> None:
    for found in re.findall(r"\d{4}-\d\d-\d\dT[^\"']+", succeed(world, key).text):
        assert re.fullmatch(r"\S{19}(\.\d{6})?Z", found), found


def fields(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_and_parameter_is_documented(route: Key) -> None:
    text = DOCUMENT.read_text("utf-8")
    heading = f"`{route[0]} {route[1]}`"
    sections = re.split(r"^### ", text, flags=re.MULTILINE)
    (section,) = [section for section in sections if section.startswith(heading)]
    spec = REGISTRY[route]
    names = fields(spec.params) | (set() if spec.body is None else fields(spec.body))
    assert {name for name in names if f"`{name}`" not in section} == set()


def test_nothing_is_documented_that_is_not_there() -> None:
    text = DOCUMENT.read_text("utf-8")
    found = re.findall(r"^### `(\w+) ([^`]+)`", text, flags=re.MULTILINE)
    assert sorted(found) == ROUTES
