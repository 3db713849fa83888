"""TimescaleDB: whatever is written, late, repeated, refreshed, compressed and dropped, in whatever
order, every reading is there once and every rollup is what its readings make.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support import database as db
from tests.support import fleet, rollups
from tests.support import timescale as ts
from traksense.db.connection import Database
from traksense.services.rollups import LEVELS

SECONDS = 30
DAY = timedelta(days=1)
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
POINTS = (
    ("acme_chiller-1", "temp"), ("acme_chiller-1", "pressure"), ("globex_chiller-2", "temp"),
)  # fmt: skip

Key = tuple[int, datetime]

pytestmark = pytest.mark.engine("timescale")


class World:
    """A database, what must be in it, and a clock that mostly goes on, over eight days."""

    def __init__(self, url: str, seed: int) -> None:
        self.choose = random.Random(seed)
        self.seeded = fleet.seed(url)
        self.sks = [self.seeded.sks[point] for point in POINTS]
        self.database = Database(url)
        self.connection = psycopg.connect(url, autocommit=True)
        self.now = MIDNIGHT - 7.5 * DAY
        self.dropped_to = MIDNIGHT - 100 * DAY
        self.there: dict[Key, float] = {}
        """Readings that are stored."""
        self.counted: dict[Key, float] = {}
        """Readings that rollups are made of: those there are, and those that were."""
        self.new: set[Key] = set()
        """Readings that no refresh has seen."""
        self.refreshed_to = self.dropped_to
        self.acts: list[str] = []

    def close(self) -> None:
        self.connection.close()
        self.database.close()

    def write(self) -> None:
        """A batch: mostly of now, some of it late, some repeated, some for days that are gone."""
        choose = self.choose
        lateness = choose.choice([2, 90, 400, 7200, 90_000, 300_000])
        rows: dict[Key, float] = {}
        for _ in range(choose.randint(1, 60)):
            sk = choose.choice(self.sks)
            if self.there and choose.random() < 0.2:
                sk, at = choose.choice(list(self.there))
            else:
                ago = choose.uniform(-20 if lateness < 100 else 0, lateness)
                at = self.now - timedelta(seconds=ago)
                at = at.replace(microsecond=choose.choice([0, 1, 999_999]))
                if choose.random() < 0.2:
                    at = rollups.floor(at, choose.choice(list(LEVELS.values())))
            if at < self.dropped_to and choose.random() < 0.9:
                continue
            rows.setdefault((sk, at), choose.randint(-4000, 4000) / 4)
        ts.write(self.database, *((sk, at, value) for (sk, at), value in rows.items()))
        for key, value in rows.items():
            if key in self.there:
                continue
            self.there[key] = value
            if key[1] >= self.dropped_to:
                self.counted[key] = value
                self.new.add(key)

    def pass_time(self) -> None:
        step = self.choose.choice([5, 60, 61, 300, 3600, 20_000, 80_000])
        passed = timedelta(seconds=self.choose.uniform(0, step))
        self.now = min(MIDNIGHT, self.now + passed)

    def refresh(self) -> None:
        assert rollups.refresh(self.database, self.now).complete
        edges = rollups.refreshed(self.connection)
        self.refreshed_to = min(edge for edge in edges.values() if edge is not None)
        self.new = {key for key in self.new if key[1] >= self.refreshed_to}

    def die_in_a_refresh(self) -> None:
        rollups.store(self.database).seal(self.now, timedelta(hours=self.choose.choice([1, 50])))

    def compress(self) -> None:
        report = ts.compress(self.database, self.now, timedelta(hours=self.choose.choice([1, 30])))
        assert report.complete

    def drop(self) -> None:
        """Raw readings, of as many days as the rollups have read; those of them that came too late
        for the last refresh are in no rollup.
        """
        up_to = min(rollups.floor(self.now - DAY, DAY), rollups.floor(self.refreshed_to, DAY))
        if up_to <= self.dropped_to or self.choose.random() < 0.5:
            return
        if ts.drop(self.database, "raw", up_to):
            edge = self.connection.execute(
                "SELECT max(up_to) FROM purges WHERE level = 'raw'"
            ).fetchone()
            assert edge is not None
            self.dropped_to = max(self.dropped_to, edge[0])
        for key in [key for key in self.there if key[1] < self.dropped_to]:
            del self.there[key]
            if key in self.new:
                self.new.discard(key)
                self.counted.pop(key)

    def check_views(self) -> None:
        """Whatever is not late for the last refresh is seen, refreshed or not."""
        point_ids = {self.seeded.sks[point]: self.seeded.points[point] for point in POINTS}
        for level, step in LEVELS.items():
            seen = {}
            for tenant in ("acme", "globex"):
                seen.update(rollups.view(self.database, self.seeded.tenants[tenant], level))
            expected = {
                (point_ids[sk], bucket): numbers
                for (sk, bucket), numbers in rollups.recomputed(self.counted, step).items()
            }
            assert seen == expected, level

    def check(self) -> None:
        self.refresh()
        assert rollups.stored_readings(self.connection) == self.there
        edges = rollups.refreshed(self.connection)
        for level, step in LEVELS.items():
            edge = edges[level]
            assert edge is not None
            expected = {
                key: bucket
                for key, bucket in rollups.recomputed(self.counted, step).items()
                if key[1] < edge
            }
            assert rollups.table(self.connection, level) == expected, level
        self.check_views()

    def run(self, steps: int) -> None:
        doings: list[Any] = [
            *[self.write] * 6, *[self.pass_time] * 5, *[self.refresh] * 3,
            self.compress, self.compress, self.drop, self.check, self.die_in_a_refresh,
        ]  # fmt: skip
        for _ in range(steps):
            act = self.choose.choice(doings)
            self.acts.append(act.__name__)
            act()
        self.check()


def test_rollups_are_what_their_readings_make_whatever_happens_in_whatever_order(
    admin_url: str,
) -> None:
    deadline = time.monotonic() + SECONDS
    seed = 0
    dropped = 0
    while time.monotonic() < deadline or seed < 4:
        with db.fresh_database(admin_url) as url:
            world = World(url, seed)
            try:
                world.run(60)
            except AssertionError as error:
                pytest.fail(f"with seed {seed}, after {world.acts}: {error}")
            finally:
                world.close()
            dropped += world.dropped_to > MIDNIGHT - 50 * DAY
        seed += 1
    print(f"{seed} histories, {dropped} with days that were dropped")
    assert dropped > 0
