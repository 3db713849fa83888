"""Lays the demo's configuration into the database: tenants, sites, templates, devices, points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, LiteralString
from uuid import UUID

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from local.demo.catalogue import Catalogue, Child, Role, Template, Tenant, load
from traksense.db.connection import Database
from traksense.db.queries import load as load_queries
from traksense.domain.errors import Conflict

_Row = dict[str, Any]

_APPLICATION: Final = "traksense-demo-seed"


@dataclass(frozen=True, slots=True)
class DemoChild:
    """A device behind a gateway, as the database knows it."""

    id: UUID
    name: str
    code: str
    """The name under which its gateway reports it."""
    template: str


@dataclass(frozen=True, slots=True)
class DemoDevice:
    """A device with an identity of its own, as the database knows it."""

    id: UUID
    tenant: str
    site: str
    name: str
    template: str
    mac: str | None
    simulated: bool
    children: tuple[DemoChild, ...]


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A person of the demo; ``tenant`` and ``tenant_id`` are None for ``internal_ops``."""

    email: str
    name: str
    role: Role
    tenant: str | None
    tenant_id: UUID | None


@dataclass(frozen=True, slots=True)
class DemoFleet:
    """Whom to issue certificates and log-ins for."""

    devices: tuple[DemoDevice, ...]
    users: tuple[DemoUser, ...]


def seed(admin_url: str, catalogue: Catalogue | None = None) -> DemoFleet:
    """Add to the database what it lacks of the demo, in one transaction, and say what is there.

    ``admin_url`` is a login that may take the role ``traksense_ops``. What is there already,
    also what an operator changed since, keeps its values and ids. Raises DatabaseAway, and
    Conflict where something else holds a name or a MAC address that the demo needs.
    """
    wanted = catalogue or load()
    queries = load_queries("demo")
    database = Database(admin_url, application_name=_APPLICATION)
    slugs = [tenant.slug for tenant in wanted.tenants]
    try:
        with database.transaction("traksense_ops") as cursor:
            _add_templates(cursor, queries, wanted.templates)
            for name, rows in _statements(wanted):
                cursor.execute(queries[name], {"rows": Jsonb(rows)})
            tenants = dict(cursor.execute(queries["list_tenants"], {"slugs": slugs}).fetchall())
            found = cursor.execute(queries["list_devices"], {"slugs": slugs}).fetchall()
            # Inside the transaction, so that a conflict leaves nothing of the demo behind.
            return _fleet(wanted, tenants, found)
    finally:
        database.close()


def _add_templates(
    cursor: psycopg.Cursor[tuple[Any, ...]],
    queries: Mapping[str, LiteralString],
    templates: Sequence[Template],
) -> None:
    """Lay in the templates that are not there, each with its points, and publish them."""

    def run(name: str, rows: list[_Row]) -> psycopg.Cursor[tuple[Any, ...]]:
        return cursor.execute(queries[name], {"rows": Jsonb(rows)})

    head = (
        "code",
        "version",
        "name",
        "vendor",
        "adapter",
        "offline_after_s",
        "keep_raw",
        "max_messages_per_minute",
        "dashboard",
    )
    made = {code for (code,) in run("add_device_templates", [_fields(t, *head) for t in templates])}
    added = [template for template in templates if template.code in made]
    run(
        "add_point_templates",
        [
            {"code": t.code, "version": t.version, "position": position}
            | {"labels": {}, **msgspec.to_builtins(p)}
            for t in added
            for position, p in enumerate(t.points)
        ],
    )
    versions = [_fields(t, "code", "version") for t in added]
    run("publish_templates", versions)
    run("supersede_templates", versions)


def _statements(catalogue: Catalogue) -> Iterator[tuple[str, list[_Row]]]:
    """The queries to run, in order, each with its rows."""
    tenants = catalogue.tenants
    yield "add_tenants", [_fields(t, "slug", "name", "time_zone", "locale") for t in tenants]
    yield (
        "add_sites",
        [{"tenant": t.slug, "slug": s.slug, "name": s.name} for t in tenants for s in t.sites],
    )
    devices = list(_device_rows(catalogue))
    children = list(_child_rows(catalogue))
    yield "add_devices", devices
    yield "add_devices", children
    yield "add_points", [{"tenant": r["tenant"], "name": r["name"]} for r in devices + children]


def _fields(source: msgspec.Struct, *names: str) -> _Row:
    return {name: msgspec.to_builtins(getattr(source, name)) for name in names}


def _device_rows(catalogue: Catalogue) -> Iterator[_Row]:
    for tenant, device in catalogue.devices():
        yield {
            "tenant": tenant.slug,
            "site": device.site,
            "name": device.name,
            "template": device.template,
            "version": catalogue.template(device.template).version,
            "mac": device.mac,
        }


def _child_rows(catalogue: Catalogue) -> Iterator[_Row]:
    for tenant, device in catalogue.devices():
        for child in device.children:
            yield {
                "tenant": tenant.slug,
                "site": device.site,
                "name": child.name,
                "template": child.template,
                "version": catalogue.template(child.template).version,
                "gateway": device.name,
                "gateway_code": child.code,
            }


def _fleet(
    wanted: Catalogue, tenants: Mapping[str, UUID], found: Sequence[tuple[Any, ...]]
) -> DemoFleet:
    """Put what the database holds beside what was wanted. Raises Conflict."""
    known = {(row[0], row[1]): row[2:] for row in found}

    def child_of(tenant: Tenant, gateway: str, child: Child) -> DemoChild:
        row = known.get((tenant.slug, child.name))
        if row is None or row[4] != gateway or row[5] is None:
            raise Conflict(
                f"the demo cannot have its device {tenant.slug}/{child.name} behind {gateway}: "
                f"another device has that name or the code {child.code}; set TRAKSENSE_DEMO=0"
            )
        return DemoChild(row[0], child.name, row[5], row[2])

    devices: list[DemoDevice] = []
    for tenant, device in wanted.devices():
        row = known.get((tenant.slug, device.name))
        if row is None:
            raise Conflict(
                f"the demo cannot have its device {tenant.slug}/{device.name}: another device has "
                f"the MAC address {device.mac}; set TRAKSENSE_DEMO=0"
            )
        devices.append(
            DemoDevice(
                id=row[0],
                tenant=tenant.slug,
                site=row[1],
                name=device.name,
                template=row[2],
                mac=row[3],
                simulated=device.simulated,
                children=tuple(child_of(tenant, device.name, c) for c in device.children),
            )
        )
    users = tuple(
        DemoUser(u.email, u.name, u.role, u.tenant, None if u.tenant is None else tenants[u.tenant])
        for u in wanted.users
    )
    return DemoFleet(tuple(devices), users)
