"""Devices as operators write them, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
import psycopg
from psycopg import errors as pg_errors
from psycopg.types.json import Jsonb

from traksense.contracts.topics import normalise_mac
from traksense.db import queries
from traksense.db.connection import Database
from traksense.domain.errors import Conflict, Invalid
from traksense.i18n.catalogue import text
from traksense.services.device_writes import (
    DeviceChange,
    Found,
    MadeDevice,
    NewDevice,
    PointChange,
    Room,
)

_TAKEN: Final = {
    "devices_mac_key": ("mac", "device.mac_taken_now"),
    "devices_tenant_id_name_key": ("name", "device.name_taken_now"),
    "devices_gateway_id_gateway_code_key": ("gateway_code", "device.code_taken_now"),
}


class SqlDeviceWriteStore:
    """Implements ``traksense.services.device_writes.DeviceWriteStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("device_writes")
        self._tenant_of = queries.load("devices")["tenant_of_device"]

    @contextmanager
    def adding(self, tenant_id: UUID) -> Iterator[SqlAdding]:
        """A transaction in which devices are added to a tenant."""
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            cursor.execute(self._queries["lock_devices"], {"tenant_id": tenant_id})
            yield SqlAdding(cursor, self._queries, tenant_id)

    def macs_taken(self, macs: Iterable[str]) -> frozenset[str]:
        """Those of the MACs that a device has, of whatever tenant."""
        with self._database.transaction("traksense_ops") as cursor:
            rows = cursor.execute(self._queries["macs_taken"], {"macs": list(macs)}).fetchall()
        return frozenset(normalise_mac(mac) for (mac,) in rows)

    def tenant_of(self, device_id: UUID) -> UUID | None:
        """The tenant of a device, whosever it is."""
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(self._tenant_of, {"device_id": device_id}).fetchone()
        return None if row is None else row[0]

    def change(self, tenant_id: UUID, device_id: UUID, change: DeviceChange) -> bool:
        """Change a device; False where there is none."""
        parameters: dict[str, Any] = {
            "tenant_id": tenant_id,
            "device_id": device_id,
            "site": change.site,
            "status": change.status,
            "has_mac": "mac" in change.given,
            "mac": change.mac,
            "metadata": None if change.metadata is None else Jsonb(dict(change.metadata)),
        }
        with _conflicts(), self._database.transaction("traksense_app", tenant_id) as cursor:
            row = cursor.execute(self._queries["change_device"], parameters).fetchone()
        if row is None:
            return False
        is_changed, has_site, is_child = row
        if not has_site:
            message = text("device.no_site", site=change.site)
            raise Invalid(text("problem.invalid.detail"), (("body.site", message),))
        if not is_changed and is_child:
            message = text("device.mac_behind_gateway")
            raise Invalid(text("problem.invalid.detail"), (("body.mac", message),))
        return bool(is_changed)

    def change_point(
        self, tenant_id: UUID, device_id: UUID, point_id: UUID, change: PointChange
    ) -> Literal["changed", "missing", "not_numeric"]:
        """Change a point of a device."""
        parameters: dict[str, Any] = {
            "tenant_id": tenant_id,
            "device_id": device_id,
            "point_id": point_id,
            "labels": None if change.labels is None else Jsonb({**change.labels}),
            "has_limits": "limits" in change.given,
            "limits": None if change.limits is None else Jsonb(dict(change.limits)),
            "is_contracted": change.is_contracted,
        }
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            row = cursor.execute(self._queries["change_point"], parameters).fetchone()
        if row is None:
            return "missing"
        return "changed" if row[0] else "not_numeric"

    def delete(self, tenant_id: UUID, device_id: UUID) -> bool:
        """Delete a device with its points; False where there is none."""
        parameters = {"tenant_id": tenant_id, "device_id": device_id}
        try:
            with self._database.transaction("traksense_app", tenant_id) as cursor:
                cursor.execute(self._queries["delete_device"], parameters)
                return cursor.rowcount == 1
        except pg_errors.ForeignKeyViolation:
            raise Conflict(text("device.has_children")) from None
        except pg_errors.CheckViolation as error:
            if error.diag.constraint_name != "device_certificates_ownerless":
                raise
            raise Conflict(text("device.has_certificates")) from None


class SqlAdding:
    """Implements ``traksense.services.device_writes.Adding``."""

    def __init__(
        self,
        cursor: psycopg.Cursor[tuple[Any, ...]],
        statements: Any,
        tenant_id: UUID,
    ) -> None:
        self._cursor = cursor
        self._queries = statements
        self._tenant_id = tenant_id

    def room(self) -> Room | None:
        """How many devices there are and may be."""
        row = self._cursor.execute(self._queries["room"], {"tenant_id": self._tenant_id}).fetchone()
        return None if row is None else Room(*row)

    def find(self, devices: Sequence[NewDevice], macs_taken: frozenset[str]) -> Sequence[Found]:
        """What is known of each."""
        rows = [
            {
                "n": n,
                "name": device.name,
                "site": device.site,
                "template": device.template,
                "version": device.version,
                "gateway": device.gateway,
                "gateway_code": device.gateway_code,
                "points": device.points,
            }
            for n, device in enumerate(devices)
        ]
        found = self._cursor.execute(self._queries["find_named"], self._given(rows)).fetchall()
        return [
            Found(
                site_id=row[0],
                template_id=row[1],
                version=row[2],
                is_published=row[3],
                gateway_id=row[4],
                gateway_is_child=row[5],
                gateway_is_retired=row[6],
                name_is_taken=row[7],
                mac_is_taken=device.mac in macs_taken,
                code_is_taken=row[8],
                unknown_points=tuple(row[9]),
                points=row[10],
            )
            for row, device in zip(found, devices, strict=True)
        ]

    def add(self, devices: Sequence[MadeDevice]) -> None:
        """Add devices with their points."""
        rows = [
            {
                "id": made.id,
                "site_id": made.site_id,
                "template_id": made.template_id,
                "name": made.asked.name,
                "mac": made.asked.mac,
                "gateway_id": made.gateway_id,
                "gateway_code": made.asked.gateway_code,
                "metadata": dict(made.asked.metadata),
            }
            for made in devices
        ]
        contracted = [{"id": made.id, "points": made.asked.points} for made in devices]
        with _conflicts():
            self._cursor.execute(self._queries["add_devices"], self._given(rows))
            self._cursor.execute(self._queries["add_points"], self._given(contracted))

    def _given(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {"tenant_id": self._tenant_id, "rows": msgspec.json.encode(rows).decode("utf-8")}


@contextmanager
def _conflicts() -> Iterator[None]:
    """What somebody else took this moment, as a conflict that names the field."""
    try:
        yield
    except pg_errors.UniqueViolation as error:
        taken = _TAKEN.get(error.diag.constraint_name or "")
        if taken is None:
            raise
        where, key = taken
        raise Conflict(text(key), ((f"body.{where}", text(key)),)) from None
