"""Rollups on PostgreSQL: what a refresh makes of readings, and what a tenant sees of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support import rollups
from tests.support import segments as sg
from tests.support.fleet import Seeded
from traksense.db.connection import Database
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.rollups import SqlRollupStore
from traksense.domain.errors import DatabaseAway
from traksense.domain.readings import TS_BITS, Value, to_microseconds
from traksense.services.acceptance import Accepted
from traksense.services.rollups import LEVELS, Rollups

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = NOW.replace(minute=0, second=0)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def database(database_url: str, seeded: Seeded) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def connection(database_url: str, seeded: Seeded) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def sk(seeded: Seeded) -> int:
    return seeded.sks["acme_chiller-1", "temp"]


def write(database: Database, sk: int, *rows: tuple[datetime, Any]) -> None:
    accepted = {sk << TS_BITS | to_microseconds(ts): value for ts, value in rows}
    SqlReadingStore(database).write(Accepted(rows=accepted))


def one(connection: psycopg.Connection[Any], query: str, *values: Any) -> Any:
    row = connection.execute(query.encode(), values).fetchone()
    return None if row is None else row[0]


def test_a_bucket_holds_sum_least_greatest_and_count_of_its_readings(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    start = HOUR - timedelta(hours=3)
    write(
        database, sk,
        (start, 1.5), (start + timedelta(seconds=59, microseconds=999_999), -2.0),
        (start + MINUTE, 4.0), (start + timedelta(minutes=7), 8.0),
    )  # fmt: skip
    rollups.refresh(database, NOW)
    assert rollups.table(connection, "1m") == {
        (sk, start): (-0.5, -2.0, 1.5, 2),
        (sk, start + MINUTE): (4.0, 4.0, 4.0, 1),
        (sk, start + timedelta(minutes=7)): (8.0, 8.0, 8.0, 1),
    }
    assert rollups.table(connection, "5m") == {
        (sk, start): (3.5, -2.0, 4.0, 3),
        (sk, start + timedelta(minutes=5)): (8.0, 8.0, 8.0, 1),
    }
    assert rollups.table(connection, "1h") == {(sk, start): (11.5, -2.0, 8.0, 4)}
    seen = rollups.view(database, seeded.tenants["acme"], "1h")
    assert seen == {(seeded.points["acme_chiller-1", "temp"], start): (11.5, -2.0, 8.0, 4)}
    assert rollups.view(database, seeded.tenants["globex"], "1h") == {}


def test_only_numbers_have_rollups_and_are_ever_marked(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded
) -> None:
    rollups.refresh(database, NOW)
    for point, value in (("compressor_on", True), ("mode", "COOL"), ("note", "text")):
        write(database, seeded.sks["acme_chiller-1", point], (HOUR - 2 * DAY, value))
    assert rollups.marks(connection) == 0
    rollups.refresh(database, NOW + MINUTE)
    assert rollups.table(connection, "1m") == {}


def test_the_first_refresh_takes_a_long_history_in_slices(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    connection.execute(
        "INSERT INTO m_raw (ts, v_num, point_sk) SELECT ts, extract(minute FROM ts)::float8, %s"
        " FROM generate_series(%s::timestamptz, %s, interval '17 minutes') ts",
        (sk, NOW - 14 * DAY, NOW),
    )
    store = rollups.store(database)
    assert store.seal(NOW, timedelta(minutes=30)) is False
    assert store.refresh(timedelta(minutes=30)) is not None
    edge = rollups.refreshed(connection)["1m"]
    assert edge is not None
    assert edge.hour == 0
    assert edge.minute == 30
    report = rollups.refresh(database, NOW)
    assert report.complete
    assert report.slices >= 14
    assert rollups.wrong_buckets(connection) == []
    assert len(rollups.table(connection, "1m")) > 1100


@pytest.mark.engine("plain")
def test_a_slice_that_is_too_much_is_done_in_smaller_ones(database: Database) -> None:
    asked: list[timedelta] = []
    seconds = iter(range(0, 10_000, 2))

    class Slow(SqlRollupStore):
        def refresh(self, most: timedelta) -> Any:
            asked.append(most)
            if len(asked) < 3:
                for _ in range(20):
                    next(seconds)  # the time that it took
                raise DatabaseAway("canceling statement due to statement timeout")
            return super().refresh(most)

    service = Rollups(Slow(database), now=lambda: NOW, timer=lambda: float(next(seconds) / 8))
    service.refresh()
    assert asked[:3] == [timedelta(minutes=30), timedelta(minutes=3.75), MINUTE]


def test_late_readings_are_in_every_level_after_one_refresh(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    minute = NOW.replace(second=0)
    write(database, sk, (minute - 2 * DAY, 1.0))
    rollups.refresh(database, NOW)
    for ago in (timedelta(minutes=3), timedelta(hours=2), DAY, 2 * DAY, 13.5 * DAY):
        write(database, sk, (minute - ago + timedelta(seconds=1), 0.5))
    rollups.refresh(database, NOW)
    assert rollups.wrong_buckets(connection) == []
    assert len(rollups.table(connection, "1m")) == 5
    seen = rollups.view(database, seeded.tenants["acme"], "1h")
    assert sum(count for *_, count in seen.values()) == 6


@pytest.mark.engine("plain")
def test_a_repeat_of_old_readings_writes_no_bucket(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    rows = [(HOUR - DAY + n * MINUTE, float(n)) for n in range(100)]
    write(database, sk, *rows)
    rollups.refresh(database, NOW)
    versions = connection.execute("SELECT xmin FROM r_1m ORDER BY bucket").fetchall()
    write(database, sk, *rows)
    report = rollups.refresh(database, NOW)
    assert (report.marks, report.buckets) == (100, 0)
    assert connection.execute("SELECT xmin FROM r_1m ORDER BY bucket").fetchall() == versions


def test_a_death_between_the_two_transactions_costs_nothing(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    store = rollups.store(database)
    rollups.refresh(database, NOW - timedelta(hours=1))
    write(database, sk, (NOW - timedelta(minutes=30), 1.0), (NOW - 2 * DAY, 2.0))
    assert store.seal(NOW - timedelta(minutes=10), DAY)
    write(database, sk, (NOW - timedelta(minutes=29), 4.0), (NOW - DAY, 8.0))
    seen = rollups.view(database, seeded.tenants["acme"], "1m")
    assert sum(total for total, *_ in seen.values()) == 5.0  # of what is not late
    assert store.seal(NOW, DAY)
    rollups.refresh(database, NOW)
    assert rollups.wrong_buckets(connection) == []
    seen = rollups.view(database, seeded.tenants["acme"], "1m")
    assert sum(total for total, *_ in seen.values()) == 15.0


@pytest.mark.engine("plain")
def test_a_refresh_that_fails_half_way_leaves_nothing_of_itself(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    rollups.refresh(database, NOW - timedelta(hours=3))
    write(database, sk, (NOW - timedelta(hours=2), 1.0), (NOW - 2 * DAY, 2.0))
    connection.execute("ALTER TABLE r_1h ADD CONSTRAINT broken CHECK (n < 0)")
    with pytest.raises(psycopg.errors.CheckViolation):
        rollups.refresh(database, NOW)
    assert rollups.table(connection, "1m") == {}
    assert rollups.marks(connection) == 1
    seen = rollups.view(database, seeded.tenants["acme"], "1h")
    assert sum(total for total, *_ in seen.values()) == 1.0
    connection.execute("ALTER TABLE r_1h DROP CONSTRAINT broken")
    rollups.refresh(database, NOW)
    assert rollups.wrong_buckets(connection) == []


def test_a_clock_set_back_never_moves_the_seal_back(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    rollups.refresh(database, NOW)
    query = "SELECT array_agg(sealed ORDER BY level) FROM rollup_state"
    before = one(connection, query)
    report = rollups.refresh(database, NOW - timedelta(hours=5))
    assert report.complete
    assert one(connection, query) == before
    write(database, sk, (NOW - timedelta(hours=2), 1.0))
    rollups.refresh(database, NOW - timedelta(hours=4))
    assert rollups.wrong_buckets(connection) == []
    assert len(rollups.table(connection, "1h")) == 1


def test_a_clock_ahead_seals_no_more_than_the_servers_own_allows(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    rollups.refresh(database, datetime.now(UTC) + timedelta(days=400))
    assert one(connection, "SELECT max(sealed) < now() - interval '74 seconds' FROM rollup_state")


def test_a_long_silence_of_the_scheduler_is_caught_up_with(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    rollups.refresh(database, NOW - 6 * DAY)
    write(database, sk, *((NOW - 6 * DAY + n * timedelta(hours=1), 1.0) for n in range(140)))
    assert len(rollups.view(database, seeded.tenants["acme"], "1m")) == 140
    report = rollups.refresh(database, NOW)
    assert report.complete
    assert report.slices > 5
    assert rollups.wrong_buckets(connection) == []
    assert len(rollups.table(connection, "1m")) == 140


@pytest.mark.engine("plain")
def test_what_retention_took_from_the_readings_stays_in_the_rollups(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    day = (NOW - 9 * DAY).replace(hour=12, minute=0, second=0)
    write(database, sk, *((day + timedelta(seconds=n), 1.0) for n in range(30)))
    rollups.refresh(database, NOW)
    before = {level: rollups.table(connection, level) for level in LEVELS}
    write(database, sk, (day + timedelta(seconds=40), 100.0))  # marked
    connection.execute(f"DROP TABLE m_raw_{day:%Y%m%d}".encode())
    rollups.refresh(database, NOW)
    write(database, sk, (day + timedelta(seconds=50), 100.0))  # into a day that is made again
    rollups.refresh(database, NOW)
    assert {level: rollups.table(connection, level) for level in LEVELS} == before
    assert rollups.marks(connection) == 0


def test_values_near_the_largest_float_stop_nobodys_refresh(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    start = HOUR - timedelta(hours=2)
    write(database, sk, *((start + timedelta(seconds=n), 1.7e308) for n in range(9)))
    write(database, seeded.sks["globex_chiller-1", "temp"], (start, -1.7e308), (NOW, -1.7e308))
    assert rollups.view(database, seeded.tenants["acme"], "1h")
    assert rollups.refresh(database, NOW).complete
    assert rollups.table(connection, "1h")[sk, start] == pytest.approx((9e290, 1.7e308, 1.7e308, 9))


@pytest.mark.engine("plain")
def test_buckets_that_are_there_already_are_filled_up_and_never_emptied(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    """As after rows were brought from another server and the state was not."""
    start = HOUR - timedelta(hours=2)
    SqlRollupStore(database).ensure_partitions(start.date(), start.date())
    connection.execute(
        "INSERT INTO r_1m SELECT %s + n * interval '1 minute', 9, 9, 9, %s, 1 + n * 2"
        " FROM generate_series(0, 1) n",
        (start, sk),
    )
    write(database, sk, *((start + n * timedelta(seconds=30), 1.0) for n in range(4)))
    assert rollups.refresh(database, NOW).complete
    table = rollups.table(connection, "1m")
    assert table == {(sk, start): (2.0, 1.0, 1.0, 2), (sk, start + MINUTE): (9.0, 9.0, 9.0, 3)}


@pytest.mark.engine("plain")
def test_what_the_planner_thinks_makes_no_refresh_read_a_whole_day(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    """Of a day of many pages, and of a table without statistics, as each is at first."""
    day = (NOW - 2 * DAY).replace(hour=0, minute=0, second=0)
    connection.execute("SELECT ensure_raw_partitions(%s, %s)", (day.date(), NOW.date()))
    partition = f"m_raw_{day:%Y%m%d}"
    connection.execute(f"ALTER TABLE {partition} SET (autovacuum_enabled = off)".encode())
    connection.execute(
        "INSERT INTO m_raw (ts, v_num, point_sk)"
        " SELECT %s + n * interval '1 second', 1, p FROM generate_series(0, 3599) n,"
        " generate_series(%s::integer, %s + 49) p ORDER BY n, p",
        (day, sk, sk),
    )
    rollups.refresh(database, day + timedelta(minutes=59, seconds=15))
    assert rollups.refreshed(connection)["1m"] == day + timedelta(minutes=58)
    before = _pages_read(database, connection, partition)
    rollups.refresh(database, day + timedelta(minutes=60, seconds=15))
    assert rollups.refreshed(connection)["1m"] == day + timedelta(minutes=59)
    read = _pages_read(database, connection, partition) - before
    pages = one(connection, "SELECT pg_relation_size(%s) / 8192", partition)
    assert pages > 1000
    assert 20 < read < 250, "3,000 readings are on 25 pages, which ranges of 32 pages hold"
    assert len(rollups.table(connection, "1m")) == 59 * 50
    assert rollups.wrong_buckets(connection) == []


def _pages_read(database: Database, connection: psycopg.Connection[Any], partition: str) -> int:
    with database.transaction("traksense_owner") as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
    return int(
        one(
            connection,
            "SELECT heap_blks_read + heap_blks_hit FROM pg_statio_user_tables WHERE relname = %s",
            partition,
        )
    )


@pytest.mark.engine("plain")
def test_pages_that_a_vacuum_holds_are_summarized_by_the_next_refresh(
    database_url: str, database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    rollups.refresh(database, NOW - timedelta(minutes=10))
    write(database, sk, (NOW - timedelta(minutes=5), 1.0))
    with psycopg.connect(database_url) as vacuum:
        vacuum.execute(
            f"LOCK TABLE m_raw_{NOW - timedelta(minutes=5):%Y%m%d}"
            " IN SHARE UPDATE EXCLUSIVE MODE".encode()
        )
        started = time.monotonic()
        assert rollups.refresh(database, NOW).complete
        assert time.monotonic() - started < 0.9, "it never waits until a vacuum is ended for it"
    assert rollups.wrong_buckets(connection) == []
    assert len(rollups.table(connection, "1m")) == 1


@pytest.mark.engine("plain")
def test_a_state_set_back_by_hand_is_computed_from_segments_too(
    database_url: str, database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    start = (NOW - 5 * DAY).replace(hour=10, minute=0, second=0)
    write(database, sk, *((start + n * timedelta(seconds=20), float(n)) for n in range(60)))
    assert rollups.refresh(database, NOW).complete
    assert sg.close(database_url, close_after=2 * DAY).complete
    assert sg.in_rows(database_url) == 0
    for level in LEVELS:
        connection.execute(f"DELETE FROM r_{level}".encode())
    connection.execute("UPDATE rollup_state SET refreshed = %s", (start - timedelta(hours=1),))
    assert rollups.refresh(database, NOW).complete
    assert len(rollups.table(connection, "1m")) == 20
    assert rollups.wrong_buckets(connection) == []


@pytest.mark.parametrize("ago", [1, 4], ids=["open day", "closed day"])
def test_a_backlog_of_ten_thousand_readings_is_in_every_level_after_one_refresh(
    database_url: str, database: Database, connection: psycopg.Connection[Any], ago: int
) -> None:
    """A minute until the refresh, at most, and what it takes: 90 seconds are allowed."""
    readings: list[dict[sg.Key, Value]] = [
        {
            key: n % 7 / 4  # whose sums are exact in any order
            for sk in range(1001, 1101)
            for n, key in enumerate(sg.numbers(count, every=every, sk=sk, ago=ago))
        }
        for count, every in ((50, 600), (101, 61))
    ]
    there, backlog = readings
    sg.write(database_url, there)
    assert rollups.refresh(database, NOW).complete
    assert sg.close(database_url, close_after=2 * DAY).complete
    started = time.monotonic()
    written = sg.write(database_url, backlog)
    report = rollups.refresh(database, NOW + MINUTE)
    took = time.monotonic() - started
    print(f"{written} late readings, {report.marks} minutes: {took:.2f} s")
    assert (written, report.complete) == (10_000, True)
    assert took < 30
    assert rollups.wrong_buckets(connection) == []
