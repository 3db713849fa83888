"""The rollups' statements, as ``traksense_owner``."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import errors as pg_errors

from traksense.db import queries
from traksense.db.connection import Database
from traksense.domain.errors import DatabaseAway
from traksense.services.rollups import LEVELS, LevelProgress, Slice

MARKS_AT_ONCE: Final = 50_000
"""Late minutes that one transaction deals with: a second or two of work."""
STATEMENT_TIMEOUT_MS: Final = 120_000
"""A statement of a slice takes seconds; this is to end what hangs."""

_STATEMENTS: Final = {
    "1m": ("minutes", "m_raw_ts_idx", "late_minutes"),
    "5m": ("five_minutes", "r_1m_bucket_idx", "late_five_minutes"),
    "1h": ("hours", "r_5m_bucket_idx", "late_hours"),
}
"""Of each level: what computes it, the summary of the pages that it reads, and what computes what
came late."""


class SqlRollupStore:
    """Implements ``traksense.services.rollups.RollupStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("rollups")

    def seal(self, wall_clock: datetime, most: timedelta) -> bool | None:
        """Close the minutes that are over, at most so far past what is refreshed."""
        with self._database.transaction("traksense_owner") as cursor:
            if not self._is_only_one(cursor):
                return None
            row = cursor.execute(
                self._queries["seal"], {"wall_clock": wall_clock, "most": most}
            ).fetchone()
        return row is not None and bool(row[0])

    def refresh(self, most: timedelta) -> Slice | None:
        """One transaction of computing; None when another refresh is at work.

        What is past the last refresh is there for the first time, and a plain INSERT is a third
        cheaper than one that looks for conflicts. Should a bucket be there all the same (rows
        brought by hand, a state set back), the transaction is done again the careful way.
        """
        is_careful = False
        for _ in range(3):
            try:
                return self._refresh(most, is_careful)
            except pg_errors.UniqueViolation:
                if is_careful:
                    raise
                is_careful = True
            except pg_errors.CheckViolation as error:
                # A row outside of every partition breaks no constraint that has a name.
                if error.diag.constraint_name is not None:
                    raise
                with self._database.transaction("traksense_owner") as cursor:
                    cursor.execute(self._queries["ensure_partitions_of_work"])
        raise DatabaseAway("the month partitions of the rollups could not be made")

    def _refresh(self, most: timedelta, is_careful: bool) -> Slice | None:
        started = time.monotonic()
        with self._database.transaction(
            "traksense_owner", statement_timeout_ms=STATEMENT_TIMEOUT_MS
        ) as cursor:
            if not self._is_only_one(cursor):
                return None
            rows = cursor.execute(self._queries["work"], {"most": most}).fetchall()
            if not rows:
                return Slice(0, 0, is_last=True)  # nothing was ever sealed
            current_pass, leaves_some, is_in_rows = rows[0][3:]
            left = self._first_mark_left(cursor, current_pass)
            took, buckets = [], []
            for level, first, end, *_ in rows:
                written = self._compute(cursor, level, first, end, is_in_rows, is_careful)
                if left is not None:
                    late = self._queries[_STATEMENTS[level][2]]
                    written += cursor.execute(late, {**left, "refreshed": first}).rowcount
                buckets.append(written)
                took.append(round((time.monotonic() - started) * 1000))
            marks = 0
            if left is not None:
                marks = cursor.execute(self._queries["forget_marks"], left).rowcount
            cursor.execute(
                self._queries["refreshed"],
                {
                    "levels": [row[0] for row in rows],
                    "refreshed": [row[2] for row in rows],
                    "took_ms": took,
                    "buckets": buckets,
                },
            )
        return Slice(sum(buckets), marks, is_last=marks < MARKS_AT_ONCE and not leaves_some)

    def _is_only_one(self, cursor: psycopg.Cursor[Any]) -> bool:
        row = cursor.execute(self._queries["only_refresh"]).fetchone()
        return row is not None and bool(row[0])

    def _first_mark_left(
        self, cursor: psycopg.Cursor[Any], current_pass: int
    ) -> dict[str, Any] | None:
        """The bound of the marks to deal with, of the passes before this and not too many; None
        where there are none, as nearly always.
        """
        row = cursor.execute(
            self._queries["marks_to_do"], {"pass": current_pass, "most": MARKS_AT_ONCE}
        ).fetchone()
        if row is None or not row[0]:
            return None
        bound = (current_pass, -(2**31), "-infinity") if row[1] is None else row[1:]
        return dict(zip(("pass", "point_sk", "mark"), bound, strict=True))

    def _compute(
        self,
        cursor: psycopg.Cursor[Any],
        level: str,
        first: datetime,
        end: datetime,
        is_in_rows: bool,
        is_careful: bool,
    ) -> int:
        """The buckets of a level between two instants; how many were written."""
        if first == end:
            return 0
        span = {"first": first, "end": end}
        name, summary, _ = _STATEMENTS[level]
        if level == "1m":
            if not is_in_rows:
                name = "minutes_of_closed_days"
            elif end - first == LEVELS["1m"]:
                name = "one_minute"
        statement = self._queries[name]
        if is_careful:
            statement = f"{statement}\n{self._queries['keep_fuller']}"
        cursor.execute(self._queries["summarize_pages"], {"summary": f"public.{summary}", **span})
        cursor.execute(self._queries["by_pages"], {"other_ways": "off"})
        written = cursor.execute(statement, span).rowcount
        cursor.execute(self._queries["by_pages"], {"other_ways": "on"})
        return written

    def ensure_partitions(self, first: date, last: date) -> int:
        """Make the missing month partitions from one UTC day to another; how many that were."""
        with self._database.transaction("traksense_owner") as cursor:
            row = cursor.execute(
                self._queries["ensure_partitions"], {"first": first, "last": last}
            ).fetchone()
        return 0 if row is None else int(row[0])

    def progress(self) -> list[LevelProgress]:
        """How far each level is."""
        with self._database.transaction("traksense_owner") as cursor:
            rows = cursor.execute(self._queries["progress"]).fetchall()
        return [LevelProgress(*row) for row in rows]
