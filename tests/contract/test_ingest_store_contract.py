"""The stores of ingestion and device events: the fakes promise what PostgreSQL keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from tests.support import fakes, fleet
from traksense.db.connection import Database
from traksense.db.directory import SqlDirectoryLoader
from traksense.db.event_store import SqlEventStore
from traksense.db.ingest_store import SqlReadingStore
from traksense.domain.connectivity import SaidOffline, SaidOnline
from traksense.domain.directory import Device
from traksense.domain.errors import DatabaseAway
from traksense.domain.messages import DeadLetter, Message, dead_letter
from traksense.domain.readings import Rejection, from_microseconds, to_microseconds
from traksense.domain.reasons import Reason
from traksense.services.acceptance import TS_BITS, Accepted
from traksense.services.device_events import EventBatch, EventStore, StoredAlarm, StoredEvent
from traksense.services.directory import DirectoryLoader
from traksense.services.ingest import DirectoryOutdated, ReadingStore, RowsRefused, Written

NOW = datetime.now(UTC).replace(microsecond=123_456)
NOW_US = to_microseconds(NOW)
CHILLER = ("acme", "plant", "chiller-1")


@dataclass
class World:
    """One implementation of the three protocols, and a way to look behind them."""

    loader: DirectoryLoader
    readings: ReadingStore
    events: EventStore
    stored: Callable[[], dict[tuple[int, int], tuple[Any, Any]]]
    """(point_sk, ts_us) to value and meta."""
    letters: Callable[[], dict[bytes, tuple[str, int]]]
    """Fingerprint to reason and occurrences."""
    is_online: Callable[[UUID], bool]
    last_seen: Callable[[UUID], datetime | None]
    reported: Callable[[UUID], dict[str, Any]]
    event_ids: Callable[[], list[str]]
    alarm_codes: Callable[[], list[str]]
    remove: Callable[[str], None]
    refuse_thirteen: Callable[[], None]
    go_away: Callable[[], None]

    def device(self, *key: str) -> Device:
        found, _ = self.loader.load([key or CHILLER], [])  # type: ignore[list-item]
        return next(iter(found.values()))


def in_memory() -> World:
    platform = fakes.platform()

    def refuse() -> None:
        platform.refuses = lambda value: value in (13.0, "thirteen")

    def away() -> None:
        platform.is_away = True

    return World(
        platform,
        fakes.InMemoryReadingStore(platform),
        fakes.InMemoryEventStore(platform),
        stored=lambda: {
            key: (value, None if meta is None else msgspec.json.decode(meta))
            for key, (value, meta) in platform.readings.items()
        },
        letters=lambda: {
            key: (kept.letter.reason, kept.occurrences) for key, kept in platform.letters.items()
        },
        is_online=lambda device_id: platform.states[device_id].is_online,
        last_seen=lambda device_id: platform.states[device_id].last_seen,
        reported=lambda device_id: platform.reported[device_id],
        event_ids=lambda: sorted(event_id for _, event_id in platform.events),
        alarm_codes=lambda: sorted(alarm.code for alarm in platform.alarms.values()),
        remove=platform.remove,
        refuse_thirteen=refuse,
        go_away=away,
    )


def over_sql(url: str) -> tuple[World, Database]:
    seeded = fleet.seed(url)
    database = Database(url)

    def rows(query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(url) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def state(column: str) -> Callable[[UUID], Any]:
        query = f"SELECT {column} FROM device_state WHERE device_id = %s"
        return lambda device_id: rows(query, device_id)[0][0]

    def refuse() -> None:
        rows("ALTER TABLE m_raw ADD CONSTRAINT no_13 CHECK (v_num IS DISTINCT FROM 13)")
        rows("ALTER TABLE device_events ADD CONSTRAINT no_13 CHECK (event_type <> 'thirteen')")

    def remove(thing: str) -> None:
        rows("DELETE FROM devices WHERE id = %s", seeded.devices[thing])

    def away() -> None:
        database.close()
        database._url = "postgresql://nobody@127.0.0.1:1/none"

    world = World(
        SqlDirectoryLoader(database),
        SqlReadingStore(database),
        SqlEventStore(database),
        stored=lambda: {
            (sk, to_microseconds(ts)): (next(v for v in values if v is not None), meta)
            for sk, ts, meta, *values in rows(
                "SELECT point_sk, ts, meta, v_num, v_bool, v_text FROM m_raw"
            )
        },
        letters=lambda: {
            key: (reason, n)
            for key, reason, n in rows("SELECT fingerprint, reason, occurrences FROM ingest_errors")
        },
        is_online=state("is_online"),
        last_seen=state("last_seen"),
        reported=state("reported"),
        event_ids=lambda: [r[0] for r in rows("SELECT event_id FROM device_events ORDER BY 1")],
        alarm_codes=lambda: [r[0] for r in rows("SELECT code FROM device_alarms ORDER BY 1")],
        remove=remove,
        refuse_thirteen=refuse,
        go_away=away,
    )
    return world, database


@pytest.fixture(params=["memory", "sql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield in_memory()
        return
    made, database = over_sql(request.getfixturevalue("database_url"))
    yield made
    database.close()


def key(device: Device, point: str, ts_us: int = NOW_US) -> int:
    return device.points[point].point_sk << TS_BITS | ts_us


def accepted(rows: dict[int, Any], **rest: Any) -> Accepted:
    return Accepted(rows=rows, **rest)


def letter(payload: bytes = b"junk", at_us: int = NOW_US) -> dict[bytes, DeadLetter]:
    message = Message("1", payload, "traksense/acme/plant/x/telem", "acme_x", at_us)
    made = dead_letter(message, [Rejection(Reason.BAD_JSON, "junk")], from_microseconds(at_us))
    return {made.fingerprint: made}


# The directory.


def test_a_device_is_found_under_its_site_and_under_none(world: World) -> None:
    tenant, _, name = CHILLER
    wanted = [CHILLER, (tenant, "", name), (tenant, "elsewhere", name), ("nobody", "plant", name)]
    found, _ = world.loader.load(wanted, [])
    assert set(found) == {CHILLER, (tenant, "", name)}
    chiller = found[CHILLER]
    assert (chiller.tenant, chiller.site, chiller.name, chiller.adapter) == (*CHILLER, None)
    assert chiller.offline_after == timedelta(minutes=5)
    assert {name: (p.type, p.unit, p.enum_values) for name, p in chiller.points.items()} == {
        name: (type_, unit, None if values is None else frozenset(values))
        for name, (type_, unit, values) in fleet.CHILLER_POINTS.items()
    }


def test_devices_of_one_name_in_two_tenants_share_nothing(world: World) -> None:
    theirs_key = ("globex", "plant", "chiller-1")
    found, _ = world.loader.load([CHILLER, theirs_key], [])
    ours, theirs = found[CHILLER], found[theirs_key]
    assert ours.tenant_id != theirs.tenant_id
    assert not {p.point_sk for p in ours.points.values()} & {
        p.point_sk for p in theirs.points.values()
    }


def test_a_gateway_is_found_by_its_mac_with_its_children_by_code_and_by_name(world: World) -> None:
    _, found = world.loader.load([], [fleet.GATEWAY_MAC, "11:22:33:44:55:66"])
    assert set(found) == {fleet.GATEWAY_MAC}
    gateway = found[fleet.GATEWAY_MAC]
    assert (gateway.name, gateway.adapter) == ("tds-1", "tds_v1")
    assert set(gateway.children) == {"D01", "D02", "meter-D01", "meter-D02"}
    assert gateway.children["D01"] == gateway.children["meter-D01"]


# Readings.


def test_a_reading_is_stored_once_with_the_value_that_came_first(world: World) -> None:
    chiller = world.device()
    one = key(chiller, "temp")
    assert world.readings.write(accepted({one: 7.3})) == Written(1, 0, 0)
    other = key(chiller, "pressure")
    assert world.readings.write(accepted({one: 9.9, other: 1.0})) == Written(1, 1, 0)
    assert world.stored() == {
        (chiller.points["temp"].point_sk, NOW_US): (7.3, None),
        (chiller.points["pressure"].point_sk, NOW_US): (1.0, None),
    }


def test_every_type_and_meta_come_back_as_they_went_in(world: World) -> None:
    chiller = world.device()
    values = {"temp": -0.0, "compressor_on": True, "mode": "COOL", "note": "Ação ✓ 🧊"}
    rows: dict[int, Any] = {key(chiller, point): value for point, value in values.items()}
    meta = {key(chiller, "temp"): '{"fw":"é"}'.encode()}
    world.readings.write(accepted(rows, meta=meta))
    assert world.stored() == {
        (chiller.points[point].point_sk, NOW_US): (value, {"fw": "é"} if point == "temp" else None)
        for point, value in values.items()
    }


def test_a_day_that_has_no_partition_yet_is_stored_all_the_same(world: World) -> None:
    chiller = world.device()
    far = NOW_US + 10 * 86_400_000_000
    assert world.readings.write(accepted({key(chiller, "temp", far): 1.0})).stored == 1


def test_who_is_heard_of_late_is_not_online_and_who_is_heard_of_now_is(world: World) -> None:
    chiller, other = world.device(), world.device("acme", "plant", "chiller-2")
    heard = {chiller.device_id: (NOW_US, True), other.device_id: (NOW_US, False)}
    assert world.readings.write(accepted({}, heard=heard)) == Written(0, 0, 1)
    assert world.is_online(chiller.device_id)
    assert not world.is_online(other.device_id)
    assert world.last_seen(other.device_id) == NOW


def test_one_write_of_last_seen_serves_ten_seconds(world: World) -> None:
    device_id = world.device().device_id
    for seconds, seen in ((0, 0), (10, 0), (11, 11), (5, 11)):
        heard = {device_id: (NOW_US + seconds * 1_000_000, True)}
        world.readings.write(accepted({}, heard=heard))
        assert world.last_seen(device_id) == NOW + timedelta(seconds=seen)


def test_a_device_that_is_gone_stores_nothing_of_its_slice(world: World) -> None:
    chiller, other = world.device(), world.device("acme", "plant", "chiller-2")
    world.remove("acme_chiller-1")
    heard = {each.device_id: (NOW_US, True) for each in (chiller, other)}
    rows = {key(each, "temp"): 1.0 for each in (chiller, other)}
    with pytest.raises(DirectoryOutdated):
        world.readings.write(accepted(rows, heard=heard, dead_letters=letter()))
    assert (world.stored(), world.letters()) == ({}, {})
    assert not world.is_online(other.device_id)


def test_a_refused_value_stores_nothing_of_its_slice(world: World) -> None:
    chiller = world.device()
    world.refuse_thirteen()
    rows = {key(chiller, "temp", NOW_US + n): float(n) for n in range(20)}
    with pytest.raises(RowsRefused):
        world.readings.write(accepted(rows, dead_letters=letter()))
    assert (world.stored(), world.letters()) == ({}, {})


def test_a_database_that_is_away_is_said_so(world: World) -> None:
    chiller = world.device()
    world.go_away()
    with pytest.raises(DatabaseAway):
        world.readings.write(accepted({key(chiller, "temp"): 1.0}))
    with pytest.raises(DatabaseAway):
        world.events.write(EventBatch(heard={chiller.device_id: (NOW_US, True)}))
    with pytest.raises(DatabaseAway):
        world.loader.load([CHILLER], [])


def test_a_dead_letter_is_kept_once_and_counts_only_later_arrivals(world: World) -> None:
    for at_us in (NOW_US, NOW_US, NOW_US - 5, NOW_US + 5):
        world.readings.write(accepted({}, dead_letters=letter(at_us=at_us)))
    world.events.write(EventBatch(dead_letters=letter(b"other")))
    assert sorted(world.letters().values()) == [("bad_json", 1), ("bad_json", 2)]


def test_what_a_device_reports_is_merged_and_stays_short(world: World) -> None:
    device_id = world.device().device_id
    world.readings.write(accepted({}, reported={device_id: {"fw": "1", "model": "x"}}))
    world.readings.write(accepted({}, reported={device_id: {"fw": "2"}}))
    assert world.reported(device_id) == {"fw": "2", "model": "x"}
    for n in range(10):
        world.readings.write(accepted({}, reported={device_id: {f"k{n}": "y" * 4000}}))
    assert len(msgspec.json.encode(world.reported(device_id))) <= fakes.MAX_REPORTED_CHARS
    world.readings.write(accepted({}, reported={device_id: {"fw": "3"}}))
    assert world.reported(device_id)["fw"] == "3"


def test_what_a_removed_device_reports_is_dropped(world: World) -> None:
    world.readings.write(accepted({}, reported={uuid4(): {"fw": "1"}}))


# Device events.


def event(device: Device, event_id: str, kind: str = "boot") -> StoredEvent:
    return StoredEvent(device.tenant_id, device.device_id, event_id, kind, NOW, {"a": [1]}, NOW)


def test_evidence_is_applied_in_its_order_and_flips_are_counted_by_their_end(world: World) -> None:
    chiller, other = world.device(), world.device("acme", "plant", "chiller-2")
    later = NOW + timedelta(seconds=1)
    written = world.events.write(
        EventBatch(
            evidence=[
                (chiller.device_id, SaidOnline(NOW)),
                (other.device_id, SaidOnline(NOW)),
                (other.device_id, SaidOffline(later)),
            ]
        )
    )
    assert (written.flips.online, written.flips.offline) == (1, 0)
    assert world.is_online(chiller.device_id)
    written = world.events.write(EventBatch(evidence=[(chiller.device_id, SaidOffline(later))]))
    assert (written.flips.online, written.flips.offline) == (0, 1)


def test_events_and_alarms_are_stored_once(world: World) -> None:
    chiller = world.device()
    alarm = StoredAlarm(
        chiller.tenant_id, chiller.device_id, "E1", "high", True, NOW, None, NOW
    )  # fmt: skip
    ended = msgspec.structs.replace(alarm, active=False)
    for _ in range(2):
        world.events.write(
            EventBatch(
                events=[event(chiller, "1"), event(chiller, "2"), event(chiller, "2")],
                alarms=[alarm, ended],
                heard={chiller.device_id: (NOW_US, True)},
            )
        )
    assert (world.event_ids(), world.alarm_codes()) == (["1", "2"], ["E1", "E1"])
    assert world.is_online(chiller.device_id)


def test_a_batch_with_a_removed_device_writes_nothing(world: World) -> None:
    chiller, other = world.device(), world.device("acme", "plant", "chiller-2")
    world.remove("acme_chiller-1")
    with pytest.raises(DirectoryOutdated):
        world.events.write(
            EventBatch(
                evidence=[(chiller.device_id, SaidOnline(NOW)), (other.device_id, SaidOnline(NOW))],
                events=[event(other, "1")],
            )
        )
    assert world.event_ids() == []
    assert not world.is_online(other.device_id)


def test_a_refused_event_writes_nothing_of_its_batch(world: World) -> None:
    chiller = world.device()
    world.refuse_thirteen()
    with pytest.raises(RowsRefused):
        world.events.write(
            EventBatch(events=[event(chiller, "1"), event(chiller, "2", "thirteen")])
        )
    assert world.event_ids() == []
