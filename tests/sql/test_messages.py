"""Messages as devices sent them: kept where the template asks for it, once, packed, and let go."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from functions import sqs
from tests.sql.conftest import ingest_service
from tests.support import fleet
from tests.support.fleet import Seeded, event, record, telem
from traksense import bootstrap
from traksense.db.connection import Database
from traksense.db.engine import StorageEngine
from traksense.db.messages import SqlMessageStore
from traksense.db.retention import SqlRetentionStore
from traksense.services.ingest import IngestService
from traksense.services.messages import DayBusy, Messages
from traksense.services.retention import Keep, Retention
from traksense.settings.function import FunctionSettings

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
NOON = NOW.replace(hour=12, minute=0, second=0) - 4 * DAY
"""Of a day that is long over, and still within raw's retention."""
CLOSE_AFTER = timedelta(days=2)


@pytest.fixture
def seeded(database_url: str) -> Seeded:
    """Two tenants whose chillers' messages are kept."""
    return fleet.seed(database_url, keep_raw=frozenset({"chiller"}))


@pytest.fixture
def url(database_url: str, seeded: Seeded) -> str:
    """The two tenants, all of whose rollups are refreshed."""
    assert seeded.devices
    execute(database_url, "UPDATE rollup_state SET refreshed = now()")
    return database_url


@pytest.fixture
def service(url: str) -> Iterator[IngestService]:
    made = ingest_service(url)
    yield made
    made.close()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    made = Database(url)
    yield made
    made.close()


def execute(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(query.encode(), values)
        return [] if cursor.description is None else cursor.fetchall()


def millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def payload(at: datetime, value: float) -> bytes:
    return json.dumps(fleet.normalised(at.isoformat(), temp=value), separators=(",", ":")).encode()


def message(at: datetime, value: float = 7.5, device: str = "chiller-1") -> dict[str, Any]:
    return record(telem("acme", device), payload(at, value), millis(at))


def take(service: IngestService, *records: dict[str, Any]) -> None:
    result = service.ingest(sqs.messages(event(*records)))
    assert result.failed == []


def kept(url: str) -> list[tuple[str, datetime, bytes]]:
    """Topic, arrival and bytes of every message that there is."""
    rows = execute(url, "SELECT topic, received_at, payload FROM raw_messages ORDER BY 2, 3")
    return [(topic, at, bytes(data)) for topic, at, data in rows]


def pack(database: Database) -> list[date]:
    report = Messages(SqlMessageStore(database), CLOSE_AFTER).pack()
    assert report.left == 0
    return report.days


def test_a_message_is_kept_to_the_byte_where_its_template_asks_for_it(
    url: str, service: IngestService
) -> None:
    odd = b' {"schema" : "v1" ,\n "ts":"' + NOW.isoformat().encode() + b'","points":[]} '
    other = record(telem("acme", "parsec-1"), {"di1": 1, "di2": 0, "ts": NOW.isoformat()})
    take(service, message(NOW), record(telem("globex", "chiller-2"), odd, millis(NOW)), other)
    assert sorted(kept(url)) == [
        ("traksense/acme/plant/chiller-1/telem", NOW, payload(NOW, 7.5)),
        ("traksense/globex/plant/chiller-2/telem", NOW, odd),
    ]


def test_a_message_that_is_refused_is_kept_as_well(url: str, service: IngestService) -> None:
    take(service, record(telem("acme", "chiller-1"), b"\x00\xff no json", millis(NOW)))
    assert [data for _, _, data in kept(url)] == [b"\x00\xff no json"]
    assert execute(url, "SELECT count(*) FROM ingest_errors") == [(1,)]


def test_a_redelivery_adds_nothing_and_a_second_sending_does(
    url: str, service: IngestService
) -> None:
    again = message(NOW)
    take(service, message(NOW), again)
    take(service, again)
    assert len(kept(url)) == 1
    later = NOW + timedelta(milliseconds=1)
    take(service, record(telem("acme", "chiller-1"), payload(NOW, 7.5), millis(later)))
    assert [at for _, at, _ in kept(url)] == [NOW, later]


def test_nothing_is_kept_of_a_slice_that_is_undone(url: str, service: IngestService) -> None:
    execute(url, "ALTER TABLE ingest_errors ADD CHECK (topic <> topic)")
    result = service.ingest(
        sqs.messages(event(message(NOW), record(telem("acme", "chiller-1"), b"garbage")))
    )
    assert len(result.failed) == 1
    assert [data for _, _, data in kept(url)] == [payload(NOW, 7.5)]


@pytest.mark.parametrize("off", [-15 * DAY, 2 * DAY])
def test_an_arrival_that_raw_would_not_keep_keeps_no_message(
    url: str, service: IngestService, off: timedelta
) -> None:
    take(service, record(telem("acme", "chiller-1"), payload(NOW, 1.0), millis(NOW + off)))
    assert kept(url) == []


def test_the_messages_of_a_day_that_is_over_are_packed_and_stay_what_they_were(
    url: str, service: IngestService, database: Database, engine: StorageEngine
) -> None:
    past = [message(NOON + n * timedelta(seconds=7), n / 10) for n in range(1200)]
    past += [message(NOON, 3.0, "chiller-2"), message(NOON + 2 * DAY, 1.0), message(NOW)]
    take(service, *past)
    before = kept(url)
    assert len(before) == 1203
    size = _size(url, engine)
    assert pack(database) == [NOON.date()]
    assert kept(url) == before
    assert _size(url, engine) < size / 2
    assert pack(database) == []


def _size(url: str, engine: StorageEngine) -> int:
    """Bytes of the messages, whatever engine keeps them."""
    size = (
        "SELECT sum(pg_total_relation_size(('public.' || partition)::regclass))::bigint"
        " FROM partition_bounds('public.m_message')"
        if engine == "plain"
        else "SELECT hypertable_size('public.m_message')"
    )
    return int(execute(url, size)[0][0])


def test_a_redelivery_after_packing_adds_nothing_and_a_late_message_is_packed_too(
    url: str, service: IngestService, database: Database, engine: StorageEngine
) -> None:
    first = [message(NOON + n * timedelta(minutes=1), float(n)) for n in range(5)]
    take(service, *first)
    pack(database)
    before = kept(url)
    take(service, *first)
    assert kept(url) == before
    # TimescaleDB takes out of the columns what it compares with.
    assert pack(database) == ([] if engine == "plain" else [NOON.date()])
    take(service, message(NOON + timedelta(seconds=90), 99.0), *first)
    with_late = kept(url)
    assert len(with_late) == 6
    assert pack(database) == [NOON.date()]
    assert kept(url) == with_late
    take(service, message(NOON + timedelta(seconds=90), 99.0))
    assert kept(url) == with_late


@pytest.mark.parametrize("role", ["traksense_app", "traksense_readonly", "traksense_ops"])
def test_a_tenant_sees_its_own_messages_packed_or_not_and_no_others(
    url: str, seeded: Seeded, service: IngestService, database: Database, role: Any
) -> None:
    for at in (NOON, NOW):
        take(
            service,
            message(at),
            record(telem("globex", "chiller-1"), payload(at, 2.0), millis(at)),
        )
    pack(database)
    query = "SELECT device_id, message_id, received_at, payload FROM public.messages_tenant"
    with database.transaction(role, seeded.tenants["acme"]) as cursor:
        mine = cursor.execute(f"{query} ORDER BY received_at").fetchall()
    assert [(row[0], row[2], bytes(row[3])) for row in mine] == [
        (seeded.devices["acme_chiller-1"], at, payload(at, 7.5)) for at in (NOON, NOW)
    ]
    ids = "SELECT message_id(topic, received_at, payload) = message_id FROM raw_messages"
    assert execute(url, ids) == [(True,)] * 4
    with database.transaction(role) as cursor:
        assert cursor.execute(query).fetchall() == []
    execute(url, "UPDATE tenants SET raw_retention_days = 2 WHERE slug = 'acme'")
    with database.transaction(role, seeded.tenants["acme"]) as cursor:
        assert [row[2] for row in cursor.execute(query).fetchall()] == [NOW]


@pytest.mark.parametrize("role", ["traksense_app", "traksense_readonly", "traksense_ops",
                                  "traksense_ingest"])  # fmt: skip
def test_no_role_but_the_owners_reads_all_messages(database: Database, role: Any) -> None:
    for relation in ("m_message", "raw_messages"):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            database.transaction(role) as cursor,
        ):
            cursor.execute(f"SELECT FROM public.{relation}")


def test_messages_go_with_raws_retention_and_the_purge_is_recorded(
    url: str, service: IngestService, database: Database
) -> None:
    take(service, message(NOON), message(NOON + DAY), message(NOW))
    pack(database)
    keep = Keep(raw=2 * DAY)
    report = Retention(SqlRetentionStore(database), keep).run()
    assert report.complete
    # A day more than is kept, to midnight, as for readings.
    assert [at for _, at, _ in kept(url)] == [NOON + DAY, NOW]
    (purge,) = [each for each in SqlRetentionStore(database).last_purges()
                if each.level == "messages"]  # fmt: skip
    assert purge.partitions == 1
    assert purge.up_to == NOON.replace(hour=0) + DAY


def test_a_day_that_somebody_is_adding_to_is_left_to_the_next_run(
    url: str, service: IngestService, database: Database, engine: StorageEngine
) -> None:
    take(service, message(NOON))
    store = SqlMessageStore(database)
    with psycopg.connect(url) as writer:
        if engine == "plain":
            writer.execute("SELECT lock_messages(%s, false)", (NOON.date(),))
        else:
            (statement,) = writer.execute(
                "SELECT format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', chunk)"
                " FROM level_chunks('messages')"
            ).fetchone() or ("",)
            writer.execute(statement.encode())
        with pytest.raises(DayBusy):
            store.pack(NOON.date())
        report = Messages(store, CLOSE_AFTER).pack()
        assert (report.days, report.left) == ([], 1)
    assert pack(database) == [NOON.date()]


@pytest.mark.engine("plain")
def test_what_comes_while_its_day_is_packed_waits_and_is_there_once(
    url: str, service: IngestService
) -> None:
    take(service, message(NOON, 1.0), message(NOON + timedelta(minutes=1), 2.0))
    again = [message(NOON, 1.0), message(NOON + timedelta(minutes=2), 3.0)]
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        " AND datname = current_database()"
    )
    with psycopg.connect(url) as packer, ThreadPoolExecutor(1) as threads:
        packer.execute("SELECT pack_messages(%s)", (NOON.date(),))
        taken = threads.submit(take, service, *again)
        deadline = time.monotonic() + 10
        while execute(url, waiting) != [(1,)]:
            assert time.monotonic() < deadline, "nobody waits for the packer"
            time.sleep(0.01)
        packer.commit()
        taken.result(10)
    assert [at for _, at, _ in kept(url)] == [NOON + n * timedelta(minutes=1) for n in range(3)]


def test_the_schedule_packs_and_says_so_in_json(
    url: str, service: IngestService, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(service, message(NOON))
    monkeypatch.setenv("DATABASE_URL", url)
    database = Database(url)
    try:
        jobs = bootstrap.maintenance_of(FunctionSettings.from_environment(), database)
        answer = json.loads(json.dumps(jobs.run("close_days")))
    finally:
        database.close()
    assert answer["packed_days"] == [f"{NOON:%Y-%m-%d}"]
    assert answer["packed_messages"] == 1
    assert answer["complete"] is True


def test_packing_ends_when_its_time_is_over() -> None:
    class Store:
        def unpacked_days(self, close_after: timedelta) -> list[date]:
            assert close_after == CLOSE_AFTER
            return [NOON.date(), NOW.date()]

        def pack(self, day: date) -> int:
            assert day == NOON.date()
            return 3

    ticks: Callable[[], float] = iter([0.0, 1.0, 121.0]).__next__
    report = Messages(Store(), CLOSE_AFTER, ticks).pack()
    assert (report.days, report.messages, report.left) == ([NOON.date()], 3, 1)
