"""One transaction per slice of readings: optimistic COPY, and the sure way when it hits a repeat.

COPY is about twice as fast as ``ON CONFLICT DO NOTHING`` and knows no repeats: one that is there
already undoes the transaction, which is then done again the sure way. After that the sure way is
taken for a while, because repeats come in runs (a redelivery after a crash).
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg import errors as pg_errors
from psycopg.types.json import Jsonb

from traksense.db import binary, device_state, messages, queries
from traksense.db.closed_days import ClosedDays
from traksense.db.connection import REFUSED, Database
from traksense.domain.errors import DatabaseAway
from traksense.domain.readings import TS_BITS, TS_MASK, Value, from_microseconds
from traksense.services.acceptance import Accepted
from traksense.services.ingest import DirectoryOutdated, RowsRefused, Written

WARY_SLICES: Final = 8
"""How many slices go the sure way after COPY hit a repeat."""
MAX_WARY_SLICES: Final = 64
"""The same where repeats go on: each time that COPY then fails at once doubles it."""

MINUTE_US: Final = 60_000_000

_log = logging.getLogger(__name__)


class SqlReadingStore:
    """Writes accepted readings, device state and dead letters as ``traksense_ingest``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("ingest")
        self._closed_days = ClosedDays(database)
        self._wary = 0
        self._next_wary = WARY_SLICES

    def write(self, accepted: Accepted) -> Written:
        """Everything of one slice in one transaction, but for what devices say of themselves.

        Raises DatabaseAway when another try may succeed, RowsRefused when it never will, and
        DirectoryOutdated, with nothing written, when a device is not there any more. What is
        neither, such as a column that a half-done deployment left out, passes as it is.
        """
        try:
            self._report(accepted)
            return self._write(accepted)
        except pg_errors.NotNullViolation:
            raise  # a column that this code does not know of: no fault of the data
        except (*REFUSED, UnicodeError, struct.error) as error:
            raise RowsRefused(str(error)) from error

    def _write(self, accepted: Accepted) -> Written:
        keys = sorted(accepted.rows)
        optimistic = self._wary == 0
        if not optimistic:
            self._wary -= 1
        for _ in range(4):
            try:
                written = self._transaction(accepted, keys, optimistic)
            except pg_errors.UniqueViolation:
                if not optimistic:
                    raise
                optimistic = False
                self._wary = self._next_wary
                self._next_wary = min(2 * self._next_wary, MAX_WARY_SLICES)
            except pg_errors.RestrictViolation as error:
                self._closed_days.learn(error)
            except DatabaseAway as error:
                # Who closes a day waits for its writers and makes others wait: of a circle the
                # server undoes one, and what it undid is simply done again.
                if not isinstance(error.__cause__, pg_errors.DeadlockDetected):
                    raise
                _log.info("a deadlock undid a slice; writing it again")
            except pg_errors.CheckViolation as error:
                # A row outside of every partition breaks no constraint that has a name.
                if error.diag.constraint_name is not None:
                    raise
                self._ensure_partitions(keys)
            else:
                if optimistic and keys:
                    self._next_wary = WARY_SLICES
                return written
        raise DatabaseAway("these readings met one obstacle after another: another try may succeed")

    def _transaction(self, accepted: Accepted, keys: list[int], optimistic: bool) -> Written:
        with self._database.transaction(
            "traksense_ingest", opening=self._queries["watermark"]
        ) as cursor:
            watermark = cursor.fetchone()
            # Device state comes before readings in every transaction: one order of locks.
            came_online, gone = device_state.touch(cursor, accepted.heard)
            if gone:
                raise DirectoryOutdated(f"{len(gone)} devices were removed")
            oldest_us = min([key & TS_MASK for key in keys], default=0)
            rows, late = self._closed_days.split(keys, oldest_us)
            stored = len(rows)
            if rows and optimistic:
                self._copy(cursor, rows, accepted)
            elif rows:
                cursor.execute(
                    self._queries["insert_readings"],
                    binary.reading_arrays(rows, accepted.rows, accepted.meta),
                )
                stored = cursor.rowcount
            stored += self._closed_days.add(cursor, late, accepted)
            sealed_us, current_pass = watermark or (None, None)
            if keys and sealed_us is not None and oldest_us < sealed_us:
                self._mark_late(cursor, keys, accepted.rows, sealed_us, current_pass)
            messages.keep(cursor, accepted.messages)
            device_state.keep_dead_letters(cursor, accepted.dead_letters)
        return Written(stored, len(keys) - stored, came_online)

    def _copy(self, cursor: psycopg.Cursor[Any], keys: Sequence[int], accepted: Accepted) -> None:
        if not accepted.meta and binary.all_numbers(accepted.rows.values()):
            statement, chunks = "copy_numbers", binary.number_chunks(keys, accepted.rows)
        else:
            statement = "copy_readings"
            chunks = binary.reading_chunks(keys, accepted.rows, accepted.meta)
        with cursor.copy(self._queries[statement].rstrip(";")) as copy:
            for chunk in chunks:
                copy.write(chunk)

    def _mark_late(
        self,
        cursor: psycopg.Cursor[Any],
        keys: Sequence[int],
        rows: dict[int, Value],
        sealed_us: int,
        current_pass: int,
    ) -> None:
        """Note the minutes that have been computed without these readings. Numbers alone have
        rollups.
        """
        late = [key for key in keys if key & TS_MASK < sealed_us]
        minutes = sorted(
            {key - (key & TS_MASK) % MINUTE_US for key in late if type(rows[key]) is float}
        )
        if minutes:
            marks = {
                "pass": current_pass,
                "point_sk": binary.integers(key >> TS_BITS for key in minutes),
                "bucket": binary.instants(key & TS_MASK for key in minutes),
            }
            cursor.execute(self._queries["mark_late"], marks)

    def _ensure_partitions(self, keys: Sequence[int]) -> None:
        stamps = [key & TS_MASK for key in keys]
        days = {from_microseconds(ts).date() for ts in (min(stamps), max(stamps))}
        _log.warning("day partitions were missing between %s and %s", min(days), max(days))
        with self._database.transaction("traksense_ingest") as cursor:
            cursor.execute(
                self._queries["ensure_partitions"],
                {"first": min(days), "last": max(days) + timedelta(days=1)},
            )

    def _report(self, accepted: Accepted) -> None:
        """Keep what devices say of themselves, in a transaction of its own: it locks other rows
        of device_state than the readings' does, and two sets in one could wait in a circle.
        """
        if not accepted.reported:
            return
        devices = sorted(accepted.reported)
        with self._database.transaction("traksense_ingest") as cursor:
            cursor.execute(
                self._queries["report_metadata"],
                {
                    "device_ids": devices,
                    "reported": [Jsonb(accepted.reported[device]) for device in devices],
                },
            )
