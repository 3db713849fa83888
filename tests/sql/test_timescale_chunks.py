"""Chunks on TimescaleDB: compressed when they are over, dropped when they are past their time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from functions.maintenance import handler as maintenance
from tests.support import rollups
from tests.support import segments as sg
from tests.support import timescale as ts
from tests.support.fleet import Seeded
from traksense.contracts import schedules
from traksense.contracts.metrics import Metric
from traksense.db import retention as db_retention
from traksense.db.connection import Database
from traksense.db.retention import SqlRetentionStore
from traksense.observability import NoMetrics, metrics
from traksense.services.retention import Keep, Retention, StillNeeded
from traksense.services.rollups import LEVELS

NOW = datetime.now(UTC).replace(microsecond=0)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0)
DAY = timedelta(days=1)

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


def a_week(sk: int, days: int = 7) -> list[tuple[int, datetime, Any]]:
    first = MIDNIGHT - days * DAY
    return [(sk, first + n * timedelta(minutes=20), n / 100) for n in range(days * 72)]


def states(connection: psycopg.Connection[Any], level: str) -> list[bool]:
    return [has_rows for _, _, has_rows in ts.chunks(connection, level)]


def test_days_that_are_over_become_columns_and_read_as_they_did(
    database_url: str, database: Database, connection: psycopg.Connection[Any], seeded: Seeded,
    sk: int,
) -> None:  # fmt: skip
    rows = a_week(sk)
    rows += [(seeded.sks["acme_chiller-1", "compressor_on"], at, n % 2 == 0)
             for n, (_, at, _) in enumerate(rows)]  # fmt: skip
    rows += [(seeded.sks["acme_chiller-1", "mode"], at, "COOL") for _, at, _ in a_week(sk)]
    ts.write(database, *rows)
    before = sg.stored(database_url)
    assert len(before) == len(rows)
    report = ts.compress(database, NOW)
    assert (report.compressed, report.recompressed, report.waiting) == (5, 0, 0)
    assert report.complete
    assert states(connection, "raw") == [False] * 5 + [True] * 2
    assert sg.stored(database_url) == before
    assert ts.compress(database, NOW).compressed == 0


def test_rollups_become_columns_each_in_its_time(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    for level, step in LEVELS.items():
        rows = [(rollups.floor(NOW - n * DAY, step), 1.0, 1.0, 1.0, sk, 1) for n in range(300)]
        rollups.put(connection, level, *rows)
    before = {level: rollups.table(connection, level) for level in LEVELS}
    assert ts.compress(database, NOW).complete
    for level, after in (("1m", 7), ("5m", 7), ("1h", 14)):
        ends = connection.execute(
            "SELECT ends, has_rows FROM public.level_chunks(%s)", (level,)
        ).fetchall()
        assert {has_rows for _, has_rows in ends} == {True, False}
        assert all(has_rows == (end > NOW - after * DAY) for end, has_rows in ends)
        assert rollups.table(connection, level) == before[level]


def test_the_first_write_wins_in_columns_as_in_rows_and_late_rows_join_them(
    database_url: str, database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    rows = a_week(sk)
    ts.write(database, *rows)
    ts.compress(database, NOW)
    before = sg.stored(database_url)
    for _ in range(2):  # by COPY, that fails, and then the sure way
        repeat = ts.write(database, *((sk, at, 99.0) for _, at, _ in rows))
        assert (repeat.stored, repeat.duplicates) == (0, len(rows))
    assert sg.stored(database_url) == before
    ts.compress(database, NOW)  # a chunk that a repeat looked into is marked as if it had rows
    assert not any(states(connection, "raw")[:5])
    late = [(sk, at + timedelta(seconds=1), 5.0) for _, at, _ in rows[:50]]
    late += [(sk + 1, at, 6.0) for _, at, _ in rows[:50]]
    assert ts.write(database, *late).stored == 100
    assert states(connection, "raw")[:2] == [True, False]
    assert len(sg.stored(database_url)) == len(rows) + 100
    report = ts.compress(database, NOW)
    assert (report.compressed, report.recompressed) == (0, 1)
    assert states(connection, "raw")[0] is False
    assert len(sg.stored(database_url)) == len(rows) + 100
    assert ts.write(database, *late).stored == 0


def test_a_late_backlog_among_many_compressed_readings_is_taken(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded
) -> None:
    """More of them are compared with it than the server's own limit allows."""
    connection.execute(
        "INSERT INTO m_raw (ts, v_num, point_sk)"
        " SELECT t, 1, p FROM generate_series(%s::timestamptz, %s, interval '10 seconds') t,"
        " generate_series(1, 20) p ORDER BY t, p",
        (MIDNIGHT - 4 * DAY, MIDNIGHT - 3 * DAY - timedelta(seconds=1)),
    )
    ts.compress(database, NOW)
    late = [
        (p, MIDNIGHT - 4 * DAY + timedelta(seconds=10 * n + (n % 2)), 2.0)
        for p in range(1, 21)
        for n in range(0, 8640, 9)
    ]
    assert len(late) == 19_200
    assert ts.write(database, *late).stored == len(late) / 2
    assert ts.write(database, *late).stored == 0


def test_what_somebody_holds_on_to_is_left_to_the_next_run_and_counted(
    database_url: str, database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    ts.write(database, *a_week(sk))
    chunk = ts.chunks(connection, "raw")[0][0]
    hasty = Database(database_url, lock_timeout_ms=200)
    with psycopg.connect(database_url) as other:
        other.execute(f"LOCK TABLE {chunk} IN ROW EXCLUSIVE MODE".encode())
        report = ts.compress(hasty, NOW)
    assert (report.compressed, report.waiting, report.complete) == (4, 1, False)
    assert ts.compress(hasty, NOW).compressed == 1
    hasty.close()


@pytest.mark.parametrize("seconds", [10, 60])
def test_equipment_values_take_less_than_ten_bytes_a_reading(
    database: Database, connection: psycopg.Connection[Any], seconds: int
) -> None:
    """A slow walk of two decimals, as temperatures and pressures are."""
    choose = random.Random(7)
    rows = []
    for point in range(1, 21):
        value = choose.uniform(5, 400)
        for n in range(86_400 // seconds):
            value += choose.gauss(0, 0.05)
            rows.append(
                (MIDNIGHT - 4 * DAY + timedelta(seconds=n * seconds), round(value, 2), point)
            )
    rows.sort(key=lambda row: (row[0], row[2]))
    with connection.cursor().copy("COPY m_raw (ts, v_num, point_sk) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    assert ts.compress(database, NOW).compressed == 1
    ((size,),) = connection.execute(
        "SELECT sum(total_bytes) FROM chunks_detailed_size('m_raw')"
    ).fetchall()
    each = float(size) / len(rows)
    print(f"every {seconds} s: {each:.2f} bytes a reading, with index and all")
    assert each < (10 if seconds == 10 else 40)


def run(database: Database, **keep: timedelta) -> Any:
    return Retention(SqlRetentionStore(database), Keep(**keep)).run()


def test_each_level_goes_by_chunks_and_every_purge_is_recorded(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    for level, step in LEVELS.items():
        rows = [(rollups.floor(NOW - n * DAY, step), 1.0, 1.0, 1.0, sk, 1) for n in range(400)]
        rollups.put(connection, level, *rows)
    ts.write(database, *a_week(sk, 20))
    rollups.refresh(database, NOW)
    ts.compress(database, NOW)
    assert SqlRetentionStore(database).has_partitions()
    report = run(database, minutes=60 * DAY, five_minutes=120 * DAY, hours=240 * DAY)
    assert report.complete
    for level, days in (("raw", 14), ("1m", 60), ("5m", 120), ("1h", 240)):
        ends = connection.execute("SELECT ends FROM level_chunks(%s)", (level,)).fetchall()
        assert min(end for (end,) in ends) > MIDNIGHT - (days + 1) * DAY
    purged = connection.execute(
        "SELECT level, sum(partitions), max(up_to) FROM purges GROUP BY level"
    ).fetchall()
    assert {level for level, *_ in purged} == {"raw", *LEVELS}
    assert sum(partitions for _, partitions, _ in purged) == len(report.dropped)
    for level, _, up_to in purged:
        assert ts.chunks(connection, level)[0][1] == up_to, "what is left begins there"
    assert connection.execute("SELECT sum(rows) FROM purges WHERE level = 'raw'").fetchone() == (
        5 * 72,
    ), "what was in columns is counted"
    assert report.rewritten == []
    assert run(database, minutes=60 * DAY, five_minutes=120 * DAY, hours=240 * DAY).dropped == []
    (kept,) = connection.execute("SELECT count(*) FROM m_raw").fetchone() or (0,)
    assert kept == 15 * 72


def test_what_the_rollups_have_not_read_stays(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    ts.write(database, *a_week(sk, 20))
    report = run(database)
    assert (report.dropped, report.complete) == ([], False)
    rollups.refresh(database, MIDNIGHT - 18 * DAY + timedelta(hours=2))
    assert len(run(database).dropped) == 2
    rollups.refresh(database, NOW)
    assert len(run(database).dropped) == 3


def test_nothing_is_dropped_under_a_refresh_or_a_reader(
    database_url: str, database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    ts.write(database, *a_week(sk, 20))
    rollups.refresh(database, NOW)
    with psycopg.connect(database_url) as other:
        other.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('traksense.rollups refresh', 0))"
        )
        with pytest.raises(StillNeeded):
            SqlRetentionStore(database).drop_oldest("raw", NOW - 15 * DAY)
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM m_raw")
        with pytest.raises(StillNeeded):
            SqlRetentionStore(database).drop_oldest("raw", NOW - 15 * DAY)
    assert len(run(database).dropped) == 5


def test_a_tenant_that_keeps_less_sees_less_and_the_others_see_all(
    database: Database, connection: psycopg.Connection[Any], seeded: Seeded
) -> None:
    keys = [seeded.sks[f"{tenant}_chiller-1", "temp"] for tenant in ("acme", "globex")]
    ts.write(database, *((sk, NOW - n * DAY, 1.0) for sk in keys for n in range(1, 10)))
    rollups.refresh(database, NOW)
    ts.compress(database, NOW)
    connection.execute(
        "UPDATE tenants SET raw_retention_days = 5, retention_1m_days = 4, retention_5m_days = 6"
        " WHERE slug = 'acme'"
    )
    counts = {}
    for tenant, tenant_id in seeded.tenants.items():
        with database.transaction("traksense_app", tenant_id) as cursor:
            for view in ("", "_1m", "_5m", "_1h"):
                cursor.execute(f"SELECT count(*) FROM public.ts_measure{view}_tenant".encode())
                counts[tenant, view] = (cursor.fetchone() or (0,))[0]
    assert {counts["globex", view] for view in ("", "_1m", "_5m", "_1h")} == {9}
    assert [counts["acme", view] for view in ("", "_1m", "_5m", "_1h")] == [4, 3, 5, 9]


def test_the_state_is_told_in_lines(
    database: Database, connection: psycopg.Connection[Any], sk: int
) -> None:
    assert db_retention.describe(database)[-1] == "nothing was purged yet"
    ts.write(database, *a_week(sk, 20))
    rollups.refresh(database, NOW)
    ts.compress(database, NOW)
    run(database)
    heading, raw, *levels, purged = db_retention.describe(database)
    assert heading.split()[:3] == ["level", "chunks", "in"]
    assert raw.split()[:4] == ["raw", "15", "13", "0"]
    assert all("," in number for number in raw.split()[4:7])
    assert [line.split()[0] for line in levels][:3] == ["1m", "5m", "1h"]
    assert purged.startswith("last purge of raw: ")


class Gathered(NoMetrics):
    """What was measured, by metric and label."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str | None], float] = {}

    def count(self, metric: Metric, n: float, label: str | None = None) -> None:
        self.values[metric.name, label] = n

    def gauge(self, metric: Metric, value: float, label: str | None = None) -> None:
        self.values[metric.name, label] = value


@pytest.fixture
def measured(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gathered]:
    """The maintenance function over the database, and what it measures."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TRAKSENSE_METRICS", "none")
    maintenance._service.cache_clear()
    assert maintenance._service()
    gathered = Gathered()
    metrics.use(gathered)
    yield gathered
    maintenance._service()._store._database.close()  # type: ignore[attr-defined]
    maintenance._service.cache_clear()
    metrics.use(NoMetrics())


@pytest.mark.parametrize(
    ("schedule", "broken", "metric"),
    [
        (schedules.REFRESH_ROLLUPS, "rollup_start(text)", ("RollupFailures", None)),
        (schedules.CLOSE_DAYS, "due_chunks(text, timestamptz)", ("JobFailures", "close_days")),
        (schedules.RETENTION, "level_chunks(text)", ("JobFailures", "retention")),
    ],
)
def test_a_job_that_fails_is_counted(
    database: Database, connection: psycopg.Connection[Any], measured: Gathered, sk: int,
    schedule: schedules.Schedule, broken: str, metric: tuple[str, str | None],
) -> None:  # fmt: skip
    ts.write(database, *a_week(sk))
    connection.execute(f"ALTER FUNCTION {broken} RENAME TO broken".encode())
    with pytest.raises(psycopg.errors.UndefinedFunction):
        maintenance.handler(schedule.payload, None)
    assert measured.values[metric] == 1


def test_the_jobs_of_the_schedules_run_and_tell_what_waits(
    database_url: str, database: Database, connection: psycopg.Connection[Any],
    measured: Gathered, sk: int,
) -> None:  # fmt: skip
    ts.write(database, *a_week(sk))
    chunk = ts.chunks(connection, "raw")[1][0]
    for schedule in schedules.SCHEDULES:
        if schedule != schedules.CLOSE_DAYS:
            maintenance.handler(schedule.payload, None)
    assert measured.values["RollupBuckets", None] > 500
    assert measured.values["RollupLag", "1h"] < 60
    with psycopg.connect(database_url) as other:
        other.execute(f"LOCK TABLE {chunk} IN ROW EXCLUSIVE MODE".encode())
        result = maintenance.handler(schedules.CLOSE_DAYS.payload, None)
    assert measured.values["DaysToClose", None] == 1
    assert (result["compressed"], result["waiting"]) == (4, 1)
    maintenance.handler(schedules.CLOSE_DAYS.payload, None)
    assert measured.values["DaysToClose", None] == 0
