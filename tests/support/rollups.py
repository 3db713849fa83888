"""Rollups beside their recomputation from readings."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from traksense.db.by_engine import RollupStoreByEngine
from traksense.db.connection import Database
from traksense.db.engine import EngineOf
from traksense.db.rollups import SqlRollupStore
from traksense.db.timescale.rollups import TimescaleRollupStore
from traksense.services.rollups import LEVELS, RefreshReport, Rollups, RollupStore

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

Bucket = tuple[float, float, float, int]
"""Sum, minimum, maximum, count."""
Buckets = dict[tuple[Any, datetime], Bucket]


def floor(at: datetime, step: timedelta) -> datetime:
    """The bucket that an instant is in."""
    return at - (at - EPOCH) % step


def recomputed(readings: dict[tuple[Any, datetime], float], step: timedelta) -> Buckets:
    """The buckets of these readings, by (point, bucket)."""
    values: dict[tuple[Any, datetime], list[float]] = defaultdict(list)
    for (point, ts), value in readings.items():
        values[point, floor(ts, step)].append(value)
    return {key: (sum(each), min(each), max(each), len(each)) for key, each in values.items()}


def stored_readings(connection: psycopg.Connection[Any]) -> dict[tuple[int, datetime], float]:
    """Every number there is, by (point_sk, ts)."""
    rows = connection.execute("SELECT point_sk, ts, v_num FROM public.rollup_source").fetchall()
    readings = {(point, ts): value for point, ts, value in rows}
    assert len(readings) == len(rows), "a reading is there twice"
    return readings


def table(connection: psycopg.Connection[Any], level: str) -> Buckets:
    """The rows of a level's table."""
    rows = connection.execute(
        sql.SQL("SELECT point_sk, bucket, s, mn, mx, n FROM public.{}").format(
            sql.Identifier(f"r_{level}")
        )
    ).fetchall()
    return {(point, bucket): tuple(rest) for point, bucket, *rest in rows}


def view(database: Database, tenant: UUID, level: str) -> Buckets:
    """What a tenant sees of a level, by (point_id, bucket)."""
    with database.transaction("traksense_app", tenant) as cursor:
        rows = cursor.execute(
            sql.SQL("SELECT point_id, bucket, sum, min, max, count, avg FROM public.{}").format(
                sql.Identifier(f"ts_measure_{level}_tenant")
            )
        ).fetchall()
    for row in rows:
        assert row[6] == row[2] / row[5]
    found = {(point, bucket): tuple(rest[:4]) for point, bucket, *rest in rows}
    assert len(found) == len(rows), "a bucket is shown twice"
    return found


def refreshed(connection: psycopg.Connection[Any]) -> dict[str, datetime | None]:
    """How far each level is."""
    return dict(
        connection.execute(
            "SELECT level, nullif(refreshed, '-infinity') FROM public.rollup_state"
        ).fetchall()
    )


def store(database: Database) -> RollupStore:
    """The store of the database's engine."""
    return RollupStoreByEngine(
        EngineOf(database), SqlRollupStore(database), TimescaleRollupStore(database)
    )


def refresh(database: Database, now: datetime | None = None) -> RefreshReport:
    """A run of the job at this time."""
    return Rollups(store(database), now=lambda: now or datetime.now(UTC)).refresh()


def marks(connection: psycopg.Connection[Any]) -> int:
    """Late minutes that wait for a refresh; an engine that keeps no such list has none."""
    if connection.execute("SELECT to_regclass('public.rollup_dirty')").fetchone() == (None,):
        return 0
    row = connection.execute("SELECT count(*) FROM public.rollup_dirty").fetchone()
    return 0 if row is None else int(row[0])


def put(
    connection: psycopg.Connection[Any],
    level: str,
    *rows: tuple[datetime, float, float, float, int, int],
) -> None:
    """Rows of a level (bucket, s, mn, mx, point_sk, n) straight into what it is stored in."""
    first, last = min(row[0] for row in rows).date(), max(row[0] for row in rows).date()
    where = connection.execute("SELECT to_regprocedure('public.level_table(text)')").fetchone()
    if where == (None,):
        connection.execute("SELECT public.ensure_rollup_partitions(%s, %s)", (first, last))
        table = f"public.r_{level}"
    else:
        (table,) = connection.execute(
            "SELECT public.level_table(%s)::text", (level,)
        ).fetchone() or ("",)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {table} (bucket, s, mn, mx, point_sk, n)"
            " VALUES (%s, %s, %s, %s, %s, %s)".encode(),
            rows,
        )


def wrong_buckets(connection: psycopg.Connection[Any]) -> list[str]:
    """Where a table differs from the recomputation of all that it has been refreshed to."""
    readings = stored_readings(connection)
    edges = refreshed(connection)
    wrong = []
    for level, step in LEVELS.items():
        edge = edges[level]
        expected = {
            key: bucket
            for key, bucket in recomputed(readings, step).items()
            if edge is not None and key[1] < edge
        }
        found = table(connection, level)
        wrong += [
            f"{level} {key}: {found.get(key)}, should be {expected.get(key)}"
            for key in expected.keys() | found.keys()
            if expected.get(key) != found.get(key)
        ]
    return wrong
