"""Devices and their points."""

from __future__ import annotations

from tests.support.api_routes.entry import Entry, Request
from tests.unit.api.support import Tenant, World


def _device(world: World, tenant: Tenant) -> Request:
    return Request({"device_id": str(tenant.device)})


ENTRIES = (
    Entry("GET", "/api/devices", "everyone"),
    Entry("GET", "/api/devices/{device_id}", "everyone", make=_device, objects=("path.device_id",)),
    Entry(
        "GET",
        "/api/devices/{device_id}/points",
        "everyone",
        make=_device,
        objects=("path.device_id",),
    ),
)
