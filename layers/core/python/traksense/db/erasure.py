"""Erasures in PostgreSQL: asked for as ``traksense_ops``, done as ``traksense_owner``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any
from uuid import UUID

import psycopg

from traksense.db import queries
from traksense.db.connection import Database
from traksense.domain.erasure import Erasure, Step
from traksense.services.erasure import Kind, Tombstone


class SqlErasureRequests:
    """Implements ``traksense.services.erasure.ErasureRequests``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("erasure")

    def find(self, slug: str) -> UUID | None:
        """The tenant with this slug."""
        found: UUID | None = self._first("find_tenant_to_erase", slug=slug)
        return found

    def begin(self, tenant_id: UUID) -> None:
        """Bury a tenant and ask for its erasure."""
        self._first("begin_erasure", tenant_id=tenant_id)

    def by_slug(self, slug: str) -> Erasure | None:
        """The erasure of the tenant that had this slug."""
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(self._queries["erasure_by_slug"], {"slug": slug}).fetchone()
        return None if row is None else _erasure(row)

    def _first(self, name: str, **parameters: Any) -> Any:
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(self._queries[name], parameters).fetchone()
        return None if row is None else row[0]


class SqlErasureStore:
    """Implements ``traksense.services.erasure.ErasureStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("erasure")

    @contextmanager
    def _asked(self, name: str, **parameters: Any) -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
        with self._database.transaction("traksense_owner") as cursor:
            yield cursor.execute(self._queries[name], parameters)

    def _row(self, name: str, **parameters: Any) -> tuple[Any, ...] | None:
        with self._asked(name, **parameters) as cursor:
            return cursor.fetchone()

    def _do(self, name: str, **parameters: Any) -> None:
        with self._asked(name, **parameters):
            pass

    def claim(self, lease_s: float) -> Erasure | None:
        """One that is not finished, for us alone until the lease is over."""
        row = self._row("claim_erasure", lease_s=lease_s)
        return None if row is None else _erasure(row)

    def release(self, erasure_id: UUID, trouble: str | None) -> None:
        """Let go of it until the next run."""
        self._do("release_erasure", erasure_id=erasure_id, trouble=trouble)

    def advance(self, erasure_id: UUID, step: Step, following: Step) -> datetime | None:
        """From one step to the next, and since when; None where somebody else did."""
        row = self._row(
            "advance_erasure", erasure_id=erasure_id, was_step=step.value, step=following.value
        )
        return None if row is None else row[0]

    def note(self, erasure_id: UUID, step: Step, done_to: str) -> None:
        """How far a step is."""
        self._do("note_erasure", erasure_id=erasure_id, step=step.value, done_to=done_to)

    def list_items(self, erasure_id: UUID) -> None:
        """Note what there is outside the tables that name the tenant."""
        self._do("list_for_erasure", erasure_id=erasure_id)

    def items(self, erasure_id: UUID, kind: Kind, after: str | None, limit: int) -> list[str]:
        """The next items of a kind, in order."""
        with self._asked(
            "erasure_items", erasure_id=erasure_id, kind=kind, after=after, limit=limit
        ) as cursor:
            return [key for (key,) in cursor.fetchall()]

    def drop_item(self, erasure_id: UUID, kind: Kind, key: str, counted: str, number: int) -> None:
        """One item is done with, and so many things are counted for it."""
        with self._asked("drop_erasure_item", erasure_id=erasure_id, kind=kind, key=key) as cursor:
            if cursor.rowcount:
                self._count(cursor, erasure_id, counted, number)
            if kind == "certificate":
                cursor.execute(
                    self._queries["revoke_erased_certificate"],
                    {"certificate_id": key.split(" ")[1]},
                )

    def telemetry_days(self) -> list[date]:
        """UTC days of which telemetry may be stored."""
        with self._asked("telemetry_days") as cursor:
            return [day for (day,) in cursor.fetchall()]

    def erase_readings(
        self, erasure_id: UUID, prefix: str, day: date, points: Sequence[int]
    ) -> None:
        """A day's readings of some points, in rows and segments."""
        with self._asked("erase_readings", day=day, points=list(points)) as cursor:
            readings, segments = _only(cursor)
            self._count(cursor, erasure_id, f"{prefix}readings", readings)
            self._count(cursor, erasure_id, f"{prefix}segments", segments)

    def erase_rollups(self, erasure_id: UUID, prefix: str, points: Sequence[int]) -> None:
        """The rollups of some points."""
        with self._asked("erase_rollups", points=list(points)) as cursor:
            self._count(cursor, erasure_id, f"{prefix}rollups", _only(cursor)[0])

    def erase_messages(
        self, erasure_id: UUID, prefix: str, day: date, devices: Sequence[UUID]
    ) -> None:
        """A day's kept messages of some devices."""
        with self._asked("erase_messages", day=day, devices=list(devices)) as cursor:
            self._count(cursor, erasure_id, f"{prefix}messages", _only(cursor)[0])

    def erase_configuration(self, erasure: Erasure, prefix: str, most: int) -> bool:
        """Some rows that name the tenant; whether there were any."""
        with self._asked("erase_configuration", tenant_id=erasure.tenant_id, most=most) as cursor:
            table, gone = _only(cursor)
            if table is not None:
                self._count(cursor, erasure.id, f"{prefix}configuration.{table}", gone)
        return table is not None

    def erase_dead_letters(self, erasure: Erasure, prefix: str, most: int) -> bool:
        """Some of its dead letters; whether there were any."""
        with self._asked("erase_dead_letters", tenant_id=erasure.tenant_id, most=most) as cursor:
            gone = int(_only(cursor)[0])
            self._count(cursor, erasure.id, f"{prefix}dead_letters", gone)
        return gone > 0

    def count(self, erasure_id: UUID, kind: str, number: int) -> None:
        """Count what was deleted elsewhere."""
        self._do("count_erased", erasure_id=erasure_id, kind=kind, number=number)

    def _count(self, cursor: psycopg.Cursor[Any], erasure_id: UUID, kind: str, number: int) -> None:
        cursor.execute(
            self._queries["count_erased"],
            {"erasure_id": erasure_id, "kind": kind, "number": number},
        )

    def leftovers(self, tenant_id: UUID) -> int:
        """Rows that are still the tenant's."""
        with self._asked("erasure_leftovers", tenant_id=tenant_id) as cursor:
            return int(_only(cursor)[0])

    def finish(self, erasure_id: UUID) -> Erasure | None:
        """The end: nothing is noted any more but the proof, which is this. None: it had ended."""
        row = self._row("finish_erasure", erasure_id=erasure_id)
        return None if row is None else _erasure(row)

    def bury_again(self, tombstone: Tombstone) -> bool:
        """Bury a tenant in a database that does not know of it; whether that was so."""
        with self._asked(
            "bury_again",
            slug=tombstone.slug,
            tenant_id=tombstone.tenant_id,
            buried_at=tombstone.buried_at,
        ) as cursor:
            return bool(_only(cursor)[0])


def _only(cursor: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None  # a function's answer is one row
    return row


def _erasure(row: tuple[Any, ...]) -> Erasure:
    return Erasure(row[0], row[1], row[2], Step(row[3]), *row[4:])
