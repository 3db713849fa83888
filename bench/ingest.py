"""Readings per second through the real ingest handler, beside COPY and the predecessor's way.

One event is 5,000 SQS records of 10 numbers each, all fresh keys; the parsing of the event's JSON
is part of it, as it is part of Lambda's work. The three ways take turns in one run on one server.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
import psycopg

from bench import fleet
from bench.results import Figures
from traksense.db import binary
from traksense.db.migrate import migrate
from traksense.domain.readings import TS_BITS, to_microseconds

MESSAGES: Final = 5_000
ROUNDS: Final = 7
EVENTS_PER_ROUND: Final = 4
EXECUTEMANY_ROWS: Final = 500
STEP: Final = timedelta(seconds=5)

_PREDECESSOR: Final = """
CREATE TABLE public.predecessor (
    ts timestamptz NOT NULL, tenant_id uuid NOT NULL, device_id uuid NOT NULL,
    point_id uuid NOT NULL, v_num float8, v_bool boolean, v_text text, unit text,
    qual smallint NOT NULL DEFAULT 0,
    UNIQUE (tenant_id, device_id, point_id, ts)
)
"""
_PREDECESSOR_INSERT: Final = """
INSERT INTO public.predecessor
    (ts, tenant_id, device_id, point_id, v_num, v_bool, v_text, unit, qual)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
"""


def run(admin_url: str, figures: Figures) -> None:
    """Measure on a fresh database of this server."""
    parts = urlsplit(admin_url)
    url = urlunsplit(parts._replace(path="/bench_ingest"))
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS bench_ingest WITH (FORCE)")
        connection.execute("CREATE DATABASE bench_ingest")
    migrate(url)
    everything = fleet.create(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT ensure_raw_partitions(current_date - 15, current_date + 2)")
        connection.execute(_PREDECESSOR)
    os.environ["DATABASE_URL"] = url
    os.environ["TRAKSENSE_METRICS"] = "none"
    from functions.ingest.handler import handler

    starts = _starts()
    _through_handler(url, handler, starts, events=1, seed=99)  # warm: imports, directory, caches
    readings = EVENTS_PER_ROUND * MESSAGES * fleet.POINTS
    many = readings // 4
    for number in range(ROUNDS):
        took: dict[str, Any] = {}
        ways: list[tuple[str, Callable[[], Any]]] = [
            (
                "handler",
                partial(_through_handler, url, handler, starts, EVENTS_PER_ROUND, number),
            ),
            ("copy", lambda: _through_copy(url, everything, starts, readings)),
            (
                "executemany",
                lambda: asyncio.run(_through_executemany(url, everything, next(starts), many)),
            ),
        ]
        # Whoever comes first after a checkpoint pays for the page images of all: take turns.
        for name, way in ways[number % 3 :] + ways[: number % 3]:
            took[name] = way()
        wall, client, server = took["handler"]
        copy, executemany = readings / took["copy"], many / took["executemany"]
        figures.add("ingest_readings_per_s", readings / wall, "readings/s")
        figures.add("ingest_client_cpu_us_per_reading", client / readings * 1e6, "µs")
        figures.add("ingest_server_cpu_us_per_reading", server / readings * 1e6, "µs")
        figures.add("copy_binary_readings_per_s", copy, "readings/s")
        figures.add("executemany_readings_per_s", executemany, "readings/s")
        figures.add("ingest_vs_copy_ratio", readings / wall / copy, "×")
        figures.add("ingest_vs_executemany_ratio", readings / wall / executemany, "×")


def _starts() -> Iterator[datetime]:
    """Instants far enough apart that no two events share a key, in the order of time."""
    span = STEP * (MESSAGES // fleet.DEVICES)
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
    while True:
        yield at
        at += span


def _cpu_of_backends(url: str) -> float:
    """CPU seconds of this database's sessions so far."""
    with psycopg.connect(url, autocommit=True) as connection:
        pids = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'traksense-ingest'"
        ).fetchall()
    times = [psutil.Process(pid).cpu_times() for (pid,) in pids]
    return sum(each.user + each.system for each in times)


def _through_handler(
    url: str, handler: Any, starts: Iterator[datetime], events: int, seed: int
) -> tuple[float, float, float]:
    """Wall, client CPU and server CPU seconds."""
    bodies = [fleet.event(next(starts), MESSAGES, STEP, seed * 100 + n) for n in range(events)]
    before = _count(url)
    server = _cpu_of_backends(url)
    started, cpu = time.perf_counter(), time.process_time()
    for body in bodies:
        answer = handler(json.loads(body), None)
        assert answer == {"batchItemFailures": []}, answer
    wall, client = time.perf_counter() - started, time.process_time() - cpu
    server = _cpu_of_backends(url) - server
    stored = _count(url) - before
    assert stored == events * MESSAGES * fleet.POINTS, stored
    return wall, client, server


def _count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM public.raw_readings").fetchone()
    assert row is not None
    return int(row[0])


def _through_copy(
    url: str, everything: fleet.Fleet, starts: Iterator[datetime], readings: int
) -> float:
    """Seconds for the same number of readings by COPY BINARY, its bytes made beforehand."""
    batch = MESSAGES * fleet.POINTS
    datas = []
    for _ in range(readings // batch):
        start_us = to_microseconds(next(starts))
        step_us = STEP // timedelta(microseconds=1)
        rows: dict[int, Any] = {
            sk << TS_BITS | start_us + n * step_us: round(20 + n / 7, 2)
            for n in range(batch // len(everything.point_sks))
            for sk in everything.point_sks
        }
        datas.append(binary.copy_numbers(sorted(rows), rows))
    with psycopg.connect(url) as connection:
        started = time.perf_counter()
        for data in datas:
            with connection.cursor() as cursor:
                statement = "COPY public.m_raw (ts, v_num, point_sk) FROM STDIN (FORMAT BINARY)"
                with cursor.copy(statement) as copy:
                    copy.write(data)
            connection.commit()
        return time.perf_counter() - started


async def _through_executemany(
    url: str, everything: fleet.Fleet, start: datetime, readings: int
) -> float:
    """Seconds for so many readings by asyncpg executemany, 500 rows a call and transaction."""
    points = list(zip(everything.device_ids, everything.point_ids, strict=True))
    rows = [
        (
            start + STEP * (n // len(points)),
            everything.tenant_id,
            *points[n % len(points)],
            round(20 + n % 977 / 7, 2),
            None,
            None,
            "°C",
            0,
        )
        for n in range(readings)
    ]
    connection = await asyncpg.connect(url)
    try:
        started = time.perf_counter()
        for first in range(0, readings, EXECUTEMANY_ROWS):
            async with connection.transaction():
                await connection.executemany(
                    _PREDECESSOR_INSERT, rows[first : first + EXECUTEMANY_ROWS]
                )
        return time.perf_counter() - started
    finally:
        await connection.close()
