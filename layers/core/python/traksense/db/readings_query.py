"""Readings in PostgreSQL, as the API reads them: through the tenant's views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import psycopg

from traksense.db import queries
from traksense.db.columns import Kind, instants, numbers
from traksense.db.connection import Database
from traksense.db.scope import transaction
from traksense.services.readings_query import LatestReading, Reads
from traksense.services.scope import Scope
from traksense.services.series import PointOfDevice, PointsOfDevice, Rows
from traksense.services.series_levels import LEVELS, Level, Window, instant_of

_RAW: Final[tuple[Kind, ...]] = ("d", "h")
_ROLLUP: Final[tuple[Kind, ...]] = ("d", "d", "d", "q")
"""How the columns of a level are encoded."""


class SqlReadingStore:
    """Implements ``traksense.services.readings_query.ReadingStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("readings")

    def reading(self, scope: Scope) -> AbstractContextManager[Reads]:
        """One transaction."""
        return self._reading(scope)

    @contextmanager
    def _reading(self, scope: Scope) -> Iterator[Reads]:
        with transaction(self._database, scope) as cursor:
            yield _SqlReads(cursor)

    def latest(self, scope: Scope, device: UUID | str) -> Sequence[LatestReading] | None:
        """Each point's newest reading."""
        with transaction(self._database, scope) as cursor:
            found = cursor.execute(self._queries["latest"], device_reference(device)).fetchall()
        if not found:
            return None
        return [
            LatestReading(
                point_id, name, type_, unit, ts, {"num": num, "bool": flag}.get(type_, words), qual
            )
            for point_id, name, type_, unit, ts, num, flag, words, qual in found
            if point_id is not None
        ]


class _SqlReads:
    """Implements ``traksense.services.readings_query.Reads``."""

    def __init__(self, cursor: psycopg.Cursor[tuple[Any, ...]]) -> None:
        self._cursor = cursor
        self._queries = queries.load("readings")

    def points(self, device: UUID | str, points: Sequence[UUID | str]) -> PointsOfDevice | None:
        """In the order asked."""
        return find_points(self._cursor, device, points)

    def count(
        self, level: Level, points: Sequence[UUID], window: Window, most: int
    ) -> Mapping[UUID, int]:
        """Counted no further than one beyond ``most``."""
        found = self._run(f"count_{level}", points, window, most + 1)
        return dict(found)

    def numbers(
        self, level: Level, points: Sequence[UUID], window: Window, most: int
    ) -> Mapping[UUID, Rows]:
        """A level's rows."""
        found = self._run(f"rows_{level}", points, window, most + 1)
        made: dict[UUID, Rows] = {}
        for point, ts, *columns in found:
            at = instants(ts)
            kinds = _RAW if level == "raw" else _ROLLUP
            values = tuple(numbers(data, kind) for data, kind in zip(columns, kinds, strict=True))
            made[point] = Rows(at, values, more=len(at) > most)
        return made

    def values(
        self, points: Sequence[PointOfDevice], window: Window, most: int, text_bytes: int
    ) -> Mapping[UUID, Rows]:
        """Readings of points that are no numbers."""
        return self._values("values", points, window, most, text_bytes)

    def changes(
        self, points: Sequence[PointOfDevice], window: Window, most: int, text_bytes: int
    ) -> Mapping[UUID, Rows]:
        """Those that differ from the one before."""
        return self._values("changes", points, window, most, text_bytes)

    def _values(
        self, query: str, points: Sequence[PointOfDevice], window: Window, most: int, size: int
    ) -> dict[UUID, Rows]:
        types = {point.point_id: point.type for point in points}
        found = self._run(query, list(types), window, most + 1, text_bytes=size)
        made: dict[UUID, Rows] = {}
        for point, count, ts, flags, words, qual in found:
            at = instants(ts)
            values = flags if types[point] == "bool" else words
            # "count" is what there was before texts ended the series.
            more = count > most or count > len(at)
            made[point] = Rows(at, (values or [], numbers(qual, "h")), more=more)
        return made

    def _run(
        self, query: str, points: Sequence[UUID], window: Window, rows: int, **more: int
    ) -> list[tuple[Any, ...]]:
        parameters = {
            "point_ids": list(points),
            "start": instant_of(window.start),
            "end": instant_of(window.end),
            "rows": rows,
            **more,
        }
        return self._cursor.execute(self._queries[query], parameters, binary=True).fetchall()


def find_points(
    cursor: psycopg.Cursor[tuple[Any, ...]], device: UUID | str, points: Sequence[UUID | str]
) -> PointsOfDevice | None:
    """A device's points in the order asked; None where there is no such device."""
    parameters = {
        **device_reference(device),
        "point_ids": [ref if isinstance(ref, UUID) else None for ref in points],
        "point_names": [ref if isinstance(ref, str) else None for ref in points],
    }
    found = cursor.execute(queries.load("readings")["points"], parameters).fetchall()
    if not found:
        return None
    time_zone, *days = found[0][5:]
    return PointsOfDevice(
        [None if row[1] is None else PointOfDevice(*row[:5]) for row in found],
        time_zone,
        {
            level: timedelta(days=kept)
            for level, kept in zip(LEVELS, days, strict=True)
            if kept is not None
        },
    )


def device_reference(device: UUID | str) -> dict[str, UUID | str | None]:
    """A device as the parameters of a query: by its id or by its name."""
    by_id = isinstance(device, UUID)
    return {"device_id": device if by_id else None, "device_name": None if by_id else device}
