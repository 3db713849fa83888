"""Devices and their points."""

from __future__ import annotations

from tests.support.api_routes.entry import Entry, Request
from tests.support.api_routes.fresh import fresh
from tests.unit.api.support import Tenant, World


def _device(world: World, tenant: Tenant) -> Request:
    return Request({"device_id": str(tenant.device)})


def _new(world: World, tenant: Tenant) -> Request:
    return Request(
        body={"name": fresh("probe"), "site": "plant", "template": "chiller", "points": []}
    )


def _change(world: World, tenant: Tenant) -> Request:
    return Request(
        {"device_id": str(tenant.device)},
        body={"status": "maintenance", "metadata": {"room": "R9"}},
    )


def _passing(world: World, tenant: Tenant) -> Request:
    """A device to be deleted."""
    with world.connect() as connection:
        row = connection.execute(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
            " SELECT tenant_id, site_id, template_id, %s FROM public.devices WHERE id = %s"
            " RETURNING id",
            (fresh("passing"), tenant.device),
        ).fetchone()
    assert row is not None
    return Request({"device_id": str(row[0])})


def _provision_many(world: World, tenant: Tenant) -> Request:
    passing = _passing(world, tenant).names["device_id"]
    return Request(body={"devices": [passing]})


def _file(world: World, tenant: Tenant) -> Request:
    lines = ["name,site,template,metadata.room", f"{fresh('row')},plant,chiller,R1"]
    return Request(body="\n".join(lines), headers={"Content-Type": "text/csv"})


def _change_point(world: World, tenant: Tenant) -> Request:
    return Request(
        {"device_id": str(tenant.device), "point_id": str(tenant.points["temp_agua"])},
        body={"labels": {"en": "Water temperature"}, "limits": {"low": 4}},
    )


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
    Entry("POST", "/api/devices", "ops", make=_new, status=201, unchosen=422),
    Entry(
        "PATCH",
        "/api/devices/{device_id}",
        "ops",
        make=_change,
        objects=("path.device_id",),
    ),
    Entry(
        "DELETE",
        "/api/devices/{device_id}",
        "ops",
        make=_passing,
        status=204,
        objects=("path.device_id",),
    ),
    Entry(
        "PATCH",
        "/api/devices/{device_id}/points/{point_id}",
        "ops",
        make=_change_point,
        objects=("path.device_id", "path.point_id"),
    ),
    Entry(
        "POST",
        "/api/devices/{device_id}/provision",
        "ops",
        make=_passing,
        objects=("path.device_id",),
    ),
    # What becomes of one device of the list is said in the answer, and is no status.
    Entry("POST", "/api/devices/provision", "ops", make=_provision_many, unchosen=422),
    Entry(
        "POST",
        "/api/devices/{device_id}/revoke",
        "ops",
        make=_passing,
        objects=("path.device_id",),
    ),
    Entry(
        "GET",
        "/api/devices/{device_id}/certificates",
        "ops",
        make=_device,
        objects=("path.device_id",),
    ),
    Entry("POST", "/api/devices/import", "ops", make=_file, unchosen=422),
)
