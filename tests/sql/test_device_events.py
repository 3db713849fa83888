"""State, events, alarms, acks and presence against a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from functions import sqs
from tests.support import fleet
from tests.support.fleet import Seeded, channel, event, record
from traksense.contracts.topics import Channel
from traksense.db.connection import Database
from traksense.db.directory import SqlDirectoryLoader
from traksense.db.event_store import SqlEventStore
from traksense.db.maintenance import SqlMaintenanceStore
from traksense.services.device_events import DeviceEventsService
from traksense.services.directory import Directory
from traksense.services.maintenance import MaintenanceService

ONLINE = {"schema": "v1", "status": "online"}
OFFLINE = {"schema": "v1", "status": "offline"}
TS = datetime.now(UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


@pytest.fixture
def service(database: Database, seeded: Seeded) -> DeviceEventsService:
    return DeviceEventsService(Directory(SqlDirectoryLoader(database)), SqlEventStore(database))


def take(service: DeviceEventsService, *records: dict[str, Any]) -> Any:
    return service.take(sqs.messages(event(*records)))


def rows(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def online(url: str, seeded: Seeded, thing: str) -> bool:
    query = "SELECT is_online FROM device_state WHERE device_id = %s"
    return bool(rows(url, query, seeded.devices[thing])[0][0])


def state(tenant: str, device: str, payload: dict[str, Any], at: int) -> dict[str, Any]:
    return record(channel(tenant, device, Channel.STATE), payload, at)


def presence(what: str, thing: str, session: str, version: int, at: int) -> dict[str, Any]:
    payload = {
        "clientId": thing,
        "timestamp": at,
        "eventType": what,
        "sessionIdentifier": session,
        "principalIdentifier": "x",
        "versionNumber": version,
    }
    return record(f"$aws/events/presence/{what}/{thing}", payload, at)


def test_online_and_offline_follow_the_order_of_arrival_not_of_delivery(
    database_url: str, service: DeviceEventsService, seeded: Seeded
) -> None:
    now = fleet.now_ms()
    result = take(service, state("acme", "chiller-1", ONLINE, now))
    assert (result.failed, result.flips.online) == ([], 1)
    assert online(database_url, seeded, "acme_chiller-1")
    # Delivered the wrong way round in one batch, and a stale one in the next.
    late = [
        state("acme", "chiller-1", OFFLINE, now + 20),
        state("acme", "chiller-1", ONLINE, now + 10),
    ]
    assert take(service, *late).flips.offline == 1
    assert not online(database_url, seeded, "acme_chiller-1")
    assert take(service, late[1]).flips.online == 0
    assert not online(database_url, seeded, "acme_chiller-1")


def test_another_tenants_device_of_the_same_name_is_not_touched(
    database_url: str, service: DeviceEventsService, seeded: Seeded
) -> None:
    take(service, state("acme", "chiller-1", ONLINE, fleet.now_ms()))
    assert not online(database_url, seeded, "globex_chiller-1")


def test_a_gateway_takes_its_children_along_when_it_goes(
    database_url: str, service: DeviceEventsService, seeded: Seeded
) -> None:
    now = fleet.now_ms()
    rows(
        database_url,
        "UPDATE device_state SET is_online = true, state_at = to_timestamp(%s) RETURNING 1",
        now / 1000 - 60,
    )
    result = take(service, state("acme", "khomp-1", OFFLINE, now))
    assert result.flips.offline == 2
    assert not online(database_url, seeded, "acme_sensor-1")
    assert online(database_url, seeded, "acme_meter-D01")


def test_presence_of_a_thing_finds_its_device_without_a_site(
    database_url: str, service: DeviceEventsService, seeded: Seeded
) -> None:
    now = fleet.now_ms()
    take(service, presence("connected", "acme_chiller-1", "s1", 1, now))
    assert online(database_url, seeded, "acme_chiller-1")
    # The Will of s1 comes after s2 took over, then the end of s1: neither says a thing of s2.
    take(
        service,
        presence("connected", "acme_chiller-1", "s2", 2, now + 100),
        state("acme", "chiller-1", OFFLINE, now + 120),
        presence("disconnected", "acme_chiller-1", "s1", 1, now + 130),
    )
    assert online(database_url, seeded, "acme_chiller-1")
    take(service, presence("disconnected", "acme_chiller-1", "s2", 2, now + 9000))
    assert not online(database_url, seeded, "acme_chiller-1")


def test_presence_of_a_client_that_is_no_device_is_no_error(
    database_url: str, service: DeviceEventsService, seeded: Seeded
) -> None:
    result = take(service, presence("connected", "bridge-ingest", "s", 1, fleet.now_ms()))
    assert (result.failed, result.reasons) == ([], {})


def test_an_event_and_an_alarm_are_stored_once_however_often_delivered(
    database_url: str, service: DeviceEventsService, seeded: Seeded
) -> None:
    boot = {"schema": "v1", "event_type": "boot", "ts": TS, "data": {"reason": "power"}}
    alarm = {"schema": "v1", "code": "E12", "severity": "high", "active": True, "ts": TS}
    records = [
        record(channel("acme", "chiller-1", Channel.EVENT), boot),
        record(channel("acme", "chiller-1", Channel.EVENT), {**boot, "event_id": "e1"}),
        record(channel("acme", "chiller-1", Channel.ALARM), alarm),
        record(channel("acme", "chiller-1", Channel.ALARM), {**alarm, "active": False}),
    ]
    for _ in range(2):
        assert take(service, *records).reasons == {}
    assert rows(database_url, "SELECT event_type, data FROM device_events") == [
        ("boot", {"reason": "power"}),
        ("boot", {"reason": "power"}),
    ]
    assert rows(database_url, "SELECT code, severity, active FROM device_alarms ORDER BY id") == [
        ("E12", "high", True),
        ("E12", "high", False),
    ]
    assert online(database_url, seeded, "acme_chiller-1"), "who speaks is online"


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        (Channel.STATE, {"schema": "v1", "status": "dancing"}, "bad_payload"),
        (Channel.STATE, {"schema": "v2", "status": "online"}, "bad_payload"),
        (Channel.STATE, b"nope", "bad_json"),
        (Channel.EVENT, {"schema": "v1", "event_type": "boot"}, "bad_payload"),
        (Channel.EVENT, {"schema": "v1", "event_type": "a\x00b", "ts": TS}, "bad_text"),
        (
            Channel.EVENT,
            {"schema": "v1", "event_type": "boot", "ts": "2999-01-01T00:00:00Z"},
            "ts_in_future",
        ),
        (
            Channel.ALARM,
            {"schema": "v1", "code": "x", "severity": "loud", "active": True, "ts": TS},
            "bad_payload",
        ),
        (Channel.ACK, {"schema": "v1", "cmd_id": "01J", "ok": True}, "unknown_command"),
    ],
)
def test_what_cannot_be_accepted_is_a_dead_letter(
    database_url: str,
    service: DeviceEventsService,
    seeded: Seeded,
    name: Channel,
    payload: dict[str, Any] | bytes,
    reason: str,
) -> None:
    good = state("acme", "chiller-2", ONLINE, fleet.now_ms())
    result = take(service, record(channel("acme", "chiller-1", name), payload), good)
    assert (result.failed, dict(result.reasons)) == ([], {reason: 1})
    assert rows(database_url, "SELECT reason FROM ingest_errors") == [(reason,)]
    assert online(database_url, seeded, "acme_chiller-2")


def test_data_nested_without_end_is_refused_and_stops_nothing(
    database_url: str, service: DeviceEventsService, seeded: Seeded
) -> None:
    deep = b'{"schema":"v1","event_type":"x","ts":"' + TS.encode() + b'","data":{"a":'
    payload = deep + b"[" * 20_000 + b"]" * 20_000 + b"}}"
    result = take(service, record(channel("acme", "chiller-1", Channel.EVENT), payload))
    assert result.failed == []
    assert sum(result.reasons.values()) == 1


def test_a_database_that_is_away_returns_the_batch(seeded: Seeded) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    service = DeviceEventsService(Directory(SqlDirectoryLoader(away)), SqlEventStore(away))
    one = state("acme", "chiller-1", ONLINE, fleet.now_ms())
    assert take(service, one).failed == [one["messageId"]]


def test_a_silent_device_is_swept_offline_and_its_late_message_brings_it_back(
    database_url: str, database: Database, service: DeviceEventsService, seeded: Seeded
) -> None:
    now = fleet.now_ms() - 300_000
    take(service, state("acme", "chiller-1", ONLINE, now))
    take(service, state("acme", "chiller-2", ONLINE, now + 200_000))
    clock = datetime.fromtimestamp(now / 1000, UTC) + timedelta(minutes=5, seconds=1)
    maintenance = MaintenanceService(
        SqlMaintenanceStore(database), timedelta(days=14), now=lambda: clock
    )
    assert maintenance.run("offline_sweep") == {"job": "offline_sweep", "offline": 1}
    assert not online(database_url, seeded, "acme_chiller-1")
    assert online(database_url, seeded, "acme_chiller-2")
    assert maintenance.run("offline_sweep")["offline"] == 0
    take(service, state("acme", "chiller-1", ONLINE, now + 1000))
    assert online(database_url, seeded, "acme_chiller-1")


@pytest.mark.engine("plain")
def test_partitions_are_made_ahead_and_only_where_missing(
    database_url: str, database: Database
) -> None:
    maintenance = MaintenanceService(SqlMaintenanceStore(database), timedelta(days=14))
    assert maintenance.run("partitions_ahead")["made"] == 14 + 1 + 1 + 7
    assert maintenance.run("partitions_ahead")["made"] == 0
    names = rows(
        database_url,
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'public.m_raw'::regclass",
    )
    assert (f"m_raw_{datetime.now(UTC) + timedelta(days=7):%Y%m%d}",) in names
