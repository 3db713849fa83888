"""A device that sends too much: flagged, bounded over two containers, and few of it kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from functions import sqs
from tests.support import fleet
from tests.support.fleet import Seeded, event, normalised, record, telem
from traksense import vendors
from traksense.db.connection import Database
from traksense.db.directory import SqlDirectoryLoader
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.message_rates import SqlRateStore
from traksense.domain.errors import DatabaseAway
from traksense.domain.messages import Message
from traksense.services.acceptance import Acceptance
from traksense.services.directory import Directory
from traksense.services.ingest import IngestResult, IngestService
from traksense.services.message_rates import MessageRates

RATE = 4
BOUND = 10 * RATE
TOPIC = telem("acme", "chiller-1")
MINUTE = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)


@pytest.fixture
def seeded(database_url: str) -> Seeded:
    return fleet.seed(database_url)


@pytest.fixture
def container(database_url: str, seeded: Seeded) -> Iterator[Callable[[], IngestService]]:
    """Makes containers of ingestion, each with memory and a connection of its own."""
    made = []

    def make() -> IngestService:
        database = Database(database_url)
        made.append(
            IngestService(
                Directory(SqlDirectoryLoader(database)),
                Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot),
                SqlReadingStore(database),
                release=database.close,
                rates=MessageRates(SqlRateStore(database), RATE),
            )
        )
        return made[-1]

    yield make
    for service in made:
        service.close()


def flood(
    count: int, *, start: int = 0, minute: datetime = MINUTE, topic: str = TOPIC, pad: str = ""
) -> list[Message]:
    """So many messages that came to the broker within a minute, each with a reading of its own."""
    records = []
    for n in range(start, start + count):
        ts = (minute + timedelta(milliseconds=n)).isoformat().replace("+00:00", "Z")
        payload = {**normalised(ts, temp=float(n)), "meta": {"pad": pad}}
        at = int(minute.timestamp() * 1000) + n
        records.append(record(topic, payload, at))
    return sqs.messages(event(*records))


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def stored(url: str) -> int:
    return int(rows(url, "SELECT count(*) FROM m_raw")[0][0])


def surplus(url: str) -> tuple[int, int]:
    """Dead letters, and the messages that they stand for."""
    query = (
        "SELECT count(*), coalesce(sum(occurrences), 0) FROM ingest_errors WHERE reason = 'rate'"
    )
    return tuple(map(int, rows(url, query)[0]))  # type: ignore[return-value]


def flagged(url: str) -> dict[str, datetime]:
    query = (
        "SELECT t.slug || '_' || d.name, s.over_rate_at FROM device_state s JOIN devices d"
        " ON d.id = s.device_id JOIN tenants t ON t.id = d.tenant_id"
        " WHERE s.over_rate_at IS NOT NULL"
    )
    return dict(rows(url, query))


def test_a_device_within_its_rate_is_not_flagged_and_one_past_it_is(
    database_url: str, container: Callable[[], IngestService]
) -> None:
    service = container()
    assert service.ingest(flood(RATE)).over_rate == 0
    assert flagged(database_url) == {}
    result = service.ingest(flood(1, start=RATE))
    assert (result.stored, result.over_rate, result.reasons) == (1, 1, {})
    assert flagged(database_url) == {"acme_chiller-1": MINUTE}


def test_past_ten_times_the_rate_the_surplus_is_dead_letters_and_others_go_on(
    database_url: str, container: Callable[[], IngestService]
) -> None:
    other = flood(2, topic=telem("globex", "chiller-1"))
    result = container().ingest([*flood(BOUND + 7), *other])
    assert (result.stored, result.failed, result.reasons) == (BOUND + 2, [], {"rate": 7})
    assert surplus(database_url) == (7, 7)
    assert set(flagged(database_url)) == {"acme_chiller-1"}


def test_single_messages_add_up_and_the_minute_is_that_of_the_arrival(
    database_url: str, container: Callable[[], IngestService]
) -> None:
    service = container()
    for hours_ago in range(5):  # a backlog, taken in at once
        minute = MINUTE - timedelta(hours=hours_ago)
        for n in range(RATE):
            assert service.ingest(flood(1, start=n, minute=minute)).reasons == {}
    assert flagged(database_url) == {}
    for n in range(RATE, BOUND + 1):
        service.ingest(flood(1, start=n))
    assert (stored(database_url), surplus(database_url)) == (5 * RATE + BOUND - RATE, (1, 1))


def test_a_message_that_is_delivered_again_counts_once_in_whichever_container(
    database_url: str, container: Callable[[], IngestService]
) -> None:
    for service in (container(), container(), container()):
        result = service.ingest(flood(RATE))
        assert (result.over_rate, result.reasons) == (0, {})
    assert flagged(database_url) == {}
    for service in (container(), container()):
        service.ingest(flood(BOUND + 5, minute=MINUTE + timedelta(minutes=1)))
    assert surplus(database_url) == (5, 5)
    assert stored(database_url) == RATE + BOUND


def test_what_goes_back_to_the_queue_is_not_counted_until_it_is_done(
    database_url: str, container: Callable[[], IngestService]
) -> None:
    service = container()

    class Away:
        def write(self, _accepted: object) -> Any:
            raise DatabaseAway("not now")

    store, service._store = service._store, Away()  # type: ignore[assignment]
    for _ in range(5):
        assert len(service.ingest(flood(1)).failed) == 1
    service._store = store
    assert service.ingest(flood(1)).stored == 1
    service.ingest(flood(RATE - 1, start=1))
    assert flagged(database_url) == {}


def test_two_containers_at_once_admit_no_more_than_the_bound(
    database_url: str, container: Callable[[], IngestService]
) -> None:
    services = [container() for _ in range(2)]
    results: list[IngestResult] = []

    def work(service: IngestService, start: int) -> None:
        for n in range(6):
            results.append(service.ingest(flood(10, start=start + 10 * n)))

    threads = [
        threading.Thread(target=work, args=(service, 1000 * n))
        for n, service in enumerate(services)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [each.failed for each in results] == [[]] * 12
    assert stored(database_url) == BOUND
    assert surplus(database_url) == (120 - BOUND, 120 - BOUND)


def test_a_flood_fills_no_table_with_dead_letters(
    database_url: str, container: Callable[[], IngestService]
) -> None:
    service = container()
    hour = MINUTE.replace(minute=0) - timedelta(hours=1)
    for minute in range(3):
        at = hour + timedelta(minutes=minute)
        service.ingest(flood(BOUND + 500, minute=at))
    assert surplus(database_url) == (101, 1500)


def test_large_payloads_are_kept_up_to_a_bound_of_bytes(
    database_url: str, container: Callable[[], IngestService]
) -> None:
    container().ingest(flood(BOUND + 10, pad="x" * 100_000))
    letters, messages = surplus(database_url)
    assert (letters, messages) == (3, 10)


def test_a_template_has_a_rate_of_its_own(
    database_url: str, container: Callable[[], IngestService]
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE device_templates DISABLE TRIGGER USER")
        connection.execute("UPDATE device_templates SET max_messages_per_minute = 100")
    service = container()
    assert service.ingest(flood(90)).reasons == {}
    assert flagged(database_url) == {}
    assert service.ingest(flood(20, start=90)).over_rate == 1


def test_a_device_that_is_erased_meanwhile_stops_nobody(
    database_url: str, container: Callable[[], IngestService], seeded: Seeded
) -> None:
    service = container()
    service.ingest([*flood(1), *flood(1, topic=telem("globex", "chiller-1"))])
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM devices WHERE id = %s", (seeded.devices["acme_chiller-1"],))
    result = service.ingest(
        [*flood(BOUND, start=5), *flood(3, start=5, topic=telem("globex", "chiller-1"))]
    )
    assert (result.failed, result.stored) == ([], 3)


def test_counts_that_nothing_can_come_back_to_are_deleted(
    database_url: str, container: Callable[[], IngestService]
) -> None:
    container().ingest(flood(BOUND))
    for before, left in ((MINUTE, 1), (MINUTE + timedelta(minutes=1), 0)):
        with psycopg.connect(database_url) as connection:
            connection.execute("SELECT purge_device_minutes(%s, 1000)", (before,))
        assert rows(database_url, "SELECT count(*) FROM device_minutes") == [(left,)]
