"""Refresh and ingestion at the same time: no bucket is lost between them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support import rollups
from tests.support.fleet import Seeded
from traksense.db.connection import Database
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.rollups import SqlRollupStore
from traksense.domain.errors import DatabaseAway
from traksense.domain.readings import TS_BITS, to_microseconds
from traksense.services.acceptance import Accepted

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
DAY = timedelta(days=1)
SECONDS = 12


@pytest.fixture
def database(database_url: str, seeded: Seeded) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def other(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url) as connection:
        yield connection


@pytest.fixture
def sk(seeded: Seeded) -> int:
    return seeded.sks["acme_chiller-1", "temp"]


def readings(*rows: tuple[int, datetime, float]) -> Accepted:
    return Accepted(rows={sk << TS_BITS | to_microseconds(ts): value for sk, ts, value in rows})


def wait_until_someone_waits_for_the_lock(connection: psycopg.Connection[Any]) -> None:
    for _ in range(300):
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
        if row is not None and row[0]:
            return
        time.sleep(0.01)
    pytest.fail("nobody waits")


def begin_late_write(connection: psycopg.Connection[Any], sk: int, ts: datetime) -> None:
    """What a transaction of ingestion does, up to its commit."""
    row = connection.execute("SELECT sealed_us, pass FROM public.rollup_watermark()").fetchone()
    assert row is not None
    connection.execute(
        "INSERT INTO public.m_raw (ts, v_num, point_sk) VALUES (%s, 1, %s)", (ts, sk)
    )
    if row[0] is not None and to_microseconds(ts) < row[0]:
        connection.execute(
            "INSERT INTO public.rollup_dirty VALUES (%s, %s, date_trunc('minute', %s))"
            " ON CONFLICT DO NOTHING",
            (row[1], sk, ts),
        )


@pytest.mark.engine("plain")
def test_who_waited_while_a_minute_was_sealed_knows_that_it_is(
    database_url: str, database: Database, other: psycopg.Connection[Any], sk: int
) -> None:
    """What it read before the wait would be where the seal was, not where it is."""
    rollups.refresh(database, NOW - timedelta(minutes=10))
    other.execute("SELECT public.seal_rollups(%s, %s)", (NOW, DAY))

    def write() -> None:
        writer = Database(database_url)
        SqlReadingStore(writer).write(readings((sk, NOW - timedelta(minutes=5), 7.0)))
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    with psycopg.connect(database_url, autocommit=True) as third:
        wait_until_someone_waits_for_the_lock(third)
        other.commit()
        thread.join(20)
        assert third.execute("SELECT point_sk, bucket FROM rollup_dirty").fetchall() == [
            (sk, NOW - timedelta(minutes=5))
        ]


@pytest.mark.engine("plain")
def test_a_seal_waits_for_who_is_writing_and_then_computes_what_they_wrote(
    database_url: str, database: Database, other: psycopg.Connection[Any], sk: int
) -> None:
    rollups.refresh(database, NOW - timedelta(minutes=10))
    begin_late_write(other, sk, NOW - timedelta(minutes=5))

    def refresh() -> None:
        refresher = Database(database_url)
        rollups.refresh(refresher, NOW)
        refresher.close()

    thread = threading.Thread(target=refresh)
    thread.start()
    with psycopg.connect(database_url, autocommit=True) as third:
        wait_until_someone_waits_for_the_lock(third)
        other.commit()
        thread.join(20)
        assert rollups.wrong_buckets(third) == []
        assert len(rollups.table(third, "1m")) == 1


@pytest.mark.engine("plain")
def test_a_mark_that_a_running_transaction_relies_on_is_not_taken_from_under_it(
    database: Database, other: psycopg.Connection[Any], sk: int
) -> None:
    """Its minute is marked already, and computed before what it adds can be seen."""
    store = SqlRollupStore(database)
    rollups.refresh(database, NOW)
    minute = NOW - timedelta(hours=2)
    SqlReadingStore(database).write(readings((sk, minute, 1.0)))
    assert store.seal(NOW, DAY)
    SqlReadingStore(database).write(readings((sk, minute + timedelta(seconds=1), 1.0)))
    begin_late_write(other, sk, minute + timedelta(seconds=2))
    assert store.refresh(DAY) is not None
    other.commit()
    rollups.refresh(database, NOW)
    assert rollups.table(other, "1m") == {(sk, minute): (3.0, 1.0, 1.0, 3)}
    assert rollups.wrong_buckets(other) == []


@pytest.mark.engine("plain")
def test_no_writer_waits_for_a_refresh_that_computes(
    database_url: str, database: Database, other: psycopg.Connection[Any], sk: int
) -> None:
    rollups.refresh(database, NOW)
    minute = NOW - timedelta(hours=2)
    SqlReadingStore(database).write(readings((sk, minute, 1.0)))
    SqlRollupStore(database).seal(NOW, DAY)
    other.execute("DELETE FROM public.rollup_dirty")  # and takes its time to commit
    hasty = Database(database_url, lock_timeout_ms=500)
    SqlReadingStore(hasty).write(readings((sk, minute + timedelta(seconds=1), 1.0)))
    hasty.close()


@pytest.mark.engine("plain")
def test_a_writer_that_hangs_stops_a_refresh_and_no_other_writer(
    database_url: str, database: Database, other: psycopg.Connection[Any], sk: int
) -> None:
    rollups.refresh(database, NOW - timedelta(minutes=10))
    begin_late_write(other, sk, NOW - timedelta(minutes=5))
    failed: list[Exception] = []

    def refresh() -> None:
        refresher = Database(database_url)
        try:
            rollups.refresh(refresher, NOW)
        except DatabaseAway as error:
            failed.append(error)
        refresher.close()

    thread = threading.Thread(target=refresh)
    thread.start()
    with psycopg.connect(database_url, autocommit=True) as third:
        wait_until_someone_waits_for_the_lock(third)
    SqlReadingStore(database).write(readings((sk, NOW, 1.0)))  # waits, and less than it may
    thread.join(20)
    assert len(failed) == 1
    other.commit()
    rollups.refresh(database, NOW)
    assert rollups.wrong_buckets(other) == []


def test_two_refreshes_at_once_are_one(
    database_url: str, database: Database, other: psycopg.Connection[Any], sk: int
) -> None:
    other.execute("SELECT pg_advisory_xact_lock(hashtextextended('traksense.rollups refresh', 0))")
    report = rollups.refresh(database, NOW)
    assert (report.slices, report.complete) == (0, False)
    other.commit()
    assert rollups.refresh(database, NOW).complete


class Traffic:
    """Writers at the edge of what is sealed, and refreshes that move it as fast as they can."""

    def __init__(self, url: str, sks: list[int]) -> None:
        self.url = url
        self.sks = sks
        self.now = NOW - timedelta(days=3)
        self.deadline = time.monotonic() + SECONDS
        self.failures: list[BaseException] = []
        self.batches = 0
        self.refreshes = 0

    def write(self, seed: int) -> None:
        choose = random.Random(seed)
        database = Database(self.url)
        store = SqlReadingStore(database)
        while time.monotonic() < self.deadline:
            rows = {}
            for _ in range(20):
                ts = self.now - timedelta(seconds=choose.choice([30, 75, 120, 5000]))
                ts += timedelta(seconds=choose.randint(-60, 60))
                rows[choose.choice(self.sks) << TS_BITS | to_microseconds(ts)] = 0.25
            store.write(Accepted(rows=dict(rows)))
            self.batches += 1
        database.close()

    def refresh(self) -> None:
        database = Database(self.url)
        while time.monotonic() < self.deadline:
            self.now = min(self.now + timedelta(seconds=60), NOW)
            rollups.refresh(database, self.now)
            self.refreshes += 1
        database.close()

    def guarded(self, work: Any, *arguments: int) -> None:
        try:
            work(*arguments)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            self.failures.append(error)

    def run(self) -> None:
        threads = [
            threading.Thread(target=self.guarded, args=(self.write, seed)) for seed in range(4)
        ]
        threads += [threading.Thread(target=self.guarded, args=(self.refresh,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert self.failures == []


def test_writers_and_refreshes_at_once_leave_no_wrong_bucket(
    database_url: str, database: Database, other: psycopg.Connection[Any], seeded: Seeded
) -> None:
    sks = [seeded.sks[f"{tenant}_chiller-1", "temp"] for tenant in ("acme", "globex")]
    traffic = Traffic(database_url, sks)
    rollups.refresh(database, traffic.now)
    traffic.run()
    rollups.refresh(database, traffic.now)
    wrong = rollups.wrong_buckets(other)
    buckets = len(rollups.table(other, "1m"))
    print(
        f"{traffic.batches} batches, {traffic.refreshes} refreshes, {len(wrong)} of {buckets} wrong"
    )
    assert traffic.batches > 50
    assert traffic.refreshes > 5
    assert wrong == []
