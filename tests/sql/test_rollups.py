"""Rollups on PostgreSQL: what a refresh makes of readings, and what a tenant sees of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.support import rollups
from tests.support.fleet import Seeded
from traksense.db.connection import Database
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.rollups import SqlRollupStore
from traksense.domain.errors import DatabaseAway
from traksense.domain.readings import to_microseconds
from traksense.services.acceptance import TS_BITS, Accepted
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
    assert one(connection, "SELECT count(*) FROM rollup_dirty") == 0
    rollups.refresh(database, NOW + MINUTE)
    assert rollups.table(connection, "1m") == {}


def test_before_the_first_refresh_the_views_compute_everything(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    write(database, sk, (HOUR - 3 * DAY, 1.0), (NOW + timedelta(minutes=10), 2.0))
    assert one(connection, "SELECT count(*) FROM rollup_dirty") == 0
    for level, step in LEVELS.items():
        seen = rollups.view(database, seeded.tenants["acme"], level)
        assert {bucket for _, bucket in seen} == {
            HOUR - 3 * DAY,
            rollups.floor(NOW + timedelta(minutes=10), step),
        }


def test_the_first_refresh_takes_a_long_history_in_slices(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    connection.execute(
        "INSERT INTO m_raw (ts, v_num, point_sk) SELECT ts, extract(minute FROM ts)::float8, %s"
        " FROM generate_series(%s::timestamptz, %s, interval '17 minutes') ts",
        (sk, NOW - 14 * DAY, NOW),
    )
    store = SqlRollupStore(database)
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
    write(database, sk, (NOW - 2 * DAY, 1.0))
    rollups.refresh(database, NOW)
    for ago in (timedelta(minutes=3), timedelta(hours=2), DAY, 2 * DAY, 13.5 * DAY):
        write(database, sk, (NOW - ago + timedelta(seconds=1), 0.5))
    rollups.refresh(database, NOW)
    assert rollups.wrong_buckets(connection) == []
    assert len(rollups.table(connection, "1m")) == 5
    seen = rollups.view(database, seeded.tenants["acme"], "1h")
    assert sum(count for *_, count in seen.values()) == 6


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
    store = SqlRollupStore(database)
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


def test_a_refresh_that_fails_half_way_leaves_nothing_of_itself(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    rollups.refresh(database, NOW - timedelta(hours=3))
    write(database, sk, (NOW - timedelta(hours=2), 1.0), (NOW - 2 * DAY, 2.0))
    connection.execute("ALTER TABLE r_1h ADD CONSTRAINT broken CHECK (n < 0)")
    with pytest.raises(psycopg.errors.CheckViolation):
        rollups.refresh(database, NOW)
    assert rollups.table(connection, "1m") == {}
    assert one(connection, "SELECT count(*) FROM rollup_dirty") == 1
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


def test_readings_ahead_of_the_clock_are_seen_at_once_and_refreshed_in_their_time(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    at = NOW - timedelta(minutes=60)
    ahead = at + timedelta(minutes=14)
    rollups.refresh(database, at)
    write(database, sk, (ahead, 1.0))
    assert one(connection, "SELECT count(*) FROM rollup_dirty") == 0
    for level, step in LEVELS.items():
        assert [bucket for _, bucket in rollups.view(database, seeded.tenants["acme"], level)] == [
            rollups.floor(ahead, step)
        ]
    rollups.refresh(database, at + timedelta(minutes=10))
    assert rollups.table(connection, "1m") == {}
    rollups.refresh(database, at + timedelta(minutes=20))
    assert len(rollups.table(connection, "1m")) == 1


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


def test_what_retention_took_from_the_readings_stays_in_the_rollups(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    day = (NOW - 9 * DAY).replace(hour=12)
    write(database, sk, *((day + timedelta(seconds=n), 1.0) for n in range(30)))
    rollups.refresh(database, NOW)
    before = {level: rollups.table(connection, level) for level in LEVELS}
    write(database, sk, (day + timedelta(seconds=40), 100.0))  # marked
    connection.execute(f"DROP TABLE m_raw_{day:%Y%m%d}".encode())
    rollups.refresh(database, NOW)
    write(database, sk, (day + timedelta(seconds=50), 100.0))  # into a day that is made again
    rollups.refresh(database, NOW)
    assert {level: rollups.table(connection, level) for level in LEVELS} == before
    assert one(connection, "SELECT count(*) FROM rollup_dirty") == 0


def test_values_near_the_largest_float_stop_nobodys_refresh(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    start = HOUR - timedelta(hours=2)
    write(database, sk, *((start + timedelta(seconds=n), 1.7e308) for n in range(9)))
    write(database, seeded.sks["globex_chiller-1", "temp"], (start, -1.7e308), (NOW, -1.7e308))
    assert rollups.view(database, seeded.tenants["acme"], "1h")
    assert rollups.refresh(database, NOW).complete
    assert rollups.table(connection, "1h")[sk, start] == pytest.approx((9e290, 1.7e308, 1.7e308, 9))


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


def test_month_partitions_are_made_ahead_and_where_one_is_missing(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    store = SqlRollupStore(database)
    first, last = datetime(2020, 11, 30, tzinfo=UTC).date(), datetime(2021, 1, 1, tzinfo=UTC).date()
    assert store.ensure_partitions(first, last) == 9
    assert store.ensure_partitions(first, last) == 0
    connection.execute("SET TimeZone = 'UTC'")
    bounds = one(
        connection,
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'r_5m_202012'",
    )
    assert bounds == ("FOR VALUES FROM ('2020-12-01 00:00:00+00') TO ('2021-01-01 00:00:00+00')")
    for level in LEVELS:
        connection.execute(f"DROP TABLE IF EXISTS r_{level}_{NOW - 10 * DAY:%Y%m}".encode())
        connection.execute(f"DROP TABLE IF EXISTS r_{level}_{NOW:%Y%m}".encode())
    write(database, sk, (NOW - 10 * DAY, 1.0), (NOW - timedelta(hours=2), 1.0))
    assert rollups.refresh(database, NOW).complete
    assert rollups.wrong_buckets(connection) == []
    assert len(rollups.table(connection, "1m")) == 2


def test_months_end_where_they_do_in_the_tenants_time_zone(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded
) -> None:
    """Hours serve a zone of whole hours, five minutes one that is off by half an hour."""
    SqlRollupStore(database).ensure_partitions(
        datetime(2026, 1, 1).date(), datetime(2026, 3, 1).date()
    )
    zones = {"acme": "America/Sao_Paulo", "globex": "Asia/Kolkata"}
    for tenant, zone in zones.items():
        connection.execute("UPDATE tenants SET time_zone = %s WHERE slug = %s", (zone, tenant))
        sk = seeded.sks[f"{tenant}_chiller-1", "temp"]
        ends = datetime(2026, 2, 1, tzinfo=ZoneInfo(zone))
        for level, step in LEVELS.items():
            last = rollups.floor(ends.astimezone(UTC) - timedelta(microseconds=1), step)
            connection.execute(
                f"INSERT INTO r_{level} VALUES"
                " (%s, 6, 1, 3, %s, 3), (%s, 20, 20, 20, %s, 1)".encode(),
                (last, sk, last + step, sk),
            )
    rollups.refresh(database, NOW)
    for tenant in zones:
        write(database, seeded.sks[f"{tenant}_chiller-1", "temp"], (NOW, 5.0))
    for tenant, zone in zones.items():
        with database.transaction("traksense_app", seeded.tenants[tenant]) as cursor:
            months = cursor.execute(
                "SELECT month, bucket, sum, mean, count FROM public.ts_consumption_monthly_tenant"
                " WHERE point_id = %s ORDER BY month",
                (seeded.points[f"{tenant}_chiller-1", "temp"],),
            ).fetchall()
        this = NOW.astimezone(ZoneInfo(zone)).replace(day=1, hour=0, minute=0, second=0)
        assert months == [
            (datetime(2026, 1, 1).date(), datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)), 6, 2, 3),
            (datetime(2026, 2, 1).date(), datetime(2026, 2, 1, tzinfo=ZoneInfo(zone)), 20, 20, 1),
            (this.date(), this, 5, 5, 1),
        ]


@pytest.mark.parametrize("level", LEVELS)
def test_a_query_of_one_point_touches_its_rows_and_its_months_alone(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, level: str
) -> None:
    rollups.refresh(database, NOW - timedelta(minutes=3))
    store = SqlRollupStore(database)
    store.ensure_partitions(datetime(2026, 1, 1).date(), datetime(2026, 5, 1).date())
    connection.execute(
        f"INSERT INTO r_{level} SELECT ts, 1, 1, 1, point_sk, 1 FROM dim_point, generate_series("
        "'2026-02-25'::timestamptz, '2026-03-05', interval '1 hour') ts".encode()
    )
    connection.execute("ANALYZE")
    with database.transaction("traksense_app", seeded.tenants["acme"]) as cursor:
        cursor.execute("SELECT set_config('enable_seqscan', 'on', true)")
        shown = cursor.execute(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON)"
            f" SELECT bucket, avg FROM public.ts_measure_{level}_tenant"
            " WHERE point_id = %s AND bucket >= %s AND bucket < %s".encode(),
            (
                seeded.points["acme_chiller-1", "temp"],
                datetime(2026, 2, 27, tzinfo=UTC),
                datetime(2026, 2, 28, tzinfo=UTC),
            ),
        ).fetchone()
    assert shown is not None
    touched = {
        node["Relation Name"]: node
        for node in _nodes(shown[0][0]["Plan"])
        if "Relation Name" in node and node["Actual Loops"] > 0
    }
    stored = [name for name in touched if name.startswith("r_")]
    assert stored == [f"r_{level}_202602"]
    assert touched[stored[0]]["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Heap Scan")
    assert touched[stored[0]]["Actual Rows"] == 24
    assert touched[stored[0]].get("Rows Removed by Filter", 0) == 0
    assert touched["dim_point"]["Actual Rows"] == 1
    today = {
        f"m_raw_{day:%Y%m%d}" for day in (NOW - DAY, NOW, NOW + DAY, NOW + 2 * DAY, NOW + 3 * DAY)
    }
    assert {name for name in touched if name.startswith("m_raw")} <= today


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


def test_lag_is_how_long_a_missing_bucket_has_been_due(
    database: Database, connection: psycopg.Connection[Any]
) -> None:
    at = HOUR - timedelta(hours=5) + timedelta(minutes=30, seconds=80)
    service = Rollups(SqlRollupStore(database), now=lambda: at)
    assert service.refresh().lag_s == {"1m": 0, "5m": 0, "1h": 0}
    later = Rollups(SqlRollupStore(database), now=lambda: at + timedelta(minutes=42))
    assert later.lag_s() == {"1m": 41 * 60 + 5, "5m": 37 * 60 + 5, "1h": 12 * 60 + 5}


def test_lag_before_the_first_refresh_is_since_there_was_something_to_refresh_into(
    database: Database,
) -> None:
    later = Rollups(SqlRollupStore(database), now=lambda: NOW + timedelta(hours=2))
    assert all(7100 < seconds < 7300 for seconds in later.lag_s().values())
