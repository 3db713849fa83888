"""Devices and points in PostgreSQL, as the API reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.scope import transaction
from traksense.i18n.catalogue import Locale
from traksense.services.devices import Device, DeviceFilter, Point
from traksense.services.scope import Scope


class SqlDeviceStore:
    """Implements ``traksense.services.devices.DeviceStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("devices")

    def page(
        self, scope: Scope, wanted: DeviceFilter, after: tuple[str, str] | None, limit: int
    ) -> Sequence[Device]:
        """Up to ``limit`` devices after a key."""
        tenant, name = after or (None, None)
        parameters: dict[str, Any] = {
            "after_tenant": tenant,
            "after_name": name,
            "q": wanted.q,
            "site": wanted.site,
            "online": wanted.online,
            "status": wanted.status,
            "gateway": wanted.gateway,
            "limit": limit,
        }
        with transaction(self._database, scope) as cursor:
            rows = cursor.execute(self._queries["devices_page"], parameters).fetchall()
        return [Device(*row) for row in rows]

    def get(self, scope: Scope, device_id: UUID) -> Device | None:
        """One device."""
        with transaction(self._database, scope) as cursor:
            row = cursor.execute(self._queries["device"], {"device_id": device_id}).fetchone()
        return None if row is None else Device(*row)

    def points(self, scope: Scope, device_id: UUID, locale: Locale) -> Sequence[Point] | None:
        """A device's points; None where there is no such device."""
        with transaction(self._database, scope) as cursor:
            rows = cursor.execute(
                self._queries["device_points"], {"device_id": device_id, "locale": locale}
            ).fetchall()
        if not rows:
            return None
        return [Point(*row) for row in rows if row[0] is not None]

    def tenant_of(self, device_id: UUID) -> UUID | None:
        """The tenant of a device, whosever it is."""
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(
                self._queries["tenant_of_device"], {"device_id": device_id}
            ).fetchone()
        return None if row is None else row[0]
