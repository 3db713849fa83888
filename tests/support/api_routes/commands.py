"""Commands to devices."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.support.api_routes.entry import Entry, Request
from tests.unit.api.support import Tenant, World
from traksense.domain import ulid


def _device(world: World, tenant: Tenant) -> Request:
    return Request({"device_id": str(tenant.device)})


def _new(world: World, tenant: Tenant) -> Request:
    with world.connect() as connection:
        connection.execute(
            "UPDATE public.tenants SET commands_enabled = true WHERE id = %s", (tenant.id,)
        )
    return Request(
        {"device_id": str(tenant.device)}, body={"op": "reset_fault", "params": {"pulse_ms": 500}}
    )


def _sent(world: World, tenant: Tenant) -> Request:
    cmd_id = ulid.new(datetime.now(UTC))
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.commands (cmd_id, tenant_id, device_id, op, sent_by, created_at,"
            " expires_at, times_out_at)"
            " VALUES (%s, %s, %s, 'reset_fault', 'x', now(), now() + interval '1 minute',"
            " now() + interval '1 minute')",
            (cmd_id, tenant.id, tenant.device),
        )
    return Request({"device_id": str(tenant.device), "cmd_id": cmd_id})


ENTRIES = (
    Entry(
        "POST",
        "/api/cmd/{device_id}",
        "admins",
        make=_new,
        status=202,
        objects=("path.device_id",),
    ),
    Entry("GET", "/api/cmd/{device_id}", "admins", make=_device, objects=("path.device_id",)),
    Entry(
        "GET",
        "/api/cmd/{device_id}/{cmd_id}",
        "admins",
        make=_sent,
        objects=("path.device_id", "path.cmd_id"),
    ),
)
