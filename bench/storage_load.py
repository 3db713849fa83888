"""Loading: every reading through the ingest handler, the maintenance jobs behind it.

History comes a day at a time. Its refreshes run by a clock of their own, minute by minute of the
day that was loaded, because the order in which buckets are written is the order in which they lie
on the disk, and that is what a query meets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from bench.predecessor import Predecessor
from bench.results import Figures
from bench.storage_data import STEP, Source
from bench.storage_server import Server
from functions.ingest.handler import handler
from traksense import bootstrap
from traksense.db.connection import Database
from traksense.db.rollups import SqlRollupStore
from traksense.db.timescale.rollups import TimescaleRollupStore
from traksense.services.rollups import SEAL_DELAY, Rollups, RollupStore
from traksense.settings.function import FunctionSettings

MAINTENANCE: Final = "traksense-maintenance"
DAY: Final = timedelta(days=1)
MINUTE: Final = timedelta(minutes=1)
WARM_UP: Final = 3
"""Live minutes whose refresh does not count: the first one catches up."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is loaded."""

    history: tuple[tuple[str, int], ...]
    """Devices, and how many of their points report for all of the days."""
    refresh_every: timedelta
    """Of history. A minute of 120 points and ten of 10 write as many buckets at once."""
    batch: timedelta
    """Of history comes in one call. Live readings come as they are made, every ten seconds."""
    live_minutes: int
    days: int = 30
    catch_up_days: int = 3
    """The first days are refreshed at once, as after an outage."""

    @property
    def readings(self) -> int:
        """About how many, of history and live set."""
        a_day = DAY // STEP
        history = sum(points for _, points in self.history) * a_day * self.days
        return history + LIVE_POINTS * self.live_minutes * (MINUTE // STEP)


SIZES: Final = {
    "3m": Size(
        history=(("chiller", 10), ("pump-house", 2)),
        refresh_every=10 * MINUTE,
        batch=60 * MINUTE,
        live_minutes=10,
    ),
    "full": Size(
        history=(("chiller", 100), ("pump-house", 20)),
        refresh_every=MINUTE,
        batch=10 * MINUTE,
        live_minutes=30,
    ),
}
DEFAULT_SIZE: Final = "3m"

CHILLER: Final = "chiller"
"""The device of 100 points whose history is asked for."""
FLEET: Final = 99
"""Devices of 100 points that only the live minutes have, beside those of the history."""
LIVE_POINTS: Final = 10_000


def fleet_name(number: int) -> str:
    """The name of a device of the live set, from 1."""
    return f"air-handler-{number}"


class Jobs:
    """The maintenance jobs, and what CPU they take, in the server and here."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.database = Database(server.url, application_name=MAINTENANCE)
        self._service = bootstrap.maintenance_of(FunctionSettings.from_environment(), self.database)
        self._clock = datetime.now(UTC)
        self._rollups = Rollups(self._rollup_store(), now=lambda: self._clock)

    def _rollup_store(self) -> RollupStore:
        if self._server.engine == "timescale":
            return TimescaleRollupStore(self.database)
        return SqlRollupStore(self.database)

    def run(self, job: str) -> dict[str, Any]:
        """A job, as its schedule calls it."""
        return self._service.run(job)

    def run_until(self, job: str, is_done: Callable[[dict[str, Any]], bool]) -> None:
        """A job again and again, as its schedule calls it, until nothing is left."""
        for _ in range(1_000):
            if is_done(self.run(job)):
                return
        raise AssertionError(f"{job} does not come to an end")

    def refresh(self, at: datetime) -> int:
        """Refresh as at an instant of the past, all that is to do; how many buckets."""
        self._clock = at
        buckets = 0
        for _ in range(1_000):
            report = self._rollups.refresh()
            buckets += report.buckets
            if report.complete:
                return buckets
        raise AssertionError("the refresh does not come to an end")

    @contextmanager
    def cpu(self) -> Iterator[Callable[[], float]]:
        """Gives a function that tells, afterwards, the CPU seconds of the jobs within."""
        with self.database.transaction("traksense_owner"):
            pass  # so that there is a session to look at
        server, client = self._server.backend_cpu_s(MAINTENANCE), time.process_time()
        took = 0.0
        yield lambda: took
        # Looking at the server is no part of it.
        client = time.process_time() - client
        took = self._server.backend_cpu_s(MAINTENANCE) - server + client


class Loader:
    """Puts readings into a server."""

    def __init__(
        self, server: Server, size: Size, figures: Figures, predecessor: Predecessor | None
    ) -> None:
        self.server = server
        self.size = size
        self.figures = figures
        self.predecessor = predecessor
        self.jobs = Jobs(server)
        now = datetime.now(UTC)
        past_the_hour = now.replace(minute=5, second=0, microsecond=0)
        self.end = past_the_hour if past_the_hour <= now else past_the_hour - timedelta(hours=1)
        """Five minutes past an hour: the refreshes of the live minutes write hours, too."""
        self.live = self.end - MINUTE * size.live_minutes
        self.first = self.live - DAY * size.days
        self.readings = 0
        points = dict(size.history)
        self._history = [
            Source(CHILLER, 100),
            Source("pump-house", 20, jitter_ms=80, first_kind=9),
        ]
        self._reporting = [points[source.name] for source in self._history]
        self._fleet = [Source(fleet_name(n), 100) for n in range(1, FLEET + 1)]
        for source in (*self._history, *self._fleet):
            server.add(source)

    def load(self) -> None:
        """Everything, day by day, and the live minutes at last."""
        self.jobs.run("partitions_ahead")
        self.jobs.refresh(self.first + SEAL_DELAY)
        caught_up = self.first + DAY * self.size.catch_up_days
        days = list(_days(self.first, self.live))
        for number, (first, end) in enumerate(days):
            started = time.perf_counter()
            self._ingest(self._of_history(first, end), first, end)
            if end - first == DAY:
                size = self.server.bytes_of_rows(first, end)
                self.figures.add("bytes_per_reading_day0", size / self._stored(first, end), "bytes")
            if self.predecessor is not None:
                self.predecessor.copy(first, end)
            if end >= caught_up:
                self._refresh(first if first > caught_up else self.first, end, caught_up)
                if self.server.engine == "plain":
                    self._close()
            took = time.perf_counter() - started
            print(f"day {number + 1} of {len(days)}: {took:.1f} s", flush=True)
        self._load_live()
        self._close()
        self.figures.add("storage_readings", self.readings, "readings")

    def _refresh(self, first: datetime, end: datetime, caught_up: datetime) -> None:
        """The minutes up to ``end``; those before ``caught_up`` in as few slices as it takes."""
        if first < caught_up:
            readings = self._stored(first, caught_up)
            with self.jobs.cpu() as seconds:
                self.jobs.refresh(caught_up + SEAL_DELAY)
            self.figures.add("rollup_catch_up_cpu_s_per_million", seconds() / readings * 1e6, "s")
            first = caught_up
        # A refresh of a continuous aggregate takes a third of a second, however little there is.
        every = DAY if self.server.engine == "timescale" else self.size.refresh_every
        calls = 0
        with self.jobs.cpu() as seconds:
            while first < end:
                first = min(first + every, end)
                self.jobs.refresh(first + SEAL_DELAY)
                calls += 1
        if calls:
            self.figures.add("rollup_cpu_ms_per_refresh", seconds() / calls * 1e3, "ms")

    def _close(self) -> None:
        """What the hourly job finds to do; CPU by the readings that it closed."""
        before = self.server.closed()[1]
        with self.jobs.cpu() as seconds:
            self.jobs.run_until("close_days", lambda result: result["waiting"] == 0)
        readings = self.server.closed()[1] - before
        if readings:
            self.figures.add("segment_encode_cpu_s_per_million", seconds() / readings * 1e6, "s")

    def _load_live(self) -> None:
        """10,000 points: a call each ten seconds, a refresh each minute."""
        print(f"{self.size.live_minutes} live minutes of 10,000 points", flush=True)
        steps = self.size.live_minutes * (MINUTE // STEP)
        by_step: list[list[dict[str, Any]]] = [[] for _ in range(steps)]
        expected = 0
        for source in (*self._history, *self._fleet):
            for at, payload in source.messages(self.live, steps):
                by_step[(at - self.live) // STEP].append(source.record(at, payload))
                expected += len(source.points)
        before = self._stored(self.live, self.end)
        cpu = 0.0
        for number in range(self.size.live_minutes):
            minute = MINUTE // STEP
            for records in by_step[number * minute : (number + 1) * minute]:
                ingest(records)
            with self.jobs.cpu() as seconds:
                self.jobs.refresh(self.live + MINUTE * (number + 1))
            if number >= WARM_UP:
                cpu += seconds()
        stored = self._stored(self.live, self.end) - before
        assert stored == expected, (stored, expected)
        self.readings += stored
        counted = stored * (self.size.live_minutes - WARM_UP) / self.size.live_minutes
        self.figures.add("rollup_live_cpu_s_per_million", cpu / counted * 1e6, "s")
        if self.predecessor is not None:
            self.predecessor.copy(self.live, self.end)

    def _of_history(
        self, first: datetime, end: datetime
    ) -> list[tuple[datetime, Callable[[], dict[str, Any]], int]]:
        """(instant, what makes the record, readings) of each message, in the order of time."""
        found = [
            (at, partial(source.record, at, payload), points)
            for source, points in zip(self._history, self._reporting, strict=True)
            for at, payload in source.messages(first, (end - first) // STEP, points)
        ]
        return sorted(found, key=lambda each: each[0])

    def _ingest(
        self,
        messages: Sequence[tuple[datetime, Callable[[], dict[str, Any]], int]],
        first: datetime,
        end: datetime,
    ) -> None:
        batch: list[dict[str, Any]] = []
        until = first + self.size.batch
        expected = 0
        for at, make, readings in messages:
            if at >= until:
                ingest(batch)
                batch = []
                until += self.size.batch
            batch.append(make())
            expected += readings
        ingest(batch)
        stored = self._stored(first, end)
        assert stored == expected, (stored, expected)
        self.readings += stored

    def _stored(self, first: datetime, end: datetime) -> int:
        """Readings between two instants, wherever they lie."""
        return int(
            self.server.one(
                "SELECT count(*) FROM public.raw_readings WHERE ts >= %(first)s AND ts < %(end)s"
                " AND stored >= date_trunc('day', %(first)s::timestamptz, 'UTC')"
                " AND stored < %(end)s",
                first=first,
                end=end,
            )
        )


def ingest(records: list[dict[str, Any]]) -> None:
    """One call of the ingest handler, all of whose messages have to be taken."""
    answer = handler({"Records": records}, None)
    assert answer == {"batchItemFailures": []}, answer


def _days(first: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The span cut at each midnight UTC."""
    while first < end:
        midnight = first.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        yield first, min(midnight, end)
        first = midnight
