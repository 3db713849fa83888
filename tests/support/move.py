"""A source that holds some of everything, and what is to be found on the target."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import sql

from tests.support import database as db
from tests.support import fleet
from tests.support import segments as sg
from traksense import bootstrap
from traksense.db.connection import Database
from traksense.db.engine import StorageEngine
from traksense.db.move import cli
from traksense.settings.function import FunctionSettings

LEVELS: Final = ("1m", "5m", "1h")
OLD_DAYS: Final = 60
"""How far back the rollups of readings that are gone go."""


@dataclass(frozen=True, slots=True)
class Route:
    """From where to where."""

    source: str
    target: str
    source_engine: StorageEngine
    target_engine: StorageEngine
    seeded: fleet.Seeded


class Said:
    """The lines of a move."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def __contains__(self, part: str) -> bool:
        return any(part in line for line in self.lines)


def move(route: Route, *options: str) -> tuple[int, Said]:
    """Run the command in this process; DATABASE_URL names the source."""
    said = Said()
    code = cli.main(["--to", route.target, "--engine", route.target_engine, *options], said)
    return code, said


@contextmanager
def empty_database(admin_url: str) -> Iterator[str]:
    """A database without a schema."""
    with db.fresh_database(admin_url, "template0") as url:
        yield url


def run(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Statements of the owner; the rows of the last."""
    with psycopg.connect(url) as connection:
        connection.execute("SET ROLE traksense_owner")
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def maintain(url: str, *jobs: str) -> None:
    """Run jobs of the schedules."""
    settings = FunctionSettings(
        url, prepare_statements=False, metrics="none", raw_retention_days=14
    )
    database = Database(url)
    service = bootstrap.maintenance_of(settings, database)
    for job in jobs:
        service.run(job)
    database.close()


def fill(url: str, days: int = 4, *, old_rollups: bool = True) -> None:
    """Readings of every type for so many days and today, closed where they are old enough, with
    late ones after that, and the rollups of readings that are gone.
    """
    run(
        url,
        "SELECT public.ensure_raw_partitions(current_date - 16, current_date + 2)",
        f"""
        INSERT INTO public.m_raw (ts, v_num, point_sk, qual)
        SELECT g, CASE extract(minute FROM g)::integer % 7
                      WHEN 0 THEN '-0' WHEN 1 THEN 1e300 WHEN 2 THEN 0.1 + 0.2 WHEN 3 THEN 5e-324
                      ELSE round(random()::numeric * 100, 2) END, d.point_sk,
               CASE WHEN extract(minute FROM g) = 30 THEN 64 ELSE 0 END
        FROM public.dim_point d,
             generate_series(current_date - {days} + interval '0.000001 s', now(),
                             interval '11 minutes') g
        WHERE d.type = 'num'
        """,
        f"""
        INSERT INTO public.m_raw (ts, v_bool, v_text, point_sk, meta)
        SELECT g, CASE d.type WHEN 'bool' THEN random() < 0.5 END,
               CASE WHEN d.type <> 'bool'
                    THEN (ARRAY['', 'a|b', 'ção ''q'' \\', '|'])[1 + floor(random() * 4)::integer]
                    END,
               d.point_sk,
               CASE WHEN extract(hour FROM g) = 3
                    THEN '{{"b": 1.50, "a": [null, "x"], "n": 12345678901234567890.10}}'::jsonb END
        FROM public.dim_point d,
             generate_series(current_date - {days}, now(), interval '30 minutes') g
        WHERE d.type <> 'num'
        """,
    )
    maintain(url, "refresh_rollups")
    if old_rollups:
        _add_old_rollups(url)
    maintain(url, "close_days")
    keys = [sk for (sk,) in run(url, "SELECT point_sk FROM public.dim_point WHERE type = 'num'")]
    late = {(sk, sg.at(days, n * 77, 77 * n)): float(n) for sk in keys[:5] for n in range(1, 6)}
    assert sg.write(url, dict(late)) == len(late)


def _add_old_rollups(url: str) -> None:
    """Buckets from before the first reading, each level made of the finer one."""
    with psycopg.connect(url) as connection:
        connection.execute("SET ROLE traksense_owner")
        engine = connection.execute("SELECT public.storage_engine()").fetchone()
        assert engine is not None
        tables = {level: sql.Identifier("public", f"r_{level}") for level in LEVELS}
        if engine[0] == "timescale":
            for level in LEVELS:
                row = connection.execute("SELECT public.level_table(%s)::text", (level,)).fetchone()
                assert row is not None
                tables[level] = sql.Identifier(*row[0].split("."))
        else:
            connection.execute(
                "SELECT public.ensure_rollup_partitions(current_date - %s, current_date)",
                (OLD_DAYS,),
            )
        connection.execute(
            sql.SQL(
                "INSERT INTO {} (bucket, s, mn, mx, point_sk, n) SELECT g, 10.5, 1, 3, d.point_sk,"
                " 5 FROM public.dim_point d, generate_series(current_date - {}, current_date - 8,"
                " interval '30 minutes') g WHERE d.type = 'num' AND d.point_sk < 15"
            ).format(tables["1m"], OLD_DAYS)
        )
        for level, finer, step in (("5m", "1m", "5 minutes"), ("1h", "5m", "1 hour")):
            connection.execute(
                sql.SQL(
                    "INSERT INTO {} (bucket, s, mn, mx, point_sk, n)"
                    " SELECT date_bin({}, bucket, '2000-01-01 00:00Z'), sum(s), min(mn), max(mx),"
                    " point_sk, sum(n) FROM {} WHERE bucket < current_date - 7 GROUP BY 1, point_sk"
                ).format(tables[level], step, tables[finer])
            )


def readings(url: str) -> dict[tuple[int, datetime], tuple[Any, ...]]:
    """Every reading there is, to the last bit."""
    with psycopg.connect(url) as connection:
        connection.execute("SET ROLE traksense_owner")
        rows = (
            connection.cursor(binary=True)
            .execute(
                "SELECT point_sk, ts, v_num, v_bool, v_text, qual, meta::text"
                " FROM public.raw_readings"
            )
            .fetchall()
        )
    found = {
        (sk, ts): (None if number is None else struct.pack(">d", number), *rest)
        for sk, ts, number, *rest in rows
    }
    assert len(found) == len(rows), "a reading is there twice"
    return found


def rollups(url: str, level: str, before: datetime | None = None) -> dict[Any, tuple[Any, ...]]:
    """Minimum, maximum and count of each bucket, up to an instant."""
    with psycopg.connect(url) as connection:
        connection.execute("SET ROLE traksense_owner")
        rows = connection.execute(
            sql.SQL("SELECT point_sk, bucket, mn, mx, n FROM public.{} WHERE bucket < {}").format(
                sql.Identifier(f"r_{level}"), sql.Literal(before or datetime.now(UTC))
            )
        ).fetchall()
    found = {(sk, bucket): tuple(rest) for sk, bucket, *rest in rows}
    assert len(found) == len(rows), "a bucket is there twice"
    return found


def tables(url: str) -> dict[str, list[str]]:
    """The rows of every table of configuration, as text."""
    names = (
        "tenants", "sites", "device_templates", "point_templates", "devices", "points",
        "device_state", "dim_point", "ingest_errors", "device_events", "device_alarms", "purges",
    )  # fmt: skip
    with psycopg.connect(url) as connection:
        connection.execute("SET ROLE traksense_owner")
        connection.execute("SET TimeZone = 'UTC'")
        return {
            name: [
                row[0]
                for row in connection.execute(
                    sql.SQL("SELECT t::text FROM public.{} t ORDER BY 1").format(
                        sql.Identifier(name)
                    )
                )
            ]
            for name in names
        }


def refreshed(url: str) -> dict[str, datetime]:
    """Up to where each level is complete."""
    return dict(run(url, "SELECT level, nullif(refreshed, '-infinity') FROM public.rollup_state"))


def is_read_only(url: str) -> bool:
    """Whether a new session may not write."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW default_transaction_read_only").fetchone()
    return row == ("on",)


def ago(**span: float) -> str:
    """An instant before now, as devices write it."""
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


def has_no_schema(url: str) -> bool:
    """Whether nothing was ever migrated there."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT to_regclass('public.schema_migrations')").fetchone()
    return row == (None,)
