"""Readings of days that are closed: kept apart from the others, and added without repeats.

A closed day's readings are no rows any more, so that neither COPY nor the unique key can tell a
repeat. Its partition refuses direct inserts (``closed_day``); who meets that learns which days are
closed, once, and from then on adds their readings by a statement that looks into the segments.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import errors as pg_errors

from traksense.db import binary, queries
from traksense.db.connection import Database
from traksense.domain.readings import TS_MASK, to_microseconds
from traksense.services.acceptance import Accepted

CONSTRAINT: Final = "closed_day"
_DAY: Final = timedelta(days=1)


class ClosedDays:
    """The days that this process knows to be closed. A day that is closed stays so."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("segments")
        self._starts: list[int] = []
        self._ends: list[int] = []

    def split(self, keys: Sequence[int], oldest_us: int) -> tuple[Sequence[int], Sequence[int]]:
        """Keys of open days and keys of closed ones, each in the order they came in.

        ``oldest_us`` is the first instant that any of them has.
        """
        if not self._ends or oldest_us >= self._ends[-1]:
            return keys, ()
        late = {key for key in keys if self._is_closed(key & TS_MASK)}
        return [key for key in keys if key not in late], [key for key in keys if key in late]

    def _is_closed(self, ts_us: int) -> bool:
        place = bisect_right(self._starts, ts_us) - 1
        return place >= 0 and ts_us < self._ends[place]

    def add(self, cursor: psycopg.Cursor[Any], keys: Sequence[int], accepted: Accepted) -> int:
        """Add readings of closed days in the cursor's transaction; how many were not there yet."""
        if not keys:
            return 0
        arrays = binary.reading_arrays(keys, accepted.rows, accepted.meta)
        row = cursor.execute(self._queries["add_late_readings"], arrays).fetchone()
        return 0 if row is None else int(row[0])

    def learn(self, error: pg_errors.RestrictViolation) -> None:
        """Read which days are closed, after an insert met one. Raises the error if it did not."""
        if error.diag.constraint_name != CONSTRAINT:
            raise error
        with self._database.transaction("traksense_ingest") as cursor:
            row = cursor.execute(self._queries["closed_days"]).fetchone()
        days: list[date] = sorted(row[0]) if row is not None else []
        midnights = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
        self._starts = [to_microseconds(midnight) for midnight in midnights]
        self._ends = [to_microseconds(midnight + _DAY) for midnight in midnights]
