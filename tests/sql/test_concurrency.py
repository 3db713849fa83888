"""Writers that meet: two real connections each, in the order that would hurt."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from functions import sqs
from tests.sql.conftest import ingest_service
from tests.support import fleet
from tests.support.fleet import Seeded, channel, event, normalised, record, telem
from traksense.contracts.topics import Channel
from traksense.db.connection import Database
from traksense.db.directory import SqlDirectoryLoader
from traksense.db.event_store import SqlEventStore
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.maintenance import SqlMaintenanceStore
from traksense.domain.connectivity import SaidOnline
from traksense.domain.readings import to_microseconds
from traksense.services.acceptance import Accepted
from traksense.services.device_events import DeviceEventsService, EventBatch
from traksense.services.directory import Directory

NOW = datetime.now(UTC)
NOW_US = to_microseconds(NOW)


@pytest.fixture
def two_devices(seeded: Seeded) -> tuple[UUID, UUID]:
    """Two devices in the order in which every writer locks them."""
    low, high = sorted(seeded.devices[f"acme_chiller-{n}"] for n in (1, 2))
    return low, high


@pytest.fixture
def other(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url) as connection:
        yield connection


def lock(connection: psycopg.Connection[Any], device_id: UUID, how: str = "") -> None:
    query = f"SELECT FROM public.device_state WHERE device_id = %s FOR UPDATE {how}"
    connection.execute(query.encode(), (device_id,))


def wait_until_someone_waits(url: str) -> None:
    query = (
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database OR l.database"
        " IS NULL WHERE NOT l.granted AND d.datname = current_database() AND l.pid IN"
        " (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(200):
            row = connection.execute(query.encode()).fetchone()
            if row is not None and row[0]:
                return
            threading.Event().wait(0.02)
    pytest.fail("nobody waits")


@pytest.mark.parametrize("writer", ["events", "metadata"])
def test_a_writer_that_waits_for_a_device_holds_none_after_it(
    database_url: str,
    two_devices: tuple[UUID, UUID],
    other: psycopg.Connection[Any],
    writer: str,
) -> None:
    """Else another that has them in the right order waits in a circle with it."""
    low, high = two_devices
    writes: dict[str, Callable[[Database], object]] = {
        "events": lambda database: SqlEventStore(database).write(
            EventBatch(evidence=[(high, SaidOnline(NOW))], heard={low: (NOW_US, True)})
        ),
        "metadata": lambda database: SqlReadingStore(database).write(
            Accepted(heard={high: (NOW_US, True)}, reported={low: {"fw": "1"}})
        ),
    }
    written: list[object] = []

    def work() -> None:
        database = Database(database_url)
        with closing(database):
            written.append(writes[writer](database))

    lock(other, low)
    thread = threading.Thread(target=work)
    thread.start()
    wait_until_someone_waits(database_url)
    with psycopg.connect(database_url) as third:
        lock(third, high, "NOWAIT")
    other.commit()
    thread.join(20)
    assert len(written) == 1


def test_telemetry_and_events_of_the_same_devices_never_wait_in_a_circle(
    database_url: str, seeded: Seeded
) -> None:
    ingest = ingest_service(database_url, slice_size=10)
    failed: list[str] = []
    names = ["chiller-1", "chiller-2", "parsec-1", "je02-1"]

    def telemetry() -> None:
        for n in range(40):
            at = fleet.now_ms() - 600_000 + n * 11_000  # each due for a touch
            records = [
                record(telem("acme", name), normalised(NOW.isoformat(), temp=1.0), at)
                for name in (names if n % 2 else names[::-1])
            ]
            failed.extend(ingest.ingest(sqs.messages(event(*records))).failed)

    def events() -> None:
        database = Database(database_url)
        service = DeviceEventsService(
            Directory(SqlDirectoryLoader(database)), SqlEventStore(database)
        )
        for n in range(40):
            at = fleet.now_ms() - 600_000 + n * 11_000
            status = {"schema": "v1", "status": "offline" if n % 2 else "online"}
            boot = {"schema": "v1", "event_type": "boot", "ts": NOW.isoformat()}
            mine = names if n % 3 else names[::-1]
            records = [
                record(channel("acme", mine[0], Channel.STATE), status, at),
                *(record(channel("acme", name, Channel.EVENT), boot, at) for name in mine[1:]),
            ]
            failed.extend(service.take(sqs.messages(event(*records))).failed)
        database.close()

    threads = [threading.Thread(target=work) for work in (telemetry, events, events)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    ingest.close()
    assert failed == []


def test_a_state_that_arrived_later_stands_against_telemetry_before_it(
    database_url: str, two_devices: tuple[UUID, UUID], other: psycopg.Connection[Any]
) -> None:
    """The touch was decided before the state was seen, and is decided anew after the wait."""
    device_id, _ = two_devices
    came_online: list[int] = []

    def work() -> None:
        database = Database(database_url)
        written = SqlReadingStore(database).write(Accepted(heard={device_id: (NOW_US, True)}))
        came_online.append(written.came_online)
        database.close()

    other.execute(
        "UPDATE public.device_state SET state_at = %s WHERE device_id = %s",
        (NOW + timedelta(seconds=1), device_id),
    )
    thread = threading.Thread(target=work)
    thread.start()
    wait_until_someone_waits(database_url)
    other.commit()
    thread.join(20)
    assert came_online == [0]
    row = other.execute(
        "SELECT is_online FROM public.device_state WHERE device_id = %s", (device_id,)
    ).fetchone()
    assert row == (False,)


def test_the_offline_sweep_waits_for_nobody_and_passes_over_who_is_speaking(
    database_url: str, two_devices: tuple[UUID, UUID], other: psycopg.Connection[Any]
) -> None:
    low, _ = two_devices
    other.execute(
        "UPDATE public.device_state SET is_online = true, last_seen = %s, state_at = %s",
        (NOW - timedelta(hours=1), NOW - timedelta(hours=1)),
    )
    other.commit()
    lock(other, low)
    database = Database(database_url, lock_timeout_ms=500)
    swept = SqlMaintenanceStore(database).sweep_offline(NOW)
    database.close()
    row = other.execute(
        "SELECT count(*) FILTER (WHERE is_online), count(*) FROM public.device_state"
    ).fetchone()
    assert row is not None
    assert (row[0], swept) == (1, row[1] - 1)


@pytest.mark.engine("plain")
def test_partitions_made_by_many_at_once_are_made_once(database_url: str) -> None:
    first, days = date(2025, 3, 1), 20
    made: list[int] = []

    def work() -> None:
        database = Database(database_url)
        store = SqlMaintenanceStore(database)
        made.append(store.ensure_partitions(first, first + timedelta(days=days - 1)))
        database.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(made) == [0, 0, 0, days]


@pytest.mark.engine("plain")
def test_two_services_that_lack_the_same_day_both_store_their_readings(
    database_url: str, seeded: Seeded
) -> None:
    ago = 4 * 86_400
    at = datetime.now(UTC) - timedelta(seconds=ago)
    with psycopg.connect(database_url) as connection:
        connection.execute(f"DROP TABLE public.m_raw_{at:%Y%m%d}".encode())
    services = [ingest_service(database_url) for _ in range(2)]
    stored: list[int] = []

    def work(n: int) -> None:
        topic = telem("acme", f"chiller-{n + 1}")
        records = [
            record(topic, normalised((at + timedelta(milliseconds=i)).isoformat(), temp=1.0))
            for i in range(50)
        ]
        result = services[n].ingest(sqs.messages(event(*records)))
        assert result.failed == []
        stored.append(result.stored)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for service in services:
        service.close()
    assert stored == [50, 50]
