"""Exports in PostgreSQL, as the API asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.scope import transaction
from traksense.domain.errors import Forbidden, Invalid, NotFound
from traksense.domain.exports import MOST_RUNNING, TOLD_WITHIN, Status
from traksense.i18n.catalogue import Text, text
from traksense.services.exports import Export, NewExport, Order, Part, TooManyExports
from traksense.services.paging import Malformed
from traksense.services.scope import Scope

Cursor = psycopg.Cursor[tuple[Any, ...]]


class SqlExportStore:
    """Implements ``traksense.services.exports.ExportStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("exports")

    def add(self, tenant_id: UUID, new: NewExport) -> tuple[Export, bytes | None]:
        """Store an export, unless its key was used; it or what has the key, and that's hash."""
        row = {"tenant_id": tenant_id, "idempotency_key": new.idempotency_key}
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            cursor.execute(self._queries["lock_exports"], row)
            if new.idempotency_key is not None:
                known = cursor.execute(self._queries["export_by_key"], row).fetchone()
                if known is not None:
                    return self._one(cursor, known[0]), known[1]
            running = cursor.execute(self._queries["count_running_exports"], row).fetchone()
            if running is None or running[0] >= MOST_RUNNING:
                raise TooManyExports
            added = cursor.execute(
                self._queries["add_export"], {**row, **self._resolved(cursor, tenant_id, new)}
            ).fetchone()
            if added is None:
                raise Forbidden(text("tenant.gone"))
            return self._one(cursor, added[0]), new.request_hash

    def _resolved(self, cursor: Cursor, tenant_id: UUID, new: NewExport) -> dict[str, Any]:
        """A new export's columns. Raises NotFound, Invalid, Malformed."""
        order = new.order
        device_id, device_name = self._device(cursor, tenant_id, order.device)
        points = self._points(cursor, tenant_id, device_id, order)
        return {
            "requested_by": new.requested_by,
            "email": new.email,
            "locale": order.locale,
            "device_id": device_id,
            "device_name": device_name,
            "point_ids": None if points is None else [point for point, _ in points],
            "point_names": None if points is None else [name for _, name in points],
            "start": order.start,
            "end": new.end,
            "agg": order.agg,
            "format": order.format,
            "for_spreadsheet": order.for_spreadsheet,
            "request_hash": new.request_hash,
        }

    def _device(
        self, cursor: Cursor, tenant_id: UUID, device: UUID | str | None
    ) -> tuple[UUID | None, str | None]:
        if device is None:
            return None, None
        found = cursor.execute(
            self._queries["export_device"],
            {
                "tenant_id": tenant_id,
                "device_id": device if isinstance(device, UUID) else None,
                "device_name": device if isinstance(device, str) else None,
            },
        ).fetchone()
        if found is None:
            raise NotFound(text("device.not_found"))
        return found[0], found[1]

    def _points(
        self, cursor: Cursor, tenant_id: UUID, device_id: UUID | None, order: Order
    ) -> list[tuple[UUID, str]] | None:
        """The points in the order asked, each once."""
        if order.points is None:
            return None
        rows = cursor.execute(
            self._queries["export_points"],
            {
                "tenant_id": tenant_id,
                "device_id": device_id,
                "ids": [point for point in order.points if isinstance(point, UUID)],
                "names": [point for point in order.points if isinstance(point, str)],
            },
        ).fetchall()
        known: Mapping[UUID | str, tuple[UUID, str, str]] = {
            key: (row[0], row[1], row[2]) for row in rows for key in (row[0], row[1])
        }
        found: dict[UUID, str] = {}
        for place, wanted in enumerate(order.points):
            if wanted not in known:
                # As another tenant's: it is not there.
                raise NotFound(text("export.no_point", point=wanted))
            point_id, name, kind = known[wanted]
            if order.agg != "raw" and kind != "num":
                raise _malformed(place, text("points.agg_not_numeric", point=name, type=kind))
            found[point_id] = name
        return list(found.items())

    def _one(self, cursor: Cursor, export_id: UUID) -> Export:
        row = cursor.execute(self._queries["export"], _told(export_id=export_id)).fetchone()
        assert row is not None  # of this very transaction
        return _export(row)

    def get(self, scope: Scope, export_id: UUID) -> Export | None:
        """One export."""
        with transaction(self._database, scope) as cursor:
            row = cursor.execute(self._queries["export"], _told(export_id=export_id)).fetchone()
        return None if row is None else _export(row)

    def parts(self, scope: Scope, export_id: UUID) -> Sequence[Part]:
        """An export's parts in order."""
        with transaction(self._database, scope) as cursor:
            rows = cursor.execute(
                self._queries["export_parts"], {"export_id": export_id}
            ).fetchall()
        return [Part(*row) for row in rows]

    def page(
        self, scope: Scope, status: Status | None, before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Export]:
        """Up to ``limit`` exports, newest first."""
        before_at, before_id = before or (None, None)
        parameters = _told(
            tenant_id=scope.tenant_id,
            status=status,
            before_at=before_at,
            before_id=before_id,
            limit=limit,
        )
        with transaction(self._database, scope) as cursor:
            rows = cursor.execute(self._queries["exports_page"], parameters).fetchall()
        return [_export(row) for row in rows]

    def cancel(self, tenant_id: UUID, export_id: UUID) -> bool:
        """End an export that is running; False where none is, any more."""
        return self._change("cancel_export", tenant_id, export_id) == 1

    def lose(self, tenant_id: UUID, export_id: UUID) -> None:
        """The file of a finished export is not there: it has expired."""
        self._change("lose_export", tenant_id, export_id)

    def _change(self, query: str, tenant_id: UUID, export_id: UUID) -> int:
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            cursor.execute(self._queries[query], {"tenant_id": tenant_id, "export_id": export_id})
            return cursor.rowcount

    def find_link(self, digest: bytes) -> tuple[UUID, UUID] | None:
        """Tenant and export that a link opens, in nobody's sight."""
        with self._database.transaction("traksense_app") as cursor:
            row = cursor.execute(self._queries["find_export_link"], {"digest": digest}).fetchone()
        return None if row is None else (row[0], row[1])


def _told(**parameters: Any) -> dict[str, Any]:
    return {**parameters, "told_within": TOLD_WITHIN}


def _export(row: tuple[Any, ...]) -> Export:
    values: tuple[Any, ...] = (*row[:4], Status(row[4]), *row[5:])
    return Export(*values)


def _malformed(place: int, message: Text) -> Invalid:
    return Malformed(message, ((f"body.points.{place}", message),))
