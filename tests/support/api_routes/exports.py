"""Exports."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from tests.support.api_routes.entry import Entry, Request
from tests.support.export_jobs import add_chunk, add_export, add_link
from tests.unit.api.support import NOW, Tenant, World


def _new(world: World, tenant: Tenant) -> Request:
    with world.connect() as connection:
        # What runs already leaves no room for another one.
        connection.execute(
            "UPDATE public.exports SET status = 'CANCELLED', finished_at = now()"
            " WHERE status IN ('PENDING', 'PROCESSING')"
        )
    body = {
        "device": str(tenant.device),
        "points": [str(tenant.points["temp_agua"]), str(tenant.points["note"])],
        "from": f"{NOW - timedelta(days=13):%Y-%m-%dT%H:%M:%SZ}",
        "to": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        "agg": "raw",
        "format": "csv",
    }
    return Request(body=body)


def _with(**columns: Any) -> Any:
    def make(world: World, tenant: Tenant) -> Request:
        with world.connect() as connection:
            export_id = add_export(connection, tenant, **columns)
            add_chunk(connection, tenant, export_id, 0, 40)
        return Request({"export_id": str(export_id)})

    return make


def _link(world: World, tenant: Tenant) -> Request:
    token = secrets.token_urlsafe(32)
    with world.connect() as connection:
        add_link(connection, tenant, add_export(connection, tenant), token)
    return Request({"token": token})


ENTRIES = (
    Entry(
        "POST",
        "/api/exports",
        "everyone",
        make=_new,
        status=202,
        objects=("body.device", "body.points.0"),
    ),
    Entry("GET", "/api/exports", "everyone"),
    Entry(
        "GET",
        "/api/exports/{export_id}",
        "everyone",
        make=_with(),
        objects=("path.export_id",),
    ),
    Entry(
        "POST",
        "/api/exports/{export_id}/cancel",
        "everyone",
        make=_with(status="PROCESSING", planned_rows=100),
        objects=("path.export_id",),
    ),
    Entry(
        "GET",
        "/api/exports/{export_id}/download",
        "everyone",
        make=_with(),
        objects=("path.export_id",),
    ),
    Entry("GET", "/d/{token}", "public", make=_link, status=302, objects=("path.token",)),
)
