"""IngestService over stores in memory: what goes back, what is kept, what is never lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec
import pytest

from functions import sqs
from tests.support import fakes, fleet
from tests.support.fakes import InMemoryPlatform, InMemoryReadingStore
from tests.support.fleet import event, normalised, record, telem
from traksense import vendors
from traksense.domain.directory import Device, Point
from traksense.domain.errors import DatabaseAway
from traksense.domain.messages import Message
from traksense.domain.readings import Decoded
from traksense.observability import log_context
from traksense.services.acceptance import Acceptance, Accepted
from traksense.services.directory import Directory
from traksense.services.ingest import IngestService, RowsRefused, Written

NOW = datetime.now(UTC).replace(microsecond=0)
TOPIC = telem("acme", "chiller-1")
MakeService = Callable[..., IngestService]


def stamp(seconds_ago: float = 0) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).isoformat()


def readings(n: int, topic: str = TOPIC) -> list[dict[str, Any]]:
    return [record(topic, normalised(stamp(i), temp=float(i))) for i in range(n)]


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [each["messageId"] for each in records]


@pytest.fixture
def platform() -> InMemoryPlatform:
    return fakes.platform()


@pytest.fixture
def service(platform: InMemoryPlatform) -> Iterator[MakeService]:
    made: list[IngestService] = []

    def make(**changes: Any) -> IngestService:
        arguments: dict[str, Any] = {
            "directory": Directory(platform),
            "acceptance": Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot),
            "store": InMemoryReadingStore(platform),
            "slice_size": 5,
        }
        made.append(IngestService(**{**arguments, **changes}))
        return made[-1]

    yield make
    for each in made:
        each.close()


def take(service: IngestService, records: list[dict[str, Any]]) -> Any:
    return service.ingest(sqs.messages(event(*records)))


def test_a_batch_is_written_in_slices(platform: InMemoryPlatform, service: MakeService) -> None:
    result = take(service(), readings(12))
    assert (result.stored, result.failed, platform.writes) == (12, [], 3)


def test_a_devices_messages_share_a_slice_and_keep_their_order(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    """Rows that are neighbours in the index go together; the odd slice goes first."""

    class Noting(InMemoryReadingStore):
        seen: ClassVar[list[list[float]]] = []

        def write(self, accepted: Accepted) -> Written:
            self.seen.append([float(value) for value in accepted.rows.values()])
            return super().write(accepted)

    first, second = telem("acme", "chiller-1"), telem("acme", "chiller-2")
    mixed = [
        record(second if n % 2 else first, normalised(stamp(n), temp=float(n))) for n in range(12)
    ]
    result = take(service(store=Noting(platform)), mixed)
    assert (result.stored, result.failed) == (12, [])
    assert Noting.seen == [[0, 2], [4, 6, 8, 10, 1], [3, 5, 7, 9, 11]]


def test_an_empty_batch_asks_for_nothing(platform: InMemoryPlatform, service: MakeService) -> None:
    assert take(service(), []).failed == []
    assert (platform.loads, platform.writes) == (0, 0)


def test_only_the_slice_that_failed_goes_back(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    ingest, records = service(), readings(15)
    take(ingest, readings(1))
    platform.failures = [DatabaseAway("a deadlock")]
    result = take(ingest, records)
    assert result.failed == ids(records[:5])
    assert result.stored + result.duplicates == 10
    assert take(ingest, records[:5]).failed == []
    assert len(platform.readings) == 15


def test_a_database_that_stays_away_is_not_asked_for_every_slice(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    ingest, records = service(), readings(100)
    take(ingest, records)
    platform.is_away, platform.writes = True, 0
    assert sorted(take(ingest, records).failed) == sorted(ids(records))
    assert platform.writes <= 3, "each try may wait for a time limit"


def test_a_directory_that_cannot_be_read_returns_the_batch(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    platform.is_away = True
    records = readings(7)
    assert take(service(), records).failed == ids(records)


def test_the_answer_names_each_failed_message_once(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    platform.is_away = True
    records = readings(7)
    answer = sqs.failures(take(service(), records).failed)
    assert answer == {"batchItemFailures": [{"itemIdentifier": each} for each in ids(records)]}


@pytest.mark.parametrize("at_fault", [{3}, {0, 11}, {1, 2, 3, 4}, set(range(12))])
def test_what_the_database_refuses_is_kept_apart_and_its_neighbours_stored(
    platform: InMemoryPlatform, service: MakeService, at_fault: set[int]
) -> None:
    platform.refuses = lambda value: value in at_fault
    records = readings(12)
    result = take(service(), records)
    assert (result.failed, result.stored) == ([], 12 - len(at_fault))
    assert result.reasons == ({"storage_refused": len(at_fault)} if at_fault else {})
    assert {kept.letter.payload for kept in platform.letters.values()} == {
        fleet.body_payload(records[n]) for n in at_fault
    }


def test_what_cannot_even_be_a_dead_letter_goes_back_alone(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    class Picky(InMemoryReadingStore):
        def write(self, accepted: Accepted) -> Written:
            if any(b"poison" in letter.payload for letter in accepted.dead_letters.values()):
                raise RowsRefused("not this one")
            return super().write(accepted)

    records = [*readings(4), record(TOPIC, b"poison"), record(TOPIC, b"junk")]
    result = take(service(store=Picky(platform), slice_size=6), records)
    assert (result.failed, result.stored) == ([records[4]["messageId"]], 4)
    assert [kept.letter.payload for kept in platform.letters.values()] == [b"junk"]


def test_a_fault_that_is_neither_passes_after_every_transaction_has_ended(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    class Slow(InMemoryReadingStore):
        busy = 0
        calls = 0

        def write(self, accepted: Accepted) -> Written:
            self.calls += 1
            if self.calls == 1:
                raise LookupError("a column that is not there")
            self.busy += 1
            threading.Event().wait(0.2)
            self.busy -= 1
            return super().write(accepted)

    store = Slow(platform)
    with pytest.raises(LookupError):
        take(service(store=store), readings(15))
    assert store.calls == 2
    assert store.busy == 0


def test_a_device_removed_in_mid_batch_costs_no_other_device_a_reading(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    ingest = service()
    other = telem("acme", "chiller-2")
    take(ingest, [*readings(1), *readings(1, other), *readings(1, telem("globex", "chiller-1"))])
    platform.readings.clear()
    platform.remove("acme_chiller-1")
    # The first slice finds it gone; the devices of the next ones are in no slice before.
    records = [
        *readings(5),
        *readings(7, other),
        *readings(5, telem("globex", "chiller-1")),
    ]
    result = take(ingest, records)
    assert (result.failed, result.stored) == ([], 12)
    assert result.reasons == {"unknown_device": 5}


def test_a_device_that_vanishes_again_and_again_returns_its_slice(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    ingest = service()
    take(ingest, readings(1))
    device = platform.devices["acme_chiller-1"]
    platform.states.pop(device.device_id)  # the name map still shows it
    records = readings(3)
    assert take(ingest, records).failed == ids(records)


def test_a_message_that_our_own_code_chokes_on_stops_nobody(
    platform: InMemoryPlatform, service: MakeService, caplog: pytest.LogCaptureFixture
) -> None:
    def decode(payload: bytes, adapter: str | None, received_at_us: int) -> Decoded:
        if payload == b"choke":
            raise ZeroDivisionError
        return vendors.decode(payload, adapter, received_at_us)

    acceptance = Acceptance(decode, timedelta(days=14))
    result = take(service(acceptance=acceptance), [*readings(3), record(TOPIC, b"choke")])
    assert (result.failed, result.stored, result.reasons) == ([], 3, {"adapter_error": 1})
    assert "could not be judged" in caplog.text


def test_a_point_made_a_moment_ago_is_found_at_its_first_reading(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    clock = [0.0]
    ingest = service(directory=Directory(platform, lambda: clock[0]))
    novel = [record(TOPIC, normalised(stamp(), temp=1.0, novel=2.0))]
    result = take(ingest, novel)
    assert (result.stored, result.reasons) == (1, {"unknown_point": 1})
    device = platform.devices["acme_chiller-1"]
    points = {**device.points, "novel": Point(999, "num", None, None, True)}
    platform.devices["acme_chiller-1"] = msgspec.structs.replace(device, points=points)
    assert take(ingest, novel).stored == 0, "it was read a moment ago"
    clock[0] += 6
    result = take(ingest, novel)
    assert (result.stored, result.duplicates, result.reasons) == (1, 1, {})


def test_log_lines_of_the_writing_thread_carry_the_callers_request(
    platform: InMemoryPlatform, service: MakeService
) -> None:
    from traksense import observability

    seen: list[dict[str, str]] = []

    class Spy(InMemoryReadingStore):
        def write(self, accepted: Accepted) -> Written:
            seen.append(dict(observability._context.get()))
            return super().write(accepted)

    with log_context(request_id="r-1"):
        take(service(store=Spy(platform)), readings(1))
    assert seen == [{"request_id": "r-1"}]


def test_closing_gives_the_connection_back_in_the_thread_that_used_it(
    platform: InMemoryPlatform,
) -> None:
    released: list[str] = []
    service = IngestService(
        Directory(platform),
        Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot),
        InMemoryReadingStore(platform),
        release=lambda: released.append(threading.current_thread().name),
    )
    service.close()
    assert [name.startswith("ingest-writer") for name in released] == [True]
    assert not [each for each in threading.enumerate() if each.name in released]


# Times and keys.


def take_at(platform: InMemoryPlatform, now: datetime, message: Message) -> Accepted:
    accepted = Accepted()
    device = platform.devices["acme_chiller-1"]
    now_us = int(now.timestamp() * 1_000_000)
    Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot).take(
        accepted, message, device, now_us
    )
    return accepted


def message(ts: str, received_at: datetime, topic: str = TOPIC) -> Message:
    payload = msgspec.json.encode(normalised(ts, temp=1.0))
    return Message("1", payload, topic, None, int(received_at.timestamp() * 1_000_000))


@pytest.mark.parametrize(
    ("ts", "received_at", "now"),
    [
        (
            "1969-12-31T23:59:59Z",
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(1970, 1, 2, tzinfo=UTC),
        ),
        ("2255-06-06T00:00:00Z", datetime(2255, 6, 6, tzinfo=UTC), NOW),
        ("2290-01-01T00:00:00Z", datetime(2290, 1, 1, tzinfo=UTC), NOW),
        (stamp(-3600), NOW + timedelta(hours=1), NOW),
    ],
    ids=["before-the-epoch", "past-the-keys-bits", "far-past-them", "an-hour-ahead"],
)
def test_no_clock_makes_a_key_of_another_point_or_time(
    platform: InMemoryPlatform, ts: str, received_at: datetime, now: datetime
) -> None:
    accepted = take_at(platform, now, message(ts, received_at))
    assert accepted.rows == {}
    assert len(accepted.dead_letters) == 1


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ({"name": "ghost", "v": 1.5}, "unknown_point"),
        ({"name": "pressure", "v": 1.5}, "not_contracted"),
        ({"name": "mode", "t": "enum", "v": "of nobody"}, "bad_enum_value"),
        ({"name": "mode", "t": "text", "v": "COOL"}, "wrong_type"),
        ({"name": "compressor_on", "t": "bool", "v": 1.5}, "wrong_type"),
        ({"name": "temp", "v": 1.5, "u": "kWh"}, "unit_mismatch"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_bad_point_of_a_plain_message_does_not_lose_its_neighbours(
    platform: InMemoryPlatform, point: dict[str, Any], reason: str, place: int
) -> None:
    device = platform.devices["acme_chiller-1"]
    left_out = msgspec.structs.replace(device.points["pressure"], is_contracted=False)
    device = msgspec.structs.replace(device, points={**device.points, "pressure": left_out})
    good = [{"name": "note", "t": "text", "v": "a"}, {"name": "temp", "v": 2.5, "u": "°C"}]
    if point["name"] == "temp":
        good[1] = {"name": "compressor_on", "t": "bool", "v": True}
    document = {"schema": "v1", "ts": stamp(), "points": [*good[:place], point, *good[place:]]}
    at_us = int(NOW.timestamp() * 1_000_000)
    one = Message("1", msgspec.json.encode(document), TOPIC, None, at_us)
    accepted = Accepted()
    Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot).take(
        accepted, one, device, at_us
    )
    assert list(accepted.rows.values()) == [each["v"] for each in good]
    assert (accepted.reasons, accepted.repeated) == ({reason: 1}, 0)


def test_a_broker_whose_clock_is_ahead_keeps_no_device_online(platform: InMemoryPlatform) -> None:
    accepted = take_at(platform, NOW, message(stamp(), NOW + timedelta(days=1)))
    (heard,) = accepted.heard.values()
    assert heard == (int(NOW.timestamp() * 1_000_000), True)


# Gateways.


def sensor(name: str) -> Device:
    return fakes.platform().devices[f"acme_{name}"]


def test_a_meters_code_that_nobody_has_is_never_read_as_the_devices_own_point() -> None:
    """Also where the template names no adapter: a meter list is no SenML pack."""
    meter = sensor("meter-D01")
    payload = {"timestamp": stamp(), "leituras": [{"dispositivo": "D77", "valor": "5"}]}
    accepted = Accepted()
    one = Message("1", msgspec.json.encode(payload), telem("acme", "x"), None, 0)
    Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot).take(
        accepted, one, meter, int(NOW.timestamp() * 1e6)
    )
    assert accepted.rows == {}
    assert accepted.reasons == {"unknown_device": 1}


def test_a_base_name_that_is_no_childs_is_the_devices_own() -> None:
    pack = [{"bn": "urn:dev:1", "n": "A_celsius", "u": "Cel", "v": 1.5}]
    at_us = int(NOW.timestamp() * 1_000_000)
    one = Message("1", b" \n" + msgspec.json.encode(pack), telem("acme", "x"), None, at_us)
    accepted = Accepted()
    Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot).take(
        accepted, one, sensor("sensor-1"), at_us
    )
    assert list(accepted.rows.values()) == [1.5]


def test_the_metadata_of_each_child_of_a_pack_reaches_its_own_device(
    platform: InMemoryPlatform,
) -> None:
    first, second = sensor("sensor-1"), sensor("meter-D01")
    gateway = msgspec.structs.replace(sensor("khomp-1"), children={"a": first, "b": second})
    pack = [{"bn": "a", "n": "model", "vs": "nit20l"}, {"bn": "b", "n": "model", "vs": "nit21"}]
    at_us = int(NOW.timestamp() * 1_000_000)
    one = Message("1", msgspec.json.encode(pack), telem("acme", "khomp-1"), None, at_us)
    accepted = Accepted()
    Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot).take(
        accepted, one, gateway, at_us
    )
    assert accepted.reported == {
        first.device_id: {"model": "nit20l"},
        second.device_id: {"model": "nit21"},
    }
    assert accepted.dead_letters == {}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
