"""Tenants as operators list, make and change them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api_routes.fresh import fresh

from .support import OPERATOR, Answer, World, call


def create(slug: str, **fields: Any) -> Answer:
    return call("POST", "/api/tenants", OPERATOR, body={"slug": slug, "name": "Initech", **fields})


def change(slug: str, /, **fields: Any) -> Answer:
    return call("PATCH", f"/api/tenants/{slug}", OPERATOR, body=fields)


def test_a_tenant_is_made_with_the_platforms_defaults(world: World) -> None:
    slug = fresh("initech")
    made = create(slug)
    assert made.status == 201
    assert made.headers["Location"] == f"/api/tenants/{slug}"
    assert made.json == call("GET", f"/api/tenants/{slug}", OPERATOR).json
    assert (made.json["time_zone"], made.json["locale"]) == ("America/Sao_Paulo", "pt-BR")
    assert made.json["commands_enabled"] is False
    assert set(made.json["limits"].values()) == set(made.json["retention"].values()) == {None}


def test_a_slug_that_is_taken_is_a_conflict(world: World) -> None:
    assert create("acme").status == 409


def test_a_slug_of_an_erased_tenant_is_never_given_again(world: World) -> None:
    slug = fresh("gone")
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.tenant_tombstones (slug, tenant_id) VALUES (%s, gen_random_uuid())",
            (slug,),
        )
    answer = create(slug)
    assert answer.status == 409
    assert slug in answer.json["detail"]


@pytest.mark.parametrize("slug", ["", "ACME", "a_b", "açme", "a" * 32, "a\n", " a", 7, None])
def test_a_slug_is_legal_or_refused(world: World, slug: Any) -> None:
    answer = create(slug)
    assert answer.status == 422
    assert answer.json["errors"][0]["loc"] == "body.slug"


@pytest.mark.parametrize(
    "zone", ["Mars/Base", "localtime", "Factory", "america/recife", "UTC+3", "", "../etc/passwd"]
)
def test_a_time_zone_that_nobody_knows_is_refused(world: World, zone: str) -> None:
    answer = change("acme", time_zone=zone)
    assert answer.status == 422
    assert answer.json["errors"][0]["loc"] == "body.time_zone"


def test_what_is_given_changes_and_the_rest_stays(world: World) -> None:
    slug = fresh("changing")
    create(slug, time_zone="Europe/Lisbon", limits={"max_users": 3, "max_devices": 9})
    answer = change(slug, limits={"max_users": None}, retention={"raw_days": 7})
    assert answer.status == 200
    assert answer.json["limits"]["max_users"] is None
    assert answer.json["limits"]["max_devices"] == 9
    assert answer.json["retention"]["raw_days"] == 7
    assert answer.json["time_zone"] == "Europe/Lisbon"
    assert change(slug, commands_enabled=True).json["commands_enabled"] is True
    assert call("GET", f"/api/tenants/{slug}", OPERATOR).json["retention"]["raw_days"] == 7


@pytest.mark.parametrize(("level", "most"), [("raw", 14), ("1m", 365), ("5m", 730), ("1h", 1825)])
def test_no_tenant_keeps_longer_than_the_platform(world: World, level: str, most: int) -> None:
    slug = fresh("keeping")
    create(slug)
    refused = change(slug, retention={f"{level}_days": most + 1})
    assert refused.status == 422
    assert refused.json["errors"] == [
        {"loc": f"body.retention.{level}_days", "msg": f"The greatest value is {most}."}
    ]
    assert change(slug, retention={f"{level}_days": most}).status == 200


@pytest.mark.parametrize(
    "fields", [{}, {"limits": {}}, {"slug": "other"}, {"erasing_at": None}, {"name": "  "},
               {"name": None}, {"locale": "fr"}, {"limits": {"max_users": -1}},
               {"limits": {"max_devices": 2**40}}, {"commands_enabled": "yes"}]
)  # fmt: skip
def test_what_cannot_be_changed_is_refused(world: World, fields: dict[str, Any]) -> None:
    assert change("acme", **fields).status == 422


def test_the_list_goes_by_slug_in_pages_and_is_searched_by_name(world: World) -> None:
    prefix = fresh("page")
    for number in range(5):
        create(f"{prefix}-{number}", name=f"Fábrica {prefix} {number}")
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        query = {"limit": "2", "q": f"FÁBRICA {prefix}", **({"cursor": cursor} if cursor else {})}
        page = call("GET", "/api/tenants", OPERATOR, query=query).json
        seen += [tenant["slug"] for tenant in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"{prefix}-{number}" for number in range(5)]


def test_a_chosen_tenant_is_the_only_one_in_sight(world: World) -> None:
    page = call("GET", "/api/tenants", OPERATOR, headers={"X-Tenant": "acme"}).json
    assert [tenant["slug"] for tenant in page["items"]] == ["acme"]


def test_a_tenant_that_is_being_erased_is_shown_and_neither_changed_nor_chosen(
    world: World,
) -> None:
    slug = fresh("going")
    create(slug)
    with world.connect() as connection:
        connection.execute("UPDATE public.tenants SET erasing_at = now() WHERE slug = %s", (slug,))
    assert call("GET", f"/api/tenants/{slug}", OPERATOR).json["erasing_at"].endswith("Z")
    assert change(slug, name="Back").status == 409
    assert call("GET", "/api/devices", OPERATOR, headers={"X-Tenant": slug}).status == 404


def test_a_site_is_made_renamed_and_removed(world: World) -> None:
    slug = fresh("north")
    in_acme = {"X-Tenant": "acme"}
    body = {"slug": slug, "name": "North"}
    made = call("POST", "/api/sites", OPERATOR, headers=in_acme, body=body)
    assert made.status == 201
    assert (made.json["tenant"], made.json["slug"]) == ("acme", slug)
    assert call("POST", "/api/sites", OPERATOR, headers=in_acme, body=body).status == 409
    elsewhere = call("POST", "/api/sites", OPERATOR, headers={"X-Tenant": "globex"}, body=body)
    assert elsewhere.status == 201
    path = made.headers["Location"]
    renamed = call("PATCH", path, OPERATOR, body={"name": "Norte"})
    assert renamed.json == {**made.json, "name": "Norte"}
    assert call("PATCH", path, OPERATOR, body={"slug": "other", "name": "x"}).status == 422
    assert call("DELETE", path, OPERATOR).status == 204
    assert call("DELETE", path, OPERATOR).status == 404
    assert call("GET", elsewhere.headers["Location"], world.globex.viewer).status == 200


def test_a_site_with_devices_stays(world: World) -> None:
    sites = call("GET", "/api/sites", world.acme.viewer).json["items"]
    plant = next(site for site in sites if site["slug"] == "plant")
    assert call("DELETE", f"/api/sites/{plant['id']}", OPERATOR).status == 409


def test_sites_are_listed_by_tenant_and_slug_in_pages(world: World) -> None:
    seen: list[tuple[str, str]] = []
    query = {"limit": "1"}
    for _ in range(100):
        page = call("GET", "/api/sites", OPERATOR, query=query).json
        seen += [(site["tenant"], site["slug"]) for site in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == sorted(set(seen))
    assert {("acme", "depot"), ("globex", "plant")} <= set(seen)
    own = call("GET", "/api/sites", world.acme.viewer, query={"limit": "500"}).json["items"]
    assert {site["tenant"] for site in own} == {"acme"}
