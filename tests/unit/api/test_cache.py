"""Copies in memory behind the API: never of another tenant, never from before the request."""

from __future__ import annotations

from typing import Any

import pytest

from functions.api.services import services
from tests.support.api_routes.fresh import fresh
from traksense.services.cache import Cache
from traksense.wiring.api import api

from .support import OPERATOR, Answer, World, call, outside


@pytest.fixture
def cache(world: World) -> Cache:
    return services.get().cache


def hits(cache: Cache, kind: str) -> int:
    return sum(each.hits for each in cache.status().kinds if each.kind == kind)


def series(world: World, slug: str = "acme") -> Answer:
    tenant = getattr(world, slug)
    query = {"device": "chiller-0", "point": "temp_agua", "from": "2026-01-01T00:00:00Z"}
    return call("GET", "/api/data/points", tenant.viewer, query=query)


def change(world: World, statement: str, *values: Any) -> None:
    """As another container does it."""
    with world.connect() as connection:
        connection.execute(statement.encode(), values)


def test_a_profile_that_another_container_changed_is_shown_at_once(
    world: World, cache: Cache
) -> None:
    def locale() -> str:
        return str(call("GET", "/api/me", world.acme.viewer).json["locale"])

    before = locale()
    kept = hits(cache, "profile")
    assert locale() == before
    assert hits(cache, "profile") > kept
    other = "en" if before != "en" else "pt-BR"
    change(world, "UPDATE public.tenants SET locale = %s WHERE id = %s", other, world.acme.id)
    assert locale() == other
    change(world, "UPDATE public.tenants SET locale = %s WHERE id = %s", before, world.acme.id)
    assert locale() == before


def test_a_tenants_points_are_kept_and_never_answer_for_another_tenant(
    world: World, cache: Cache
) -> None:
    for _ in range(2):
        mine, theirs = series(world, "acme"), series(world, "globex")
        assert mine.json["series"][0]["device_id"] == str(world.acme.device)
        assert theirs.json["series"][0]["device_id"] == str(world.globex.device)
    assert hits(cache, "points") >= 1


def test_a_device_that_was_renamed_elsewhere_is_gone_by_its_old_name_at_once(
    world: World,
) -> None:
    assert (series(world).status, series(world).status) == (200, 200)
    renamed = "UPDATE public.devices SET name = %s WHERE id = %s"
    change(world, renamed, fresh("elsewhere"), world.acme.device)
    try:
        assert series(world).status == 404
    finally:
        change(world, renamed, "chiller-0", world.acme.device)
    assert series(world).status == 200


def test_a_tenant_that_was_removed_elsewhere_cannot_be_chosen_any_more(world: World) -> None:
    slug = fresh("brief").lower()
    change(world, "INSERT INTO public.tenants (slug, name) VALUES (%s, 'Brief')", slug)

    def chosen() -> int:
        return call("GET", "/api/devices", OPERATOR, headers={"X-Tenant": slug}).status

    assert (chosen(), chosen()) == (200, 200)
    change(world, "DELETE FROM public.tenants WHERE slug = %s", slug)
    assert chosen() == 404


def test_an_operators_device_is_found_by_a_copy_and_not_once_it_is_gone(
    world: World, cache: Cache
) -> None:
    query = {"device": str(world.globex.device)}

    def latest() -> int:
        return call("GET", "/api/data/latest", OPERATOR, query=query).status

    assert latest() == 200
    before = hits(cache, "device_tenant")
    assert latest() == 200
    assert hits(cache, "device_tenant") == before + 1


def test_what_the_cache_does_is_shown_and_cleared_by_hand(world: World, cache: Cache) -> None:
    for _ in range(2):
        series(world)
    shown = call("GET", "/api/ops/cache", OPERATOR).json
    assert shown["is_on"] is True
    assert shown["entries"] >= 1
    assert 0 < shown["hit_ratio"] < 1
    assert {kind["kind"] for kind in shown["kinds"]} >= {"points"}
    cleared = call("POST", "/api/ops/cache/clear", OPERATOR).json
    assert (cleared["entries"], cleared["epoch"] > shown["epoch"]) == (0, True)
    assert series(world).status == 200


def test_it_all_works_without_a_cache(world: World) -> None:
    kept = services.get()
    services.use(api(world.database, outside(world.login), cache_ttl_s=0))
    try:
        for _ in range(2):
            assert series(world).status == 200
            assert call("GET", "/api/me", world.acme.viewer).status == 200
        assert call("GET", "/api/ops/cache", OPERATOR).json["is_on"] is False
        assert call("POST", "/api/ops/cache/clear", OPERATOR).status == 200
    finally:
        services.use(kept)
        world.database.watch_epoch(kept.cache.saw)
