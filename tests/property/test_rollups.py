"""Readings, refreshes, closing and merging in any order: every rollup equals its recomputation."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support import database as db
from tests.support import fleet, rollups
from tests.support import segments as sg
from traksense.db.connection import Database
from traksense.db.engine import engine_of
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.segments import SqlSegmentStore
from traksense.domain.readings import TS_BITS, to_microseconds
from traksense.services.acceptance import Accepted
from traksense.services.rollups import LEVELS

SECONDS = 30

POINTS = (
    ("acme_chiller-1", "temp"), ("acme_chiller-1", "pressure"), ("globex_chiller-2", "temp"),
)  # fmt: skip


class World:
    """A database, what was written into it, and a clock that mostly goes on."""

    def __init__(self, url: str, seed: int) -> None:
        self.choose = random.Random(seed)
        self.url = url
        self.seeded = fleet.seed(url)
        self.sks = [self.seeded.sks[point] for point in POINTS]
        self.database = Database(url)
        self.store = SqlReadingStore(self.database)
        self.connection = psycopg.connect(url, autocommit=True)
        self.end = datetime.now(UTC)
        self.now = self.end - timedelta(hours=self.choose.choice([1, 30, 200, 300]))
        self.segments = SqlSegmentStore(self.database)
        self.closed = 0
        self.merged = 0
        self.written: dict[tuple[int, datetime], float] = {}

    def close(self) -> None:
        self.connection.close()
        self.database.close()

    def write(self) -> None:
        """A batch: mostly of now, some of it late, some of it ahead, some of it repeated."""
        choose = self.choose
        lateness = choose.choice([2, 90, 400, 7200, 90_000, 500_000])
        rows: dict[int, float] = {}
        for _ in range(choose.randint(1, 60)):
            sk = choose.choice(self.sks)
            if self.written and choose.random() < 0.2:
                sk, ts = choose.choice(list(self.written))
            else:
                ago = choose.uniform(-20 if lateness < 100 else 0, lateness)
                ts = min(self.now, self.end) - timedelta(seconds=ago)
                ts = ts.replace(microsecond=choose.choice([0, 1, 999_999]))
            value = choose.randint(-4000, 4000) / 4  # whose sums are exact in any order
            key = sk << TS_BITS | to_microseconds(ts)
            if key not in rows:
                rows[key] = value
                self.written.setdefault((sk, ts), value)
        self.store.write(Accepted(rows=dict(rows)))

    def pass_time(self) -> None:
        choose = self.choose
        step = choose.choice([5, 60, 61, 300, 3600, 20_000, 200_000])
        self.now = min(self.end, self.now + timedelta(seconds=choose.uniform(0, step)))

    def set_clock_back(self) -> None:
        self.now -= timedelta(seconds=self.choose.uniform(0, 4000))

    def refresh(self) -> None:
        assert rollups.refresh(self.database, self.now).complete

    def die_in_a_refresh(self) -> None:
        rollups.store(self.database).seal(self.now, timedelta(hours=self.choose.choice([1, 50])))

    def close_days(self) -> None:
        report = sg.close(self.url, close_after=timedelta(days=1))
        assert report.complete
        self.closed += report.closed
        self.merged += report.merged

    def die_in_closing_days(self) -> None:
        """Some steps of it, and then no more."""
        days = self.segments.closable_days(timedelta(days=1))
        for day in days[: self.choose.randint(0, 2)]:
            self.segments.begin_closing(day)
            for _ in range(self.choose.randint(0, 2)):
                self.segments.build_slice(day, self.choose.randint(1, 40))

    def merge_a_little(self) -> None:
        for day in self.segments.late_days():
            self.merged += self.segments.merge_late(day, self.choose.randint(1, 2))[1]

    def check_views(self) -> None:
        """Whatever is not late for the last refresh is seen, refreshed or not."""
        point_ids = {self.seeded.sks[point]: self.seeded.points[point] for point in POINTS}
        for level, step in LEVELS.items():
            seen = {}
            for tenant in ("acme", "globex"):
                seen.update(rollups.view(self.database, self.seeded.tenants[tenant], level))
            expected = {
                (point_ids[sk], bucket): numbers
                for (sk, bucket), numbers in rollups.recomputed(self.written, step).items()
            }
            assert seen == expected, level

    def check(self) -> None:
        self.refresh()
        assert rollups.stored_readings(self.connection) == self.written
        assert rollups.wrong_buckets(self.connection) == []
        self.check_views()
        assert rollups.marks(self.connection) == 0


def test_rollups_equal_their_recomputation_whatever_happens_in_whatever_order(
    admin_url: str,
) -> None:
    deadline = time.monotonic() + SECONDS
    seed = closed = merged = 0
    while time.monotonic() < deadline or seed < 6:
        with db.fresh_database(admin_url) as url:
            world = World(url, seed)
            try:
                acts = (
                    [world.write] * 6 + [world.pass_time] * 4
                    + [world.refresh] * 3
                    + [world.check, world.set_clock_back, world.die_in_a_refresh]
                )  # fmt: skip
                has_segments = engine_of(world.database) == "plain"
                if has_segments:
                    acts += [world.close_days, world.die_in_closing_days, world.merge_a_little]
                for _ in range(40):
                    world.choose.choice(acts)()
                world.check()
            except AssertionError as error:
                pytest.fail(f"with seed {seed}: {error}")
            finally:
                world.close()
            closed += world.closed
            merged += world.merged
        seed += 1
    print(f"{seed} histories, {closed} days closed, {merged} late readings merged")
    assert not has_segments or (closed > 0 and merged > 0)
