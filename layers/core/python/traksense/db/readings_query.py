"""Readings in PostgreSQL, as the API reads them: through the tenant's view, in one query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.scope import transaction
from traksense.services.readings_query import FoundSeries, LatestReading, PointsQuestion, Row
from traksense.services.scope import Scope

_UTC_NAMES: Final = frozenset({"UTC", "Etc/UTC"})


class SqlReadingStore:
    """Implements ``traksense.services.readings_query.ReadingStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("readings")

    def series(
        self, scope: Scope, question: PointsQuestion, rows: int, text_bytes: int
    ) -> Sequence[FoundSeries | str | UUID] | None:
        """Each point's readings in the order asked."""
        parameters: dict[str, Any] = {
            **_device(question.device),
            "point_ids": [ref if isinstance(ref, UUID) else None for ref in question.points],
            "point_names": [ref if isinstance(ref, str) else None for ref in question.points],
            "start": question.start,
            "end": question.end,
            "rows": rows,
            "text_bytes": text_bytes,
        }
        with transaction(self._database, scope) as cursor:
            # Binary: arrays of instants and floats come at half the cost, bit for bit.
            found = cursor.execute(self._queries["series"], parameters, binary=True).fetchall()
        if not found:
            return None
        series: dict[UUID | str, FoundSeries | str | UUID] = {}
        for device_id, n, point_id, name, type_, unit, count, ts, num, flag, words, qual in found:
            if point_id is None:
                missing = question.points[n - 1]
                series[missing] = missing
                continue
            values = {"num": num, "bool": flag}.get(type_, words)
            taken: list[Row] = list(zip(_utc(ts), values, qual, strict=True)) if ts else []
            series[point_id] = FoundSeries(
                device_id, point_id, name, type_, unit, taken, count > rows or count > len(taken)
            )
        return list(series.values())

    def latest(self, scope: Scope, device: UUID | str) -> Sequence[LatestReading] | None:
        """Each point's newest reading."""
        with transaction(self._database, scope) as cursor:
            found = cursor.execute(self._queries["latest"], _device(device)).fetchall()
        if not found:
            return None
        return [
            LatestReading(
                point_id, name, type_, unit, ts, {"num": num, "bool": flag}.get(type_, words), qual
            )
            for point_id, name, type_, unit, ts, num, flag, words, qual in found
            if point_id is not None
        ]


def _device(device: UUID | str) -> dict[str, UUID | str | None]:
    by_id = isinstance(device, UUID)
    return {"device_id": device if by_id else None, "device_name": None if by_id else device}


def _utc(instants: list[datetime]) -> list[datetime]:
    """In UTC; as they are where the session's time zone is UTC already, which is the rule."""
    if str(instants[0].tzinfo) in _UTC_NAMES:
        return instants
    return [instant.astimezone(UTC) for instant in instants]
