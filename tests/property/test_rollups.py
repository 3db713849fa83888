"""Readings and refreshes in any order: every rollup equals its recomputation from readings."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support import database as db
from tests.support import fleet, rollups
from traksense.db.connection import Database
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.rollups import SqlRollupStore
from traksense.domain.readings import to_microseconds
from traksense.services.acceptance import TS_BITS, Accepted
from traksense.services.rollups import LEVELS

SECONDS = 30
POINTS = (
    ("acme_chiller-1", "temp"), ("acme_chiller-1", "pressure"), ("globex_chiller-2", "temp"),
)  # fmt: skip


class World:
    """A database, what was written into it, and a clock that mostly goes on."""

    def __init__(self, url: str, seed: int) -> None:
        self.choose = random.Random(seed)
        self.seeded = fleet.seed(url)
        self.sks = [self.seeded.sks[point] for point in POINTS]
        self.database = Database(url)
        self.store = SqlReadingStore(self.database)
        self.connection = psycopg.connect(url, autocommit=True)
        self.end = datetime.now(UTC)
        self.now = self.end - timedelta(hours=self.choose.choice([1, 5, 30, 300]))
        self.written: dict[tuple[int, datetime], float] = {}

    def close(self) -> None:
        self.connection.close()
        self.database.close()

    def write(self) -> None:
        """A batch: mostly of now, some of it late, some of it ahead, some of it repeated."""
        choose = self.choose
        lateness = choose.choice([2, 90, 400, 7200, 90_000])
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
        step = choose.choice([5, 60, 61, 300, 3600, 20_000])
        self.now = min(self.end, self.now + timedelta(seconds=choose.uniform(0, step)))

    def set_clock_back(self) -> None:
        self.now -= timedelta(seconds=self.choose.uniform(0, 4000))

    def refresh(self) -> None:
        assert rollups.refresh(self.database, self.now).complete

    def die_in_a_refresh(self) -> None:
        SqlRollupStore(self.database).seal(self.now, timedelta(hours=self.choose.choice([1, 50])))

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
        (marks,) = self.connection.execute("SELECT count(*) FROM rollup_dirty").fetchone() or (1,)
        assert marks == 0


def test_rollups_equal_their_recomputation_whatever_happens_in_whatever_order(
    admin_url: str,
) -> None:
    deadline = time.monotonic() + SECONDS
    seed = 0
    while time.monotonic() < deadline or seed < 3:
        with db.fresh_database(admin_url) as url:
            world = World(url, seed)
            try:
                acts = (
                    [world.write] * 6 + [world.pass_time] * 4
                    + [world.refresh] * 3
                    + [world.check, world.set_clock_back, world.die_in_a_refresh]
                )  # fmt: skip
                for _ in range(40):
                    world.choose.choice(acts)()
                world.check()
            except AssertionError as error:
                pytest.fail(f"with seed {seed}: {error}")
            finally:
                world.close()
        seed += 1
    print(f"{seed} histories")
