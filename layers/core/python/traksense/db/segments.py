"""The statements that close days, as ``traksense_owner``."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from psycopg import errors as pg_errors

from traksense.db import queries
from traksense.db.connection import Database
from traksense.domain.errors import DatabaseAway
from traksense.services.segments import DayStatus


def is_busy(error: DatabaseAway) -> bool:
    """Whether a lock could not be had in time, so that the same step may simply wait."""
    return isinstance(error.__cause__, pg_errors.LockNotAvailable | pg_errors.DeadlockDetected)


class SqlSegmentStore:
    """Implements ``traksense.services.segments.SegmentStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("segments")

    def _rows(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self._database.transaction("traksense_owner") as cursor:
            return cursor.execute(self._queries[name], parameters).fetchall()

    def has_segments(self) -> bool:
        """Whether this engine keeps closed days as segments."""
        return bool(self._rows("has_segments")[0][0])

    def closable_days(self, close_after: timedelta) -> list[date]:
        """Days that ended so long ago and are not closed, oldest first."""
        return [day for (day,) in self._rows("closable_days", close_after=close_after)]

    def begin_closing(self, day: date) -> None:
        """From here on, readings of the day are told apart as late ones."""
        self._rows("begin_closing", day=day)

    def build_slice(self, day: date, rows: int) -> bool:
        """Build the segments of the next points; whether there were any."""
        return bool(self._rows("build_slice", day=day, rows=rows)[0][0])

    def catch_up(self, day: date, points: int) -> int:
        """Build anew the segments of points that got readings meanwhile; how many."""
        return int(self._rows("catch_up", day=day, points=points)[0][0])

    def finish_closing(self, day: date) -> bool:
        """Put the segments in the rows' place; False while somebody is at work who holds on to
        the rows, or began before all segments were there.
        """
        try:
            return bool(self._rows("finish_closing", day=day)[0][0])
        except DatabaseAway as error:
            if is_busy(error):
                return False
            raise

    def late_days(self) -> list[date]:
        """Closed days with late rows."""
        return [day for (day,) in self._rows("late_days")]

    def merge_late(self, day: date, points: int) -> tuple[int, int]:
        """Take late rows into their segments: how many points, how many readings."""
        found, merged = self._rows("merge_late", day=day, points=points)[0]
        return int(found), int(merged)

    def days(self) -> list[DayStatus]:
        """The days that are closed or being closed, newest first."""
        return [DayStatus(*row) for row in self._rows("days")]
