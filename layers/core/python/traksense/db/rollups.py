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
from traksense.services.rollups import LevelProgress, Slice

MARKS_AT_ONCE: Final = 50_000
"""Late minutes that one transaction deals with: a second or two of work."""
BY_POINT_UP_TO: Final = timedelta(hours=2)
"""Longer spans are read in one pass: a pass costs as much as its whole days do, while going by
points costs about twice as much a reading."""
STATEMENT_TIMEOUT_MS: Final = 120_000
"""A statement of a slice takes seconds; this is to end what hangs."""


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
            cursor.execute(self._queries["more_memory"])
            rows = cursor.execute(self._queries["work"], {"most": most}).fetchall()
            if not rows:
                return Slice(0, 0, is_last=True)  # nothing was ever sealed
            work = {level: (first, end) for level, first, end, *_ in rows}
            current_pass, leaves_some = rows[0][3:]
            left = self._first_mark_left(cursor, current_pass)
            is_long = work["1m"][1] - work["1m"][0] >= BY_POINT_UP_TO
            computing = "minutes_at_once" if is_long else "minutes_by_point"
            buckets = {
                "1m": self._compute(cursor, computing, work["1m"], is_careful)
                + self._late(cursor, "late_minutes", left, work["1m"]),
                "5m": self._compute(cursor, "five_minutes", work["5m"], is_careful)
                + self._late(cursor, "late_five_minutes", left, work["5m"]),
                "1h": self._compute(cursor, "hours", work["1h"], is_careful)
                + self._late(cursor, "late_hours", left, work["1h"]),
            }
            marks = cursor.execute(self._queries["forget_marks"], left).rowcount
            for level, (_, end) in work.items():
                cursor.execute(
                    self._queries["refreshed"],
                    {
                        "level": level,
                        "refreshed": end,
                        "buckets": buckets[level],
                        "took_ms": round((time.monotonic() - started) * 1000),
                    },
                )
        return Slice(
            sum(buckets.values()), marks, is_last=marks < MARKS_AT_ONCE and not leaves_some
        )

    def _is_only_one(self, cursor: psycopg.Cursor[Any]) -> bool:
        row = cursor.execute(self._queries["only_refresh"]).fetchone()
        return row is not None and bool(row[0])

    def _first_mark_left(self, cursor: psycopg.Cursor[Any], current_pass: int) -> dict[str, Any]:
        """The bound of the marks to deal with: of the passes before this, and not too many."""
        row = cursor.execute(
            self._queries["first_mark_left"], {"pass": current_pass, "most": MARKS_AT_ONCE}
        ).fetchone()
        bound = (current_pass, -(2**31), "-infinity") if row is None else row
        return dict(zip(("pass", "point_sk", "mark"), bound, strict=True))

    def _compute(
        self,
        cursor: psycopg.Cursor[Any],
        name: str,
        span: tuple[datetime, datetime],
        is_careful: bool,
    ) -> int:
        first, end = span
        if first == end:
            return 0
        statement = self._queries[name]
        if is_careful:
            statement = f"{statement}\n{self._queries['keep_fuller']}"
        return cursor.execute(statement, {"first": first, "end": end}).rowcount

    def _late(
        self,
        cursor: psycopg.Cursor[Any],
        name: str,
        left: dict[str, Any],
        span: tuple[datetime, datetime],
    ) -> int:
        return cursor.execute(self._queries[name], {**left, "refreshed": span[0]}).rowcount

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
