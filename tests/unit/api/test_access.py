"""Every route × role × own and foreign tenant, in one table; a new route must enter it."""

from __future__ import annotations

import itertools

import pytest

from functions.api.routing import REGISTRY

from .support import NOBODY, OPERATOR, Person, Tenant, World, call

# What each route answers to: nobody, a viewer, an admin, an operator who chose no tenant; and then
# to a viewer and an operator in acme's sight, when the object they name is globex's.
#                                        nobody viewer admin ops | foreign: viewer, ops in acme
TABLE: dict[tuple[str, str], tuple[int, int, int, int, int | None, int | None]] = {
    ("GET", "/health"): (200, 200, 200, 200, None, None),
    ("GET", "/health/deep"): (401, 403, 403, 200, None, None),
    ("POST", "/api/auth/login"): (400, 400, 400, 400, None, None),
    ("POST", "/api/auth/refresh"): (400, 400, 400, 400, None, None),
    ("GET", "/api/me"): (401, 200, 200, 200, None, None),
    ("GET", "/api/devices"): (401, 200, 200, 200, None, None),
    ("GET", "/api/devices/{device_id}"): (401, 200, 200, 200, 404, 404),
    ("GET", "/api/devices/{device_id}/points"): (401, 200, 200, 200, 404, 404),
    ("GET", "/api/data/points"): (401, 200, 200, 200, 404, 404),
    ("GET", "/api/data/latest"): (401, 200, 200, 200, 404, 404),
    ("GET", "/api/data/consumption"): (401, 200, 200, 200, 404, 404),
    ("GET", "/api/dlq"): (401, 403, 403, 200, None, None),
}
ROUTES = sorted(TABLE)


def visit(
    route: tuple[str, str], person: Person, target: Tenant, headers: dict[str, str] | None = None
) -> int:
    method, template = route
    query = {}
    if template.startswith("/api/data/"):
        query["device"] = str(target.device)
    if template in ("/api/data/points", "/api/data/consumption"):
        query |= {"point": str(target.points["temp_agua"]), "from": "2025-10-07T00:00:00Z"}
        query["to"] = "2025-11-07T00:00:00Z"
    path = template.replace("{device_id}", str(target.device))
    return call(method, path, person, query=query, headers=headers).status


def test_the_table_holds_every_route() -> None:
    assert set(TABLE) == set(REGISTRY)


@pytest.mark.parametrize("route", ROUTES)
def test_each_role_gets_what_the_table_says(world: World, route: tuple[str, str]) -> None:
    people = (NOBODY, world.acme.viewer, world.acme.admin, OPERATOR)
    assert tuple(visit(route, person, world.acme) for person in people) == TABLE[route][:4]


@pytest.mark.parametrize("route", [route for route in ROUTES if TABLE[route][4] is not None])
def test_another_tenants_object_is_not_there(world: World, route: tuple[str, str]) -> None:
    viewer, chosen = TABLE[route][4:]
    assert visit(route, world.acme.viewer, world.globex) == viewer
    assert visit(route, world.acme.admin, world.globex) == viewer
    assert visit(route, OPERATOR, world.globex, {"X-Tenant": "acme"}) == chosen
    assert visit(route, OPERATOR, world.globex, {"X-Tenant": "globex"}) == 200


@pytest.mark.parametrize(
    ("route", "slug"),
    [
        (route, slug)
        for route, slug in itertools.product(ROUTES, ("acme", "globex", "nobody", ""))
        if not REGISTRY[route].is_public
    ],
)
def test_only_operators_choose_a_tenant(world: World, route: tuple[str, str], slug: str) -> None:
    for person in (world.acme.viewer, world.acme.admin):
        assert visit(route, person, world.acme, {"X-Tenant": slug}) == 403
        answer = call(route[0], route[1], person, query={"tenant": slug})
        assert answer.status in (403, 404) if "{" in route[1] else answer.status == 403


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
