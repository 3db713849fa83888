"""What comes late: how long until every rollup shows it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench.results import Figures
from bench.storage_data import STEP, Source
from bench.storage_load import LIVE_POINTS, MINUTE, Jobs, fleet_name, ingest
from bench.storage_server import Server
from traksense.contracts.schedules import REFRESH_ROLLUPS

ROUNDS: Final = 5
REPORTS: Final = 100
"""Of 100 points each: 10,000 readings."""

_SHOWN: Final = """
SELECT least(
    (SELECT sum(count) FROM public.ts_measure_1m_tenant
     WHERE device_id = %(device)s AND bucket >= %(first)s AND bucket < %(end)s),
    (SELECT sum(count) FROM public.ts_measure_5m_tenant
     WHERE device_id = %(device)s AND bucket >= %(first)s AND bucket < %(end)s),
    (SELECT sum(count) FROM public.ts_measure_1h_tenant
     WHERE device_id = %(device)s AND bucket >= %(first)s AND bucket < %(end)s))
"""
_NUMBERS: Final = """
SELECT count(*) FROM public.points p JOIN public.devices d ON d.id = p.device_id
WHERE d.name = %(name)s AND p.type = 'num'
"""


def measure(server: Server, jobs: Jobs, figures: Figures) -> int:
    """A day-old backlog, and one of a day that is closed already, in turn; how many readings that
    were, with the live ones.
    """
    numbers = iter(range(1, 2 * ROUNDS + 1))
    readings = 0
    for _ in range(ROUNDS):
        for name, age in (("late_backlog_s", 1), ("late_backlog_closed_s", 5)):
            took, stored = _one(server, jobs, fleet_name(next(numbers)), timedelta(days=age))
            figures.add(name, took, "s")
            readings += stored
    return readings


def _one(server: Server, jobs: Jobs, name: str, age: timedelta) -> tuple[float, int]:
    """Seconds from the call until all levels show it, at the worst moment: a refresh has just
    begun without it, so that all of the schedule's minute passes before the next one, which finds
    a minute of the 10,000 live points to do beside it.
    """
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    first = now.replace(minute=0) - age
    source = Source(name, 100)
    records = [source.record(at, payload) for at, payload in source.messages(first, REPORTS)]
    numbers = int(server.one(_NUMBERS, name=name))
    jobs.refresh(datetime.now(UTC))
    started = time.perf_counter()
    ingest(records)
    taken = time.perf_counter() - started
    live = _live_minute(now - 2 * MINUTE)
    started = time.perf_counter()
    jobs.refresh(datetime.now(UTC))
    refreshed = time.perf_counter() - started
    shown = _shown(server, jobs, name, first)
    assert shown == numbers * len(records), (shown, numbers, len(records))
    took = taken + REFRESH_ROLLUPS.rate_minutes * 60 + refreshed
    return took, len(records) * len(source.points) + live


def _live_minute(start: datetime) -> int:
    """The readings that came meanwhile; of a sealed minute, which is more to do, not less."""
    devices = LIVE_POINTS // 100 - 2 * ROUNDS
    by_step: list[list[dict[str, Any]]] = [[] for _ in range(MINUTE // STEP)]
    for number in range(2 * ROUNDS + 1, 2 * ROUNDS + devices):
        source = Source(fleet_name(number), 100)
        for at, payload in source.messages(start, len(by_step)):
            by_step[(at - start) // STEP].append(source.record(at, payload))
    for records in by_step:
        ingest(records)
    return sum(map(len, by_step)) * 100


def _shown(server: Server, jobs: Jobs, name: str, first: datetime) -> int | None:
    device = server.one("SELECT id FROM public.devices WHERE name = %(name)s", name=name)
    with jobs.database.transaction("traksense_app", server.tenant_id) as cursor:
        row = cursor.execute(
            _SHOWN, {"device": device, "first": first, "end": first + timedelta(hours=1)}
        ).fetchone()
    return None if row is None or row[0] is None else int(row[0])
