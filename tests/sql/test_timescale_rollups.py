"""Rollups on TimescaleDB: continuous aggregates that are refreshed by us, and never emptied."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg_errors

from tests.support import rollups
from tests.support import timescale as ts
from tests.support.fleet import Seeded
from traksense.db.connection import Database
from traksense.db.timescale.rollups import TimescaleRollupStore, refresh_in_parts
from traksense.domain.errors import DatabaseAway
from traksense.services.rollups import LEVELS

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
MIDNIGHT = NOW.replace(hour=0, minute=0)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)

pytestmark = pytest.mark.engine("timescale")


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


def hourly(sk: int, first: datetime, days: float) -> list[tuple[int, datetime, float]]:
    return [(sk, first + n * timedelta(hours=1), n / 4) for n in range(round(days * 24))]


def tables(connection: psycopg.Connection[Any]) -> dict[str, rollups.Buckets]:
    return {level: rollups.table(connection, level) for level in LEVELS}


def refresh_by_hand(connection: psycopg.Connection[Any], level: str, first: datetime) -> None:
    connection.execute(
        f"CALL refresh_continuous_aggregate('r_{level}', '{first}', '{MIDNIGHT}')".encode()
    )


def test_a_refresh_after_raw_chunks_were_dropped_leaves_their_rollups(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    ts.write(database, *hourly(sk, MIDNIGHT - 6 * DAY, 6))
    assert rollups.refresh(database, NOW).complete
    before = tables(connection)
    assert len(before["1h"]) == 144
    assert len(ts.drop(database, "raw", MIDNIGHT - 3 * DAY)) == 3
    for n in range(3):
        ts.write(database, (sk, MIDNIGHT - 3 * DAY + timedelta(hours=n, seconds=1), 1.0))
        assert rollups.refresh(database, NOW + n * MINUTE).complete
    after = tables(connection)
    for level in LEVELS:
        gone = {key for key in before[level] if key[1] < MIDNIGHT - 3 * DAY}
        assert len(gone) == 72
        assert {key: after[level][key] for key in gone} == {key: before[level][key] for key in gone}
        assert len(after[level]) == len(before[level])
    # What would have happened otherwise, so that the above proves something.
    refresh_by_hand(connection, "1m", MIDNIGHT - 6 * DAY)
    assert len(rollups.table(connection, "1m")) == 72


@pytest.mark.parametrize(("level", "source", "width"), [("5m", "1m", 7), ("1h", "5m", 28)])
def test_a_refresh_after_chunks_of_a_finer_rollup_were_dropped_leaves_the_coarser_one(
    database: Database, connection: psycopg.Connection[Any], sk: int,
    level: str, source: str, width: int,
) -> None:  # fmt: skip
    first = MIDNIGHT - 3 * width * DAY
    for of_level, step in LEVELS.items():
        rows = [
            (rollups.floor(first + n * 6 * timedelta(hours=1), step), 1.0, 1.0, 1.0, sk, 1)
            for n in range(3 * width * 4)
        ]
        rollups.put(connection, of_level, *rows)
    ts.write(database, (sk, NOW - timedelta(hours=2), 1.0))
    assert rollups.refresh(database, NOW).complete
    before = rollups.table(connection, level)
    dropped = ts.drop(database, source, MIDNIGHT - width * DAY)
    assert dropped
    edge = min(begin for _, begin, _ in ts.chunks(connection, source))
    assert first < edge
    ts.write(database, (sk, NOW - timedelta(hours=2, seconds=-1), 1.0))
    assert rollups.refresh(database, NOW + MINUTE).complete
    after = rollups.table(connection, level)
    assert {key for key in before if key[1] < edge}
    assert after.keys() == before.keys()
    refresh_by_hand(connection, level, first)
    assert not {key for key in rollups.table(connection, level) if key[1] < edge}


def test_a_reading_for_a_day_that_was_dropped_empties_no_rollup(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    """As when the retention was made longer, and an older reading is accepted again."""
    ts.write(database, *hourly(sk, MIDNIGHT - 6 * DAY, 6))
    rollups.refresh(database, NOW)
    ts.drop(database, "raw", MIDNIGHT - 3 * DAY)
    before = tables(connection)
    ts.write(database, (sk, MIDNIGHT - 6 * DAY + timedelta(seconds=5), 100.0))
    assert ts.chunks(connection, "raw")[0][1] == MIDNIGHT - 6 * DAY
    assert rollups.refresh(database, NOW + MINUTE).complete
    assert tables(connection) == before


def test_late_readings_are_in_every_level_after_one_refresh_of_compressed_days_too(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    ts.write(database, *hourly(sk, MIDNIGHT - 13 * DAY, 13))
    rollups.refresh(database, NOW)
    assert ts.compress(database, NOW + 14 * DAY).compressed >= 13
    for days in (0.1, 1, 2, 5, 12.9):
        ts.write(database, (sk, NOW - days * DAY + timedelta(seconds=7), 0.5))
    assert rollups.refresh(database, NOW + MINUTE).complete
    assert rollups.wrong_buckets(connection) == []
    seen = rollups.view(database, seeded.tenants["acme"], "1h")
    assert sum(count for *_, count in seen.values()) == 13 * 24 + 5


def test_a_days_old_backlog_of_ten_thousand_readings_is_in_every_rollup_within_90_seconds(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    """Of a hundred points among the readings of others, of a day that is compressed."""
    connection.execute(
        "INSERT INTO m_raw (ts, v_num, point_sk)"
        " SELECT t, p / 4.0, p FROM generate_series(%s::timestamptz, %s, interval '30 seconds') t,"
        " generate_series(1, 100) p ORDER BY t, p",
        (MIDNIGHT - 2 * DAY, MIDNIGHT - timedelta(seconds=30)),
    )
    while not rollups.refresh(database, NOW).complete:
        pass
    ts.compress(database, NOW, timedelta(0))
    late = [
        (p, MIDNIGHT - DAY + timedelta(seconds=37 + 600 * n), 0.25)
        for p in range(1, 101)
        for n in range(100)
    ]
    started = time.monotonic()
    assert ts.write(database, *late).stored == 10_000
    written = time.monotonic() - started
    report = rollups.refresh(database, NOW + MINUTE)
    took = time.monotonic() - started
    print(
        f"late backlog: {written:.2f} s to write, {took - written:.2f} s to refresh "
        f"{report.buckets} buckets; the schedule adds up to 60 s"
    )
    assert report.complete
    assert rollups.wrong_buckets(connection) == []
    assert took < 30


def test_a_long_history_is_refreshed_in_slices_and_a_repeat_writes_nothing(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    rows = hourly(sk, MIDNIGHT - 14 * DAY, 14)
    ts.write(database, *rows)
    store = rollups.store(database)
    assert store.seal(NOW, timedelta(minutes=30)) is False
    assert store.refresh(timedelta(minutes=30)) is not None
    assert rollups.refreshed(connection)["1m"] == MIDNIGHT - 14 * DAY + timedelta(minutes=30)
    report = rollups.refresh(database, NOW)
    assert report.complete
    assert report.slices >= 14
    assert report.buckets == sum(map(len, tables(connection).values())) - 2
    assert rollups.wrong_buckets(connection) == []
    ts.write(database, *rows)
    assert rollups.refresh(database, NOW).buckets == 0


def test_a_death_between_seal_and_refresh_and_within_it_costs_nothing(
    database_url: str,
    database: Database,
    connection: psycopg.Connection[Any],
    seeded: Seeded,
    sk: int,
) -> None:
    rollups.refresh(database, NOW - timedelta(hours=3))
    ts.write(database, (sk, NOW - timedelta(hours=2), 1.0), (sk, NOW - 2 * DAY, 2.0))
    assert TimescaleRollupStore(database).seal(NOW, DAY)
    with psycopg.connect(database_url) as other:
        table = other.execute("SELECT level_table('1h')::text").fetchone()
        assert table is not None
        other.execute(f"LOCK TABLE {table[0]} IN ACCESS EXCLUSIVE MODE".encode())
        hasty = Database(database_url, lock_timeout_ms=300)
        with pytest.raises(DatabaseAway):
            rollups.refresh(hasty, NOW)
        hasty.close()
    assert len(rollups.table(connection, "1m")) == 2
    seen = rollups.view(database, seeded.tenants["acme"], "1h")
    assert sum(total for total, *_ in seen.values()) == 1.0, "seen, and not twice"
    assert rollups.refresh(database, NOW).complete
    assert rollups.wrong_buckets(connection) == []


def test_two_refreshes_at_once_are_one(
    database_url: str, database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    ts.write(database, *hourly(sk, MIDNIGHT - 5 * DAY, 5))
    with psycopg.connect(database_url) as other:
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('traksense.rollups refresh', 0))"
        )
        report = rollups.refresh(database, NOW)
        assert (report.slices, report.complete) == (0, False)
    reports: list[Any] = []

    def work() -> None:
        mine = Database(database_url)
        reports.append(rollups.refresh(mine, NOW))
        mine.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(reports) == 3
    assert rollups.refresh(database, NOW).complete
    assert rollups.wrong_buckets(connection) == []


def begin_write(connection: psycopg.Connection[Any], sk: int, at: datetime) -> None:
    """What a transaction of ingestion does, up to its commit."""
    connection.execute("SELECT FROM public.rollup_watermark()")
    connection.execute("INSERT INTO m_raw (ts, v_num, point_sk) VALUES (%s, 1, %s)", (at, sk))


def test_a_refresh_waits_for_who_is_writing_and_a_writer_that_hangs_stops_no_other(
    database_url: str, database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    rollups.refresh(database, NOW - timedelta(minutes=10))
    ts.write(database, (sk, NOW - timedelta(minutes=6), 1.0))
    failed: list[Exception] = []

    def refresh() -> None:
        refresher = Database(database_url)
        try:
            rollups.refresh(refresher, NOW)
        except DatabaseAway as error:
            failed.append(error)
        refresher.close()

    with psycopg.connect(database_url) as other:
        begin_write(other, sk, NOW - timedelta(minutes=5))
        thread = threading.Thread(target=refresh)
        thread.start()
        ts.write(database, (sk, NOW, 1.0))  # waits, and less than it may
        thread.join(30)
        assert len(failed) == 1, "it gave up on the one that hangs"
        other.commit()
    assert rollups.refresh(database, NOW).complete
    assert rollups.wrong_buckets(connection) == []
    assert len(rollups.table(connection, "1m")) == 2


def test_a_span_that_takes_too_long_is_refreshed_in_halves_down_to_an_hour() -> None:
    done: list[tuple[datetime, datetime]] = []

    def call(first: datetime, end: datetime, timeout_s: int) -> None:
        if end - first > timedelta(hours=7) or (end - first > timedelta(hours=1)) != (
            timeout_s < 60
        ):
            raise pg_errors.QueryCanceled
        done.append((first, end))

    refresh_in_parts(call, LEVELS["1h"], MIDNIGHT - DAY, MIDNIGHT)
    assert done[0][0] == MIDNIGHT - DAY
    assert done[-1][1] == MIDNIGHT
    assert [end for _, end in done[:-1]] == [first for first, _ in done[1:]]
    assert all(rollups.floor(first, LEVELS["1h"]) == first for first, _ in done)

    def never(*_: Any) -> None:
        raise pg_errors.QueryCanceled

    with pytest.raises(pg_errors.QueryCanceled):
        refresh_in_parts(never, LEVELS["1m"], MIDNIGHT - DAY, MIDNIGHT)


@pytest.mark.parametrize(("level", "width"), [("1m", 7), ("5m", 28), ("1h", 84)])
def test_a_query_of_one_point_opens_its_own_chunk_alone(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int,
    level: str, width: int,
) -> None:  # fmt: skip
    rows = [
        (MIDNIGHT - n * timedelta(hours=1), 1.0, 1.0, 1.0, point, 1)
        for n in range(0, 3 * width * 24, 7)
        for point in (sk, sk + 1)
    ]
    rollups.put(connection, level, *rows)
    rollups.refresh(database, NOW)
    ts.compress(database, NOW)
    connection.execute("ANALYZE")
    chunk, first, _ = ts.chunks(connection, level)[1]
    with database.transaction("traksense_app", seeded.tenants["acme"]) as cursor:
        shown = "\n".join(
            line
            for (line,) in cursor.execute(
                "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)"
                f" SELECT bucket, avg FROM public.ts_measure_{level}_tenant"
                " WHERE point_id = %s AND bucket >= %s AND bucket < %s".encode(),
                (seeded.points["acme_chiller-1", "temp"], first, first + DAY),
            )
        )
    opened = {
        name for name, *_ in ts.chunks(connection, level) if f"on {name.split('.')[1]} " in shown
    }
    assert opened == {chunk}, shown
