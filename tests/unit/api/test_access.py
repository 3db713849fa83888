"""Every route × identity × own and foreign objects. The table is tests/support/api_routes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest

from functions.api.routing import REGISTRY
from tests.support.api_routes import ENTRIES, Key, Request
from tests.support.api_routes.entry import ROLES
from tests.support.tenant_rows import fingerprint, secrets

from .support import NOBODY, OPERATOR, Answer, Person, World, call

KEYS = sorted(ENTRIES)
WITH_OBJECTS = [key for key in KEYS if ENTRIES[key].objects and not ENTRIES[key].is_public]
IN_ACME = {"X-Tenant": "acme"}


def test_the_table_holds_every_route_and_no_other() -> None:
    assert set(ENTRIES) == set(REGISTRY)


@pytest.mark.parametrize("key", KEYS)
def test_the_table_and_the_route_agree_on_who_may_call(key: Key) -> None:
    assert REGISTRY[key].roles == ROLES[ENTRIES[key].who]


@pytest.mark.parametrize("key", KEYS)
def test_each_variable_of_a_path_is_said_to_be_an_object_or_shared(key: Key) -> None:
    entry = ENTRIES[key]
    named = {place.removeprefix("path.") for place in entry.objects if place.startswith("path.")}
    variables = {step[1:-1] for step in entry.path.split("/") if step.startswith("{")}
    assert named | set(entry.shared) == variables
    assert not named & set(entry.shared)


@pytest.mark.parametrize("key", KEYS)
def test_each_identity_gets_what_the_table_says_about_her_own_objects(
    world: World, key: Key
) -> None:
    entry = ENTRIES[key]
    ways: list[tuple[Person, Mapping[str, str], int]] = [
        (NOBODY, {}, entry.status),
        (world.acme.viewer, {}, entry.status),
        (world.acme.admin, {}, entry.status),
        (OPERATOR, {}, entry.unchosen or entry.status),
        (OPERATOR, IN_ACME, entry.status),
    ]
    heard: list[tuple[Request, Answer]] = []
    for person, headers, allowed in ways:
        if entry.is_public and headers:
            continue  # a public route knows no choice of a tenant
        request = entry.make(world, world.acme)
        answer = entry.send(request, person, headers)
        assert answer.status == (entry.refusal(person) or allowed), (person, headers, answer.text)
        if person != OPERATOR or headers:
            heard.append((request, answer))
    assert not told(world, heard)


@pytest.mark.parametrize("key", WITH_OBJECTS)
@pytest.mark.parametrize("who", ["nobody", "viewer", "admin", "operator in acme"])
def test_another_tenants_object_is_not_there(world: World, key: Key, who: str) -> None:
    person, headers = {
        "nobody": (NOBODY, {}),
        "viewer": (world.acme.viewer, {}),
        "admin": (world.acme.admin, {}),
        "operator in acme": (OPERATOR, IN_ACME),
    }[who]
    entry = ENTRIES[key]
    if entry.spans and person == OPERATOR:
        pytest.skip("internal_ops reach all tenants here")
    heard: list[tuple[Request, Answer]] = []
    for place in ("all", *entry.objects):
        request = entry.make(world, world.globex)
        if place != "all":
            request = entry.make(world, world.acme).with_part_of(request, place)
        with world.connect() as connection:
            before = fingerprint(connection, world.globex)
        answer = entry.send(request, person, headers)
        allowed = entry.foreign_at.get(place, entry.foreign)
        assert answer.status == (entry.refusal(person) or allowed), (place, answer.text)
        assert answer.is_problem
        heard.append((request, answer))
        with world.connect() as connection:
            assert fingerprint(connection, world.globex) == before
    assert not told(world, heard)


@pytest.mark.parametrize("key", WITH_OBJECTS)
def test_an_operator_who_chose_the_objects_tenant_gets_through(world: World, key: Key) -> None:
    entry = ENTRIES[key]
    request = entry.make(world, world.globex)
    answer = entry.send(request, OPERATOR, {"X-Tenant": "globex"})
    assert answer.status == (entry.refusal(OPERATOR) or entry.status), answer.text


def told(world: World, heard: Sequence[tuple[Request, Answer]]) -> set[str]:
    """What answers say of globex that the caller had not said herself."""
    with world.connect() as connection:
        hidden = secrets(connection, of=world.globex, beside=world.acme)
    assert len(hidden) > 10
    return {
        secret
        for request, answer in heard
        for secret in hidden
        if secret in f"{answer.text} {dict(answer.headers)}" and secret not in request.said()
    }


def test_a_leak_would_be_noticed(world: World) -> None:
    entry = ENTRIES["GET", "/api/devices"]
    answer = entry.send(Request(), world.globex.viewer)
    found = told(world, [(Request(), answer)])
    assert {"globex", str(world.globex.device)} <= found


@pytest.mark.parametrize(
    ("key", "slug"),
    [
        (key, slug)
        for key, slug in itertools.product(KEYS, ("acme", "globex", "nobody", ""))
        if not REGISTRY[key].is_public
    ],
)
def test_only_operators_choose_a_tenant(world: World, key: Key, slug: str) -> None:
    entry = ENTRIES[key]
    for person in (world.acme.viewer, world.acme.admin):
        by_header = entry.send(entry.make(world, world.acme), person, {"X-Tenant": slug})
        assert by_header.status == 403
        request = entry.make(world, world.acme)
        query = {**request.query, "tenant": slug}
        chosen = Request(request.names, query, request.body, request.headers)
        assert entry.send(chosen, person).status == 403


@pytest.mark.parametrize("slug", ["nobody", "", "ACME", "a" * 32, "acme\x00", "\ud800", "açme"])
def test_an_unknown_tenant_is_not_found(world: World, slug: str) -> None:
    assert call("GET", "/api/devices", OPERATOR, headers={"X-Tenant": slug}).status == 404


def test_two_different_choices_are_refused(world: World) -> None:
    answer = call(
        "GET", "/api/devices", OPERATOR, headers={"X-Tenant": "acme"}, query={"tenant": "globex"}
    )
    assert answer.status == 422


def test_the_same_choice_twice_is_one(world: World) -> None:
    answer = call(
        "GET", "/api/devices", OPERATOR, headers={"X-Tenant": "acme"}, query={"tenant": "acme"}
    )
    assert answer.status == 200


def test_headers_are_read_in_any_case(world: World) -> None:
    answer = call("GET", "/api/devices", world.acme.viewer, headers={"x-tEnAnT": "acme"})
    assert answer.status == 403


@pytest.mark.parametrize(
    "device", ["1", "chiller-0", "{00000000-0000-4000-8000-000000000000}", "\x00", "\ud800",
               "00000000-0000-4000-8000-00000000000g", "00000000-0000-4000-8000-000000000000"]
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["", "/points"])
def test_an_id_that_names_nothing_is_not_found(world: World, device: str, suffix: str) -> None:
    answer = call("GET", f"/api/devices/{device}{suffix}", world.acme.viewer)
    assert answer.status == 404
    assert answer.is_problem
