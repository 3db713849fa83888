"""DeviceEventsService over a store in memory."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from functions import sqs
from tests.support import fakes, fleet
from tests.support.fakes import InMemoryEventStore, InMemoryPlatform
from tests.support.fleet import channel, event, record
from traksense.contracts.topics import Channel
from traksense.domain.errors import DatabaseAway
from traksense.domain.readings import from_microseconds
from traksense.services.device_events import DeviceEventsService, EventBatch, EventsWritten
from traksense.services.directory import Directory
from traksense.services.ingest import RowsRefused

ONLINE = {"schema": "v1", "status": "online"}
OFFLINE = {"schema": "v1", "status": "offline"}
NOW_MS = fleet.now_ms()


@pytest.fixture
def platform() -> InMemoryPlatform:
    return fakes.platform()


@pytest.fixture
def service(platform: InMemoryPlatform) -> DeviceEventsService:
    return DeviceEventsService(Directory(platform), InMemoryEventStore(platform))


def boot(
    event_type: str = "boot", ts: str = "2025-10-07T02:34:12Z", device: str = "chiller-1"
) -> dict[str, Any]:
    payload = {"schema": "v1", "event_type": event_type, "ts": ts}
    return record(channel("acme", device, Channel.EVENT), payload, NOW_MS)


def state(payload: dict[str, Any], at: int = NOW_MS) -> dict[str, Any]:
    return record(channel("acme", "chiller-1", Channel.STATE), payload, at)


def take(service: DeviceEventsService, *records: dict[str, Any]) -> Any:
    return service.take(sqs.messages(event(*records)))


def online(platform: InMemoryPlatform, thing: str = "acme_chiller-1") -> bool:
    return platform.states[platform.devices[thing].device_id].is_online


def test_a_database_that_is_away_returns_the_batch(
    platform: InMemoryPlatform, service: DeviceEventsService
) -> None:
    batch = [boot(), state(ONLINE)]
    take(service, *batch)
    platform.failures = [DatabaseAway("a deadlock")]
    assert take(service, *batch).failed == [each["messageId"] for each in batch]


def test_what_the_database_refuses_is_kept_apart_and_its_neighbours_stored(
    platform: InMemoryPlatform, service: DeviceEventsService
) -> None:
    platform.refuses = lambda value: value == "bad"
    result = take(service, boot("a"), boot("bad"), state(ONLINE), boot("b"))
    assert (result.failed, result.reasons) == ([], {"storage_refused": 1})
    assert sorted(each.event_type for each in platform.events.values()) == ["a", "b"]
    assert online(platform)


def test_what_cannot_even_be_a_dead_letter_goes_back_alone(platform: InMemoryPlatform) -> None:
    class Picky(InMemoryEventStore):
        def write(self, batch: EventBatch) -> EventsWritten:
            if batch.dead_letters:
                raise RowsRefused("no dead letters today")
            return super().write(batch)

    service = DeviceEventsService(Directory(platform), Picky(platform))
    junk = record(channel("acme", "chiller-1", Channel.EVENT), b"junk", NOW_MS)
    assert take(service, boot("a"), junk, boot("b")).failed == [junk["messageId"]]
    assert len(platform.events) == 2


def test_a_device_removed_since_is_a_dead_letter_and_costs_no_other_its_event(
    platform: InMemoryPlatform, service: DeviceEventsService
) -> None:
    take(service, boot("a"), boot("b", device="chiller-2"))
    platform.remove("acme_chiller-1")
    result = take(service, boot("c"), boot("d", device="chiller-2"))
    assert (result.failed, result.reasons) == ([], {"unknown_device": 1})
    assert [kept.letter.reason for kept in platform.letters.values()] == ["unknown_device"]
    assert "d" in [each.event_type for each in platform.events.values()]


@pytest.mark.parametrize(
    ("ts", "reason"),
    [
        ("0001-01-01T00:00:00Z", "bad_timestamp"),
        ("0001-01-01T00:00:00+14:00", "bad_timestamp"),
        ("1969-12-31T23:59:59Z", "bad_timestamp"),
        ("9999-12-31T23:59:59Z", "ts_in_future"),
        ("9999-12-31T23:59:59-14:00", "ts_in_future"),
    ],
)
@pytest.mark.parametrize("name", [Channel.EVENT, Channel.ALARM])
def test_a_time_at_the_end_of_the_world_stops_no_batch(
    platform: InMemoryPlatform,
    service: DeviceEventsService,
    name: Channel,
    ts: str,
    reason: str,
) -> None:
    payload = {
        "schema": "v1", "ts": ts, "event_type": "x", "code": "x", "severity": "low", "active": True,
    }  # fmt: skip
    one = record(channel("acme", "chiller-1", name), payload, NOW_MS)
    result = take(service, one, boot("good"))
    assert (result.failed, result.reasons) == ([], {reason: 1})
    assert len(platform.events) == 1


@pytest.mark.parametrize("name", [Channel.CMD, Channel.TELEM])
def test_a_channel_that_is_not_ours_is_a_dead_letter(
    platform: InMemoryPlatform, service: DeviceEventsService, name: Channel
) -> None:
    one = record(channel("acme", "chiller-1", name), ONLINE, NOW_MS)
    assert take(service, one, boot()).reasons == {"bad_topic": 1}
    assert len(platform.events) == 1


def test_a_clock_that_jumped_ahead_leaves_no_state_that_nothing_is_newer_than(
    platform: InMemoryPlatform, service: DeviceEventsService
) -> None:
    take(service, state(ONLINE, NOW_MS + 3_600_000))
    assert online(platform)
    take(service, state(OFFLINE, fleet.now_ms() + 1000))
    assert not online(platform)


def test_a_message_that_our_own_code_chokes_on_stops_nobody(
    platform: InMemoryPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    calls = iter(range(100))

    def clock() -> int:
        if next(calls) == 0:
            raise ZeroDivisionError
        return NOW_MS * 1000

    service = DeviceEventsService(Directory(platform), InMemoryEventStore(platform), clock)
    result = take(service, state(ONLINE), boot())
    assert (result.failed, result.reasons) == ([], {"adapter_error": 1})
    assert len(platform.events) == 1
    assert "could not be judged" in caplog.text


def test_a_gateway_takes_its_children_along_but_not_anothers(
    platform: InMemoryPlatform, service: DeviceEventsService
) -> None:
    for thing in ("acme_tds-1", "acme_meter-D01", "acme_sensor-1"):
        topic = channel("acme", thing.removeprefix("acme_"), Channel.STATE)
        take(service, record(topic, ONLINE, NOW_MS))
    take(service, record(channel("acme", "tds-1", Channel.STATE), OFFLINE, NOW_MS + 1))
    assert [online(platform, f"acme_{name}") for name in ("tds-1", "meter-D01", "sensor-1")] == [
        False, False, True,
    ]  # fmt: skip


def test_an_event_without_an_id_is_one_event_however_often_delivered(
    platform: InMemoryPlatform, service: DeviceEventsService
) -> None:
    for _ in range(3):
        take(service, boot())
    (stored,) = platform.events.values()
    assert len(stored.event_id) == 64
    assert stored.received_at == from_microseconds(NOW_MS * 1000)


CMD_ID = "01K6ZQ9V3M8X4R7T2N5B1C0DGH"


def ack(
    cmd_id: str = CMD_ID, device: str = "chiller-1", tenant: str = "acme", **more: Any
) -> dict[str, Any]:
    payload = {"schema": "v1", "cmd_id": cmd_id, "ok": True, "ts_exec": None, "err": None, **more}
    return record(channel(tenant, device, Channel.ACK), payload, NOW_MS)


def command(platform: InMemoryPlatform, cmd_id: str = CMD_ID, thing: str = "acme_chiller-1") -> Any:
    key = (platform.devices[thing].device_id, cmd_id)
    platform.commands[key] = None
    return key


def test_the_first_ack_of_a_command_counts_and_repeats_are_no_news(
    platform: InMemoryPlatform, service: DeviceEventsService
) -> None:
    key = command(platform)
    result = take(service, ack(ts_exec="2025-10-07T02:34:12Z"), ack(ok=False, err="jammed"))
    assert (result.failed, result.reasons, result.settled) == ([], {}, {"acked": 1})
    assert take(service, ack()).settled == {}
    first = platform.commands[key]
    assert first is not None
    assert (first.ok, first.err) == (True, None)
    assert platform.letters == {}


def test_an_ack_of_anothers_command_is_a_dead_letter_and_its_neighbours_count(
    platform: InMemoryPlatform, service: DeviceEventsService
) -> None:
    command(platform)
    command(platform, "01K6ZQ9V3M8X4R7T2N5B1C0DGJ", "globex_chiller-1")
    result = take(
        service,
        ack("01K6ZQ9V3M8X4R7T2N5B1C0DGJ"),
        ack(tenant="globex"),
        ack(device="chiller-2"),
        ack("not even a ULID"),
        boot(),
        ack(),
    )
    assert (result.failed, result.reasons) == ([], {"unknown_command": 4})
    assert result.settled == {"acked": 1}
    assert len(platform.events) == 1
    assert len(platform.letters) == 4


@pytest.mark.parametrize(
    ("ts_exec", "kept"),
    [
        ("2025-10-07T02:34:12Z", True),
        ("0001-01-01T00:00:00+14:00", False),
        ("9999-12-31T23:59:59Z", False),
        (None, False),
    ],
)
def test_a_clock_that_is_wrong_costs_no_ack(
    platform: InMemoryPlatform, service: DeviceEventsService, ts_exec: str | None, kept: bool
) -> None:
    key = command(platform)
    assert take(service, ack(ts_exec=ts_exec)).settled == {"acked": 1}
    first = platform.commands[key]
    assert first is not None
    assert (first.ts_exec is not None) == kept


def test_a_retired_device_is_not_heard(
    platform: InMemoryPlatform, service: DeviceEventsService
) -> None:
    retired = msgspec.structs.replace(platform.devices["acme_chiller-1"], is_retired=True)
    platform.devices["acme_chiller-1"] = retired
    result = take(service, state(ONLINE), boot(), boot(device="chiller-2"))
    assert (result.failed, result.reasons) == ([], {"device_retired": 2})
    assert not online(platform)
    assert len(platform.events) == 1
