"""Tenants and their sites."""

from __future__ import annotations

from tests.support.api_routes.entry import Entry, Request
from tests.support.api_routes.fresh import fresh
from tests.unit.api.support import Tenant, World


def _tenant(world: World, tenant: Tenant) -> Request:
    return Request({"slug": tenant.slug})


def _new_tenant(world: World, tenant: Tenant) -> Request:
    return Request(body={"slug": fresh("made"), "name": "Initech", "limits": {"max_users": 3}})


def _change(world: World, tenant: Tenant) -> Request:
    return Request({"slug": tenant.slug}, body={"limits": {"max_users": 1000}})


def _leaving(world: World, tenant: Tenant) -> Request:
    # Neither acme nor globex, which other calls need: somebody who just came.
    slug = fresh("leaving")
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.tenants (slug, name) VALUES (%s, 'Leaves soon')", (slug,)
        )
    return Request({"slug": slug}, query={"confirm": slug})


def _erasure(world: World, tenant: Tenant) -> Request:
    slug = fresh("gone")
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.erasures (tenant_id, slug) VALUES (gen_random_uuid(), %s)", (slug,)
        )
    return Request({"slug": slug})


def _site(world: World, tenant: Tenant) -> Request:
    with world.connect() as connection:
        row = connection.execute(
            "INSERT INTO public.sites (tenant_id, slug, name) VALUES (%s, %s, 'A place')"
            " RETURNING id",
            (tenant.id, fresh(f"{tenant.slug}-place")),
        ).fetchone()
    assert row is not None
    return Request({"site_id": str(row[0])})


def _new_site(world: World, tenant: Tenant) -> Request:
    return Request(body={"slug": fresh("site"), "name": "A new place"})


def _renamed(world: World, tenant: Tenant) -> Request:
    return Request(_site(world, tenant).names, body={"name": "Another name"})


_PLACE = ("path.site_id",)

ENTRIES = (
    Entry("GET", "/api/tenants", "ops"),
    Entry("POST", "/api/tenants", "ops", make=_new_tenant, status=201),
    Entry("GET", "/api/tenants/{slug}", "ops", make=_tenant, objects=("path.slug",)),
    Entry("PATCH", "/api/tenants/{slug}", "ops", make=_change, objects=("path.slug",)),
    Entry(
        "DELETE",
        "/api/tenants/{slug}",
        "ops",
        make=_leaving,
        status=202,
        shared=("slug",),
        spans=True,
    ),
    Entry(
        "GET",
        "/api/tenants/{slug}/erasure",
        "ops",
        make=_erasure,
        shared=("slug",),
        spans=True,
    ),
    Entry("GET", "/api/sites", "everyone"),
    Entry("POST", "/api/sites", "ops", make=_new_site, status=201, unchosen=422),
    Entry("GET", "/api/sites/{site_id}", "everyone", make=_site, objects=_PLACE),
    Entry("PATCH", "/api/sites/{site_id}", "ops", make=_renamed, objects=_PLACE),
    Entry("DELETE", "/api/sites/{site_id}", "ops", make=_site, objects=_PLACE, status=204),
)
