from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.bridge.dead_letters import DeadLetterFile
from local.bridge.presence import LOG_FILTERS
from local.bridge.queue import DeliveryPolicy
from local.bridge.runner import Bridge, BridgeSettings, publisher
from local.bridge.source import Packet
from traksense.contracts.queues import DEVICE_EVENTS, INGEST, Queue
from traksense.domain.errors import DatabaseAway

TOPIC = "traksense/acme/plant/chiller/telem"
STATE = "traksense/acme/plant/chiller/state"
QUICK = DeliveryPolicy(
    batch_size=100,
    window_s=0,
    max_bytes=6_000_000,
    give_up_receives=3,
    give_up_after_s=0,
    first_delay_s=0.01,
    longest_delay_s=0.02,
)


class FakeSource:
    """Stands in for the broker's connection: a test says what arrives."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.reconnects = 0
        self.failure: Exception | None = None
        self.running = False

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False

    def acknowledge(self, packet_ids: Collection[int]) -> None:
        self.acknowledged.extend(packet_ids)

    def reconnect(self) -> None:
        self.reconnects += 1

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure


class Harness:
    """A bridge in a thread of its own, with a handler that a test chooses."""

    def __init__(self, tmp_path: Path, queue: Queue = INGEST, **settings: Any) -> None:
        self.answer: Callable[[list[dict[str, Any]]], Any] = lambda records: None
        self.records: list[dict[str, Any]] = []
        self.source = FakeSource()
        self.dead = tmp_path / "dead.jsonl"
        self.bridge = Bridge(
            BridgeSettings(queue, "busy", policy=QUICK, **settings),
            self._handle,
            DeadLetterFile(self.dead),
        )
        self.bridge.attach(self.source)
        self.bridge.connected(session_present=True)
        self._thread = threading.Thread(target=self.bridge.run)

    def _handle(self, event: dict[str, Any], _context: Any) -> Any:
        self.records.extend(event["Records"])
        return self.answer(event["Records"])

    def __enter__(self) -> Harness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bridge.stop()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def packet(
        self, number: int, topic: str = TOPIC, payload: bytes = b"{}", **flags: bool
    ) -> None:
        self.bridge.receive(
            Packet(
                number, topic, payload, flags.get("duplicate", False), flags.get("retained", False)
            )
        )

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < deadline, "it did not happen within 5 s"
            time.sleep(0.005)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(record["body"]) for record in self.records]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with Harness(tmp_path) as running:
        yield running


def test_a_message_is_acknowledged_after_the_function_took_it(harness: Harness) -> None:
    released = threading.Event()
    harness.answer = lambda records: released.wait(5) and None
    before_ms = time.time_ns() // 1_000_000
    harness.packet(7, payload=b"\xff\x00")
    harness.until(lambda: len(harness.records) == 1)
    assert harness.source.acknowledged == []
    released.set()
    harness.until(lambda: harness.source.acknowledged == [7])
    body = harness.bodies[0]
    assert base64.b64decode(body["payload"]) == b"\xff\x00"
    assert (body["topic"], body["client_id"]) == (TOPIC, "acme_chiller")
    assert before_ms <= body["received_at"] <= time.time_ns() // 1_000_000


def test_a_failed_message_comes_again_under_its_id_and_its_arrival(harness: Harness) -> None:
    failures = iter([True, True, False])
    harness.answer = lambda records: (
        {"batchItemFailures": [{"itemIdentifier": records[0]["messageId"]}]}
        if next(failures)
        else None
    )
    harness.packet(7)
    harness.until(lambda: harness.source.acknowledged == [7])
    counts = [r["attributes"]["ApproximateReceiveCount"] for r in harness.records]
    assert counts == ["1", "2", "3"]
    assert len({record["messageId"] for record in harness.records}) == 1
    assert len({record["body"] for record in harness.records}) == 1


@pytest.mark.parametrize("error", [DatabaseAway("no server"), ZeroDivisionError("a bug")])
def test_an_exception_sends_the_whole_batch_back(tmp_path: Path, error: Exception) -> None:
    def fail_once(records: list[dict[str, Any]]) -> None:
        if records[0]["attributes"]["ApproximateReceiveCount"] == "1":
            raise error

    with Harness(tmp_path) as harness:
        harness.answer = fail_once
        for number in (1, 2):
            harness.packet(number)
        harness.until(lambda: sorted(harness.source.acknowledged) == [1, 2])


def test_what_is_given_up_is_on_disk_before_it_is_acknowledged(harness: Harness) -> None:
    harness.answer = lambda records: {"batchItemFailures": [{"itemIdentifier": None}]}
    harness.packet(7, payload=b"poison")
    harness.until(lambda: harness.source.acknowledged == [7])
    (letter,) = [json.loads(line) for line in harness.dead.read_text().splitlines()]
    assert letter["receives"] == 3
    assert base64.b64decode(json.loads(letter["body"])["payload"]) == b"poison"


def test_dead_letters_that_cannot_be_written_are_not_acknowledged(tmp_path: Path) -> None:
    with Harness(tmp_path) as harness:
        harness.dead.mkdir()
        harness.answer = lambda records: "nonsense"
        harness.packet(7)
        harness.until(lambda: len(harness.records) >= 6)
        assert harness.source.acknowledged == []
        harness.dead.rmdir()
        harness.until(lambda: harness.source.acknowledged == [7])


def test_a_retained_copy_is_acknowledged_and_not_delivered(tmp_path: Path) -> None:
    with Harness(tmp_path, DEVICE_EVENTS) as harness:
        harness.packet(1, STATE, retained=True)
        harness.packet(2, STATE)
        harness.until(lambda: harness.source.acknowledged == [1, 2])
        assert len(harness.records) == 1


def test_a_topic_of_no_rule_is_acknowledged_and_not_delivered(harness: Harness) -> None:
    harness.packet(1, "traksense/acme/plant/chiller/old")
    harness.packet(2)
    harness.until(lambda: harness.source.acknowledged == [1, 2])
    assert len(harness.records) == 1


def test_the_brokers_log_becomes_presence(tmp_path: Path) -> None:
    with Harness(tmp_path, DEVICE_EVENTS) as harness:
        harness.packet(1, LOG_FILTERS[0], b"1: New connection from 127.0.0.1:1 on port 2.")
        harness.packet(2, LOG_FILTERS[0], b"1: Client acme_chiller closed its connection.")
        harness.until(lambda: harness.source.acknowledged == [1, 2])
        (body,) = harness.bodies
    assert body["topic"] == "$aws/events/presence/disconnected/acme_chiller"
    assert body["client_id"] == "n/a"
    assert json.loads(base64.b64decode(body["payload"]))["disconnectReason"] == "CONNECTION_LOST"


def test_the_filters_are_those_of_the_queues_rules() -> None:
    assert BridgeSettings(INGEST, "busy").filters == (
        "traksense/+/+/+/telem",
        "tds_new/devices/+/telemetry",
    )
    assert BridgeSettings(DEVICE_EVENTS, "busy").filters[-2:] == LOG_FILTERS


def test_what_was_settled_while_the_broker_was_away_is_not_delivered_again(
    harness: Harness,
) -> None:
    released = threading.Event()
    harness.answer = lambda records: released.wait(5) and None
    harness.packet(7)
    harness.until(lambda: len(harness.records) == 1)
    harness.bridge.disconnected()
    released.set()
    harness.packet(8)
    harness.until(lambda: len(harness.records) == 2)
    harness.bridge.connected(session_present=True)
    harness.packet(7, duplicate=True)
    harness.until(lambda: 7 in harness.source.acknowledged)
    assert len(harness.records) == 2


def test_messages_beyond_the_memory_stay_with_the_broker_until_there_is_room(
    tmp_path: Path,
) -> None:
    released = threading.Event()
    with Harness(tmp_path, max_held_bytes=3000) as harness:
        harness.answer = lambda records: released.wait(5) and None
        harness.packet(1)
        harness.until(lambda: len(harness.records) == 1)
        for number in range(2, 12):
            harness.packet(number)
        assert harness.source.reconnects == 0
        released.set()
        harness.until(lambda: harness.source.reconnects == 1)
        taken = set(harness.source.acknowledged)
        assert taken < set(range(1, 12))
        harness.bridge.connected(session_present=True)
        for number in set(range(1, 12)) - taken:
            harness.packet(number, duplicate=True)
            harness.until(lambda number=number: number in harness.source.acknowledged)
    assert sorted(harness.source.acknowledged) == list(range(1, 12))


def test_a_stop_settles_the_batch_in_hand(tmp_path: Path) -> None:
    released = threading.Event()
    with Harness(tmp_path) as harness:
        harness.answer = lambda records: released.wait(5) and None
        harness.packet(7)
        harness.until(lambda: len(harness.records) == 1)
        harness.bridge.stop()
        harness.packet(8)
        released.set()
    assert harness.source.acknowledged == [7]
    assert not harness.source.running


def test_a_dead_connection_thread_ends_the_bridge(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    harness.source.failure = RuntimeError("the thread died")
    with pytest.raises(RuntimeError, match="the thread died"):
        harness.bridge.run()
    assert not harness.source.running


@pytest.mark.parametrize(
    ("topic", "client_id"),
    [
        (TOPIC, "acme_chiller"),
        ("tds_new/devices/AA-BB-CC-DD-EE-FF/telemetry", "aa:bb:cc:dd:ee:ff"),
        ("traksense/Acme!/plant/chiller/telem", "n/a"),
    ],
)
def test_the_publisher_is_the_owner_of_the_topic(topic: str, client_id: str) -> None:
    assert publisher(topic) == client_id
