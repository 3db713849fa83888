"""Refreshing the continuous aggregates, as ``traksense_owner``.

A refresh commits as it goes, which no statement inside a transaction may: it has a session of its
own, while a transaction beside it holds the lock that keeps other refreshes away.

Two things the server does not do by itself are done here:

* A refresh of a range whose source is gone deletes what was made of it. No window begins before
  the oldest source there is, or where some of it was dropped (``rollup_start``).
* A transaction notes late readings by the mark that a refresh moves, which it reads just before
  it commits; the two do not wait for each other. So the mark is moved first, with the window's last
  bucket, then every writer is waited for, and that bucket is computed once more.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final, LiteralString

import psycopg
from psycopg import errors as pg_errors
from psycopg import sql

from traksense.db import queries
from traksense.db.connection import Database
from traksense.services.rollups import LEVELS, LevelProgress, Slice

PART_TIMEOUT_S: Final = 15
"""What a refresh of a longer span may take before it is done in halves."""
HOUR_TIMEOUT_S: Final = 300
"""What that of a shorter one may take: this is to end what hangs."""
SHORT: Final = timedelta(hours=1)

_WRITTEN: Final = re.compile(r"(?:inserted|merged) (\d+) row\(s\) into materialization table")
_REFRESH: Final[LiteralString] = (
    "CALL public.refresh_continuous_aggregate({level}::regclass, {first}::timestamptz,"
    " {end}::timestamptz, {force}{options})"
)
# Steps of its own would skip a note of a single instant that is a step's first.
_IN_ONE: Final[LiteralString] = ", '{\"buckets_per_batch\": 0}'::jsonb"


@dataclass(frozen=True, slots=True)
class _Span:
    """What is to be done of a level."""

    level: str
    refreshed: datetime
    end: datetime


def refresh_in_parts(
    call: Callable[[datetime, datetime, int], None],
    step: timedelta,
    first: datetime,
    end: datetime,
) -> None:
    """Refresh a span, in halves where it takes too long; ``call`` takes it and its seconds.

    The parts begin and end with buckets of this width. What is done stays done. Raises
    QueryCanceled where an hour takes too long.
    """
    is_short = end - first <= SHORT
    try:
        call(first, end, HOUR_TIMEOUT_S if is_short else PART_TIMEOUT_S)
    except pg_errors.QueryCanceled:
        if is_short:
            raise
        middle = first + (end - first) // 2 // step * step
        refresh_in_parts(call, step, first, middle)
        refresh_in_parts(call, step, middle, end)


class _Refresher:
    """A session that refreshes and counts what it wrote."""

    def __init__(self, connection: psycopg.Connection[Any], takes_options: bool) -> None:
        self._connection = connection
        self._options = _IN_ONE if takes_options else ""
        self.written = 0
        connection.add_notice_handler(self._hear)

    def _hear(self, diagnostic: pg_errors.Diagnostic) -> None:
        found = _WRITTEN.search(diagnostic.message_primary or "")
        if found:
            self.written += int(found[1])

    def refresh(self, level: str, first: datetime, end: datetime) -> None:
        """Compute what has changed between two instants."""
        refresh_in_parts(partial(self.call, level), LEVELS[level], first, end)

    def call(
        self, level: str, first: datetime, end: datetime, timeout_s: int, *, force: bool = False
    ) -> None:
        """One refresh; ``force``: of what has not changed, too."""
        self._connection.execute(
            "SELECT pg_catalog.set_config('statement_timeout', %s, false)", (f"{timeout_s}s",)
        )
        self._connection.execute(
            sql.SQL(_REFRESH).format(
                level=sql.Literal(f"public.r_{level}"),
                first=sql.Literal(first),
                end=sql.Literal(end),
                force=sql.Literal(force),
                options=sql.SQL(self._options),
            )
        )


class TimescaleRollupStore:
    """Implements ``traksense.services.rollups.RollupStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("timescale")

    def seal(self, wall_clock: datetime, most: timedelta) -> bool | None:
        """Say up to where the next refresh goes, at most so far past what is refreshed."""
        with self._only_refresh() as cursor:
            if cursor is None:
                return None
            row = cursor.execute(
                self._queries["seal"], {"wall_clock": wall_clock, "most": most}
            ).fetchone()
        return row is not None and bool(row[0])

    def refresh(self, most: timedelta) -> Slice | None:  # noqa: ARG002 - heeded by seal
        """Compute up to there, and what came late; None when another refresh is at work.

        Late readings are dealt with all at once.
        """
        started = time.monotonic()
        with self._only_refresh() as cursor:
            if cursor is None:
                return None
            work = [_Span(*row) for row in cursor.execute(self._queries["work"]).fetchall()]
            total = 0
            for span, written in self._run(work):
                total += written
                cursor.execute(
                    self._queries["refreshed"],
                    {
                        "level": span.level,
                        "refreshed": span.end,
                        "buckets": written,
                        "took_ms": round((time.monotonic() - started) * 1000),
                    },
                )
        return Slice(total, 0, is_last=True)

    @contextmanager
    def _only_refresh(self) -> Iterator[psycopg.Cursor[Any] | None]:
        with self._database.transaction("traksense_owner") as cursor:
            row = cursor.execute(self._queries["only_refresh"]).fetchone()
            yield cursor if row is not None and row[0] else None

    def _run(self, work: list[_Span]) -> Iterator[tuple[_Span, int]]:
        with self._database.session(
            "traksense_owner",
            settings={
                # Buckets that are compressed are computed anew like others.
                "timescaledb.max_tuples_decompressed_per_dml_transaction": "0",
                "client_min_messages": "log",  # that is where the server says what it wrote
            },
        ) as connection:
            row = connection.execute(self._queries["refresh_in_one"]).fetchone()
            refresher = _Refresher(connection, takes_options=row == (True,))
            for span in work:
                before = refresher.written
                row = connection.execute(self._queries["start"], {"level": span.level}).fetchone()
                start: datetime | None = None if row is None else row[0]
                if start is not None and start < span.end:
                    if span.level == "1m" and span.refreshed < span.end:
                        self._move_mark(connection, refresher, span.end)
                    refresher.refresh(span.level, start, span.end)
                yield span, refresher.written - before

    def _move_mark(
        self, connection: psycopg.Connection[Any], refresher: _Refresher, end: datetime
    ) -> None:
        last = end - LEVELS["1m"]
        before = refresher.written
        refresher.call("1m", last, end, HOUR_TIMEOUT_S)
        connection.execute(self._queries["await_writers"])
        refresher.written = before  # its buckets are written once more
        refresher.call("1m", last, end, HOUR_TIMEOUT_S, force=True)

    def ensure_partitions(self, first: date, last: date) -> int:  # noqa: ARG002 - none to make
        """Nothing: chunks come of themselves."""
        return 0

    def progress(self) -> list[LevelProgress]:
        """How far each level is."""
        with self._database.transaction("traksense_owner") as cursor:
            rows = cursor.execute(self._queries["progress"]).fetchall()
        return [LevelProgress(*row) for row in rows]
