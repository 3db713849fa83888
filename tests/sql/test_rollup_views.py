"""Rollups on PostgreSQL as they are asked for: views, months, partitions, lag."""

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
from traksense.domain.readings import TS_BITS, to_microseconds
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


def test_before_the_first_refresh_the_views_compute_everything(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    write(database, sk, (HOUR - 3 * DAY, 1.0), (NOW + timedelta(minutes=10), 2.0))
    assert rollups.marks(connection) == 0
    for level, step in LEVELS.items():
        seen = rollups.view(database, seeded.tenants["acme"], level)
        assert {bucket for _, bucket in seen} == {
            HOUR - 3 * DAY,
            rollups.floor(NOW + timedelta(minutes=10), step),
        }


def test_readings_ahead_of_the_clock_are_seen_at_once_and_refreshed_in_their_time(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded, sk: int
) -> None:
    at = NOW - timedelta(minutes=60)
    ahead = at + timedelta(minutes=14)
    rollups.refresh(database, at)
    write(database, sk, (ahead, 1.0))
    assert rollups.marks(connection) == 0
    for level, step in LEVELS.items():
        assert [bucket for _, bucket in rollups.view(database, seeded.tenants["acme"], level)] == [
            rollups.floor(ahead, step)
        ]
    rollups.refresh(database, at + timedelta(minutes=10))
    assert rollups.table(connection, "1m") == {}
    rollups.refresh(database, at + timedelta(minutes=20))
    assert len(rollups.table(connection, "1m")) == 1


@pytest.mark.engine("plain")
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
    zones = {"acme": "America/Sao_Paulo", "globex": "Asia/Kolkata"}
    for tenant, zone in zones.items():
        connection.execute("UPDATE tenants SET time_zone = %s WHERE slug = %s", (zone, tenant))
        sk = seeded.sks[f"{tenant}_chiller-1", "temp"]
        ends = datetime(2026, 2, 1, tzinfo=ZoneInfo(zone))
        for level, step in LEVELS.items():
            last = rollups.floor(ends.astimezone(UTC) - timedelta(microseconds=1), step)
            rollups.put(connection, level, (last, 6, 1, 3, sk, 3), (last + step, 20, 20, 20, sk, 1))
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


@pytest.mark.engine("plain")
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
    service = Rollups(rollups.store(database), now=lambda: at)
    assert service.refresh().lag_s == {"1m": 0, "5m": 0, "1h": 0}
    later = Rollups(rollups.store(database), now=lambda: at + timedelta(minutes=42))
    assert later.lag_s() == {"1m": 41 * 60 + 5, "5m": 37 * 60 + 5, "1h": 12 * 60 + 5}


def test_lag_before_the_first_refresh_is_since_there_was_something_to_refresh_into(
    database: Database,
) -> None:
    later = Rollups(rollups.store(database), now=lambda: NOW + timedelta(hours=2))
    assert all(7100 < seconds < 7300 for seconds in later.lag_s().values())
