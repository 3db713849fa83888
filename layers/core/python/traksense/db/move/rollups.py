"""Rollups: those of readings that are long gone are copied, the others the target makes itself.

They are compared exactly but for the sums, whose last bits depend on the order of addition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from psycopg import sql

from traksense.db.move.errors import Mismatch
from traksense.db.move.ledger import Ledger
from traksense.db.move.progress import Say
from traksense.db.move.servers import Pair, Server, stream
from traksense.db.move.spans import DAY, HOUR, bin_hour, day_of, spans
from traksense.services.maintenance import MaintenanceService

LEVELS: Final = ("1h", "5m", "1m")
TOLERANCE: Final = 1e-9
"""Of a sum, relative to what was added up."""


class Rollups:
    """The three levels."""

    def __init__(
        self,
        pair: Pair,
        ledger: Ledger,
        say: Say,
        *,
        source: MaintenanceService,
        target: MaintenanceService,
    ) -> None:
        """``source`` and ``target`` refresh the rollups of the two servers."""
        self._pair = pair
        self._ledger = ledger
        self._say = say
        self._services = {"source": source, "target": target}
        self._equal: dict[tuple[str, datetime], int] = {}
        self._tables: dict[str, sql.Composable] = {}

    def refresh(self, label: str) -> None:
        """Bring one server's rollups up to date with its readings."""
        while not self._services[label].run("refresh_rollups")["complete"]:
            self._say(f"rollups of the {label}: refreshing …")

    def copy_old(self, raw_from: datetime) -> int:
        """Copy the buckets from before the readings that came along; how many."""
        copied = self._ledger.rollups()
        total = 0
        for level in LEVELS:
            for month, ends in self._old_months(level, raw_from):
                if (level, month) not in copied:
                    buckets = self._copy_month(level, month, ends)
                    total += buckets
                    self._say(f"rollups {level} {month:%Y-%m}: {buckets:,} buckets, equal")
        return total

    def _copy_month(self, level: str, month: datetime, ends: datetime) -> int:
        source, target = self._pair.source, self._pair.target
        table = self._table(target, level)
        with target.transaction():
            target.run(f"ensure_rollup_month_{target.engine}", month=month)
            buckets = stream(
                source,
                _of(source, "read_rollups", self._view(level)),
                target,
                _of(target, "write_rollups", table),
                first=month,
                ends=ends,
            )
            here, there = self._check(level, month, ends)
            if here != there:
                raise Mismatch(
                    f"the rollups {level} of {month:%Y-%m} are not on the target as on the source: "
                    "run the same command again"
                )
            checksum = sum((each[1] + each[2] for each in here.values()), Decimal(0))
            self._ledger.note_rollups(level, month, buckets, checksum)
        return buckets

    def _view(self, level: str) -> sql.Composable:
        return sql.Identifier("public", f"r_{level}")

    def _table(self, server: Server, level: str) -> sql.Composable:
        if level not in self._tables:
            schema, name = server.rows(f"rollup_table_{server.engine}", level=level)[0]
            self._tables[level] = sql.Identifier(schema, name)
        return self._tables[level]

    def _check(self, level: str, first: datetime, ends: datetime) -> tuple[Any, Any]:
        statement = _of(self._pair.source, "check_rollups", self._view(level))
        found = self._pair.both_composed(statement, first=first, ends=ends)
        here, there = ({day: tuple(rest) for day, *rest in rows} for rows in found)
        return here, there

    def recomputed_otherwise(self, raw_from: datetime | None) -> list[str]:
        """Old months that were copied, then computed anew from a finer level, and differ now.

        TimescaleDB computes five minutes and hours once more from the minutes that were copied.
        They are the same unless somebody has changed one level of the source and not the other.
        """
        if self._pair.target.engine != "timescale" or raw_from is None:
            return []
        return [
            f"{level} of {month:%Y-%m}"
            for level in LEVELS[:2]
            for month, ends in self._old_months(level, raw_from)
            if not self._is_equal(level, month, ends)
        ]

    def _old_months(self, level: str, raw_from: datetime) -> Iterator[tuple[datetime, datetime]]:
        source = self._pair.source
        first = source.value(f"rollups_from_{source.engine}", level=level)
        return _months(first, raw_from)

    def compare(self, counts: dict[datetime, int]) -> list[str]:
        """Compare the hours that have readings (``counts``, by hour) as far as both servers are
        refreshed, but for those that were found equal and have as many readings still; the levels
        and days that differ.
        """
        wrong = []
        here, there = (dict(rows) for rows in self._pair.both("refreshed"))
        for level in LEVELS:
            edges = [at for at in (here[level], there[level]) if at is not None]
            if len(edges) < 2:
                continue  # one of them has none: the other's could not be compared
            due = {
                hour
                for hour, count in counts.items()
                if hour < min(edges) and self._equal.get((level, hour)) != count
            }
            for first, ends in spans(due):
                different = self._different(level, first, min(ends, *edges))
                wrong += [f"{level} {day:%Y-%m-%d}" for day in sorted({*map(day_of, different)})]
                for hour in due:
                    if first <= hour < ends and hour + HOUR <= min(edges) and hour not in different:
                        self._equal[level, hour] = counts[hour]
        return wrong

    def _is_equal(self, level: str, first: datetime, ends: datetime) -> bool:
        return not self._different(level, first, ends)

    def _different(self, level: str, first: datetime, ends: datetime) -> set[datetime]:
        """The hours of a span whose buckets are not the same."""
        here, there = self._check(level, first, ends)
        suspect = {hour for hour in here.keys() | there.keys() if here.get(hour) != there.get(hour)}
        different = {hour for hour in suspect if here.get(hour, ())[:2] != there.get(hour, ())[:2]}
        for start, end in spans(suspect - different):
            # Nothing but sums differs: these are looked at one by one.
            pairs = zip(
                self._rows(self._pair.source, level, start, min(end, ends)),
                self._rows(self._pair.target, level, start, min(end, ends)),
                strict=True,
            )
            different |= {bin_hour(at) for (at, *a), (_, *b) in pairs if not _is_close(a, b)}
        return different

    def _rows(
        self, server: Server, level: str, day: datetime, ends: datetime
    ) -> Iterator[tuple[datetime, float, float, float, int]]:
        """Each bucket with sum, minimum, maximum and count, in one order on every server."""
        reading = server.owner.cursor()
        statement = _of(server, "read_rollups", self._view(level))
        with reading.copy(statement, {"first": day, "ends": ends}) as out:
            out.set_types(["timestamptz", "float8", "float8", "float8", "int4", "int4"])
            for bucket, s, mn, mx, _, n in out.rows():
                yield bucket, s, mn, mx, n

    def remove_day(self, day: datetime) -> None:
        """Take a day off the target's tables, where it is not computed anew otherwise."""
        target = self._pair.target
        if target.engine == "plain":
            for level in LEVELS:
                statement = _of(target, "remove_rollups", self._table(target, level))
                target.owner.execute(statement, {"first": day, "ends": day + DAY})


def _of(server: Server, name: str, table: sql.Composable) -> sql.Composed:
    return sql.SQL(server.queries[name].rstrip(";")).format(rollup=table)


def _months(first: datetime | None, ends: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The months (UTC) between two instants: beginning, and end or what comes before it."""
    if first is None:
        return
    month = first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while month < ends:
        following = (month + 32 * DAY).replace(day=1)
        yield month, min(following, ends)
        month = following


def _is_close(here: Sequence[float], there: Sequence[float]) -> bool:
    s, mn, mx, n = here
    if s == there[0] or (math.isnan(s) and math.isnan(there[0])):
        return True
    return abs(s - there[0]) <= TOLERANCE * max(abs(s), n * max(abs(mn), abs(mx)))
