"""Templates and dashboards."""

from __future__ import annotations

from typing import Any

from tests.support.api_routes.entry import Entry, Request
from tests.support.api_routes.fresh import fresh
from tests.unit.api.support import Tenant, World

POINTS: list[dict[str, Any]] = [
    {"name": "temp", "type": "num", "unit": "°C", "limits": {"low": 2, "high": 8}},
    {"name": "door_open", "type": "bool", "polarity": "normal"},
]


def said(**more: Any) -> dict[str, Any]:
    """A version of a template."""
    return {"name": "Vaccine fridge", "points": POINTS, **more}


def template(world: World, tenant: Tenant, published: tuple[bool, ...] = (True,)) -> str:
    """The code of a fresh template of a tenant's own, with a version for each of these."""
    code = fresh(f"{tenant.slug}-fridge")
    with world.connect() as connection:
        for version, is_published in enumerate(published, 1):
            row = connection.execute(
                "INSERT INTO public.device_templates (tenant_id, code, version, name)"
                " VALUES (%s, %s, %s, %s) RETURNING id",
                (tenant.id, code, version, f"Fridge of {tenant.slug}"),
            ).fetchone()
            assert row is not None
            connection.execute(
                "INSERT INTO public.point_templates"
                " (tenant_id, device_template_id, position, name, type, unit)"
                " VALUES (%s, %s, 0, 'temp', 'num', '°C')",
                (tenant.id, row[0]),
            )
            if is_published:
                connection.execute(
                    "UPDATE public.device_templates SET published_at = now() WHERE id = %s", row
                )
                connection.execute(
                    "UPDATE public.device_templates SET superseded_by = %s WHERE code = %s"
                    " AND version < %s AND superseded_by IS NULL",
                    (row[0], code, version),
                )
    return code


def device(world: World, tenant: Tenant, code: str, version: int = 1) -> str:
    """The id of a fresh device of a version of a tenant's own template, with its points."""
    with world.connect() as connection:
        row = connection.execute(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
            " SELECT dt.tenant_id, s.id, dt.id, %s FROM public.device_templates dt"
            " JOIN public.sites s ON s.tenant_id = dt.tenant_id AND s.slug = 'plant'"
            " WHERE dt.tenant_id = %s AND dt.code = %s AND dt.version = %s RETURNING id",
            (fresh(f"{tenant.slug}-box"), tenant.id, code, version),
        ).fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO public.points (tenant_id, device_id, point_template_id, name, type, unit)"
            " SELECT d.tenant_id, d.id, pt.id, pt.name, pt.type, pt.unit FROM public.devices d"
            " JOIN public.point_templates pt ON pt.device_template_id = d.template_id"
            " WHERE d.id = %s",
            row,
        )
    return str(row[0])


def _new(world: World, tenant: Tenant) -> Request:
    return Request(body=said(code=fresh("fridge")))


def _code(world: World, tenant: Tenant) -> Request:
    return Request({"code": template(world, tenant)})


def _next(world: World, tenant: Tenant) -> Request:
    return Request({"code": template(world, tenant)}, body=said(based_on=1))


def _version(world: World, tenant: Tenant) -> Request:
    return Request({"code": template(world, tenant), "version": "1"})


def _draft(world: World, tenant: Tenant) -> Request:
    return Request({"code": template(world, tenant, (False,)), "version": "1"})


def _replaced(world: World, tenant: Tenant) -> Request:
    return Request({"code": template(world, tenant, (False,)), "version": "1"}, body=said())


def _move(world: World, tenant: Tenant) -> Request:
    code = template(world, tenant, (True, True))
    return Request({"code": code, "version": "2"}, body={"devices": [device(world, tenant, code)]})


def _device(world: World, tenant: Tenant) -> Request:
    return Request({"device_id": str(tenant.device)})


_CODE = ("path.code",)
_VERSION = ("version",)

ENTRIES = (
    Entry("GET", "/api/templates", "everyone"),
    Entry("POST", "/api/templates", "ops", make=_new, status=201),
    Entry("GET", "/api/templates/{code}", "everyone", make=_code, objects=_CODE, unchosen=404),
    Entry(
        "POST",
        "/api/templates/{code}/versions",
        "ops",
        make=_next,
        status=201,
        objects=_CODE,
        unchosen=404,
    ),
    Entry(
        "GET",
        "/api/templates/{code}/{version}",
        "everyone",
        make=_version,
        objects=_CODE,
        shared=_VERSION,
        unchosen=404,
    ),
    Entry(
        "PUT",
        "/api/templates/{code}/{version}",
        "ops",
        make=_replaced,
        objects=_CODE,
        shared=_VERSION,
        unchosen=404,
    ),
    Entry(
        "DELETE",
        "/api/templates/{code}/{version}",
        "ops",
        make=_draft,
        status=204,
        objects=_CODE,
        shared=_VERSION,
        unchosen=404,
    ),
    Entry(
        "POST",
        "/api/templates/{code}/{version}/publish",
        "ops",
        make=_draft,
        objects=_CODE,
        shared=_VERSION,
        unchosen=404,
    ),
    Entry(
        "POST",
        "/api/templates/{code}/{version}/moves",
        "ops",
        make=_move,
        objects=("path.code", "body.devices.0"),
        shared=_VERSION,
        unchosen=404,
    ),
    Entry("GET", "/schema/dashboard", "public"),
    Entry(
        "GET",
        "/api/dashboards/{device_id}",
        "everyone",
        make=_device,
        objects=("path.device_id",),
    ),
)
