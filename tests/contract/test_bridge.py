"""What the platform may rely on of the bridge, tried on a real mosquitto."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.bridge.dead_letters import DeadLetterFile
from local.bridge.queue import DeliveryPolicy
from local.bridge.runner import Bridge, BridgeSettings
from local.bridge.source import BrokerAddress, BrokerSource
from local.certificates import CertificateAuthority
from local.home import Home
from local.mosquitto import Broker, BrokerDevice
from local.ports import free_port
from local.settings import LocalSettings
from local.unprivileged import forget
from tests.contract.broker_client import BrokerClient
from traksense.contracts.queues import DEVICE_EVENTS, INGEST, Queue

pytestmark = pytest.mark.timeout(120)

CHILLER = BrokerDevice("acme", "plant", "chiller")
TELEM = "traksense/acme/plant/chiller/telem"
STATE = "traksense/acme/plant/chiller/state"
MESSAGES = 2000
QUICK = DeliveryPolicy(
    batch_size=1000,
    window_s=0,
    max_bytes=6_000_000,
    give_up_receives=100,
    give_up_after_s=60,
    first_delay_s=0.05,
    longest_delay_s=0.1,
)


class Site:
    """A broker of its own with one device, and bridges to it."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.home.create()
        self.authority = CertificateAuthority(self.home.certificates)
        self.authority.bridge_certificate()
        settings = LocalSettings.from_environment(
            {"TRAKSENSE_HOME": str(root), "TRAKSENSE_MQTT_PORT": str(free_port())}
        )
        self.mqtt_port = settings.mqtt_port
        self.broker = Broker(self.home, settings, self.authority)
        self.journal = root / "journal"
        self.bridges: list[BridgeProcess] = []

    def device(self, *, will: tuple[str, bytes] | None = None) -> BrokerClient:
        return BrokerClient(
            self.mqtt_port,
            self.authority.ca_path,
            self.authority.device_certificate("acme_chiller"),
            "acme_chiller",
            will=will,
        )

    def address(self) -> BrokerAddress:
        pair = self.authority.bridge_certificate()
        return BrokerAddress(
            self.broker.platform_port, self.authority.ca_path, pair.certificate, pair.key
        )

    def taken(self) -> Counter[str]:
        text = self.journal.read_text() if self.journal.exists() else ""
        return Counter(text.splitlines())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "home")
    made.broker.start([CHILLER])
    yield made
    for bridge in made.bridges:
        bridge.end(signal.SIGKILL)  # what a failed test has left behind
    made.broker.stop()
    forget(made.home)


class BridgeProcess:
    """A bridge that fails at random, in a process that can be killed."""

    def __init__(self, site: Site, seed: int) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.contract.bridge_process",
                str(site.home.root),
                str(site.broker.platform_port),
                str(site.journal),
                str(seed),
            ],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        site.bridges.append(self)
        assert self._process.stdout is not None
        self._lines = self._process.stdout
        for line in self._lines:
            if '"ready"' in line:
                break
        else:
            pytest.fail("the bridge ended before it was ready")
        self._reader = threading.Thread(target=self._lines.read, daemon=True)
        self._reader.start()

    def end(self, number: signal.Signals) -> int:
        if self._process.returncode is not None:
            return self._process.returncode
        os.kill(self._process.pid, number)
        status = self._process.wait(10)
        self._reader.join(5)
        self._lines.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        return status


class BridgeThread:
    """A bridge in this process; the test chooses what its function answers."""

    def __init__(self, site: Site, queue: Queue) -> None:
        self.records: list[dict[str, Any]] = []
        self.answer: Callable[[], Any] = lambda: None
        self.ready = threading.Event()
        settings = BridgeSettings(queue, "quiet", policy=QUICK)
        self._bridge = Bridge(
            settings,
            self._handle,
            DeadLetterFile(site.home.dead_letter_file(queue.name)),
            on_ready=self.ready.set,
        )
        self._bridge.attach(
            BrokerSource(f"bridge-{queue.name}", settings.filters, self._bridge, site.address())
        )
        self._thread = threading.Thread(target=self._bridge.run)

    def _handle(self, event: dict[str, Any], _context: Any) -> Any:
        answer = self.answer()
        self.records.extend(event["Records"])
        return answer

    def __enter__(self) -> BridgeThread:
        self._thread.start()
        assert self.ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._bridge.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def has_noticed_the_loss(self) -> bool:
        return not self._bridge._deliveries._connected

    def messages(self) -> list[tuple[str, bytes]]:
        bodies = [json.loads(record["body"]) for record in self.records]
        return [(body["topic"], base64.b64decode(body["payload"])) for body in bodies]

    def presence(self) -> list[dict[str, Any]]:
        events = [
            (topic, json.loads(payload))
            for topic, payload in self.messages()
            if topic.startswith("$aws/events/presence/")
        ]
        for topic, event in events:
            assert topic == f"$aws/events/presence/{event['eventType']}/{event['clientId']}"
        return [event for _, event in events]


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {timeout_s} s"
        time.sleep(0.01)


def publish_all(site: Site, payloads: list[str]) -> None:
    with site.device() as device:
        for payload in payloads:
            device.publish(TELEM, payload.encode())


def test_nothing_is_lost_when_the_bridge_is_killed_and_the_function_fails_at_random(
    site: Site,
) -> None:
    payloads = [f"m{number}" for number in range(MESSAGES)]
    publisher = threading.Thread(target=publish_all, args=(site, payloads))
    bridge = BridgeProcess(site, seed=0)
    publisher.start()
    for seed, share in ((1, 0.2), (2, 0.5), (3, 0.8)):
        until(lambda share=share: len(site.taken()) >= MESSAGES * share)
        assert bridge.end(signal.SIGKILL) == -signal.SIGKILL
        bridge = BridgeProcess(site, seed)
    publisher.join()
    until(lambda: len(site.taken()) == MESSAGES)
    assert bridge.end(signal.SIGTERM) == 0
    assert set(site.taken()) == set(payloads)
    assert not site.home.dead_letter_file("ingest").exists()


def test_what_is_given_up_is_a_dead_letter_and_gone_from_the_broker(site: Site) -> None:
    bridge = BridgeProcess(site, seed=5)
    payloads = [f"{random.Random(n).choice(('poison', 'good'))}{n}" for n in range(200)]
    publish_all(site, payloads)
    poisoned = {payload for payload in payloads if payload.startswith("poison")}
    dead = site.home.dead_letter_file("ingest")
    until(lambda: dead.exists() and len(dead.read_text().splitlines()) >= len(poisoned))
    until(lambda: set(site.taken()) == set(payloads) - poisoned)
    assert bridge.end(signal.SIGTERM) == 0
    letters = [json.loads(line) for line in dead.read_text().splitlines()]
    bodies = [json.loads(letter["body"]) for letter in letters]
    assert sorted(base64.b64decode(body["payload"]).decode() for body in bodies) == sorted(poisoned)
    assert {body["topic"] for body in bodies} == {TELEM}
    with BridgeThread(site, INGEST) as again:
        time.sleep(0.5)
        assert again.records == []


def test_a_clean_stop_leaves_nothing_to_be_delivered_again(site: Site) -> None:
    with BridgeThread(site, INGEST) as first:
        publish_all(site, [str(number) for number in range(50)])
        until(lambda: len(first.records) == 50)
    with BridgeThread(site, INGEST) as second:
        time.sleep(0.5)
        assert second.records == []


def test_messages_wait_in_the_broker_while_the_bridge_is_away(site: Site) -> None:
    with BridgeThread(site, INGEST):
        pass
    publish_all(site, ["a", "b", "c"])
    with BridgeThread(site, INGEST) as bridge:
        until(lambda: len(bridge.records) == 3)
    assert bridge.messages() == [(TELEM, b"a"), (TELEM, b"b"), (TELEM, b"c")]


def test_the_bridge_outlives_the_broker_and_keeps_its_place(site: Site) -> None:
    with BridgeThread(site, INGEST) as bridge:
        publish_all(site, ["before"])
        until(lambda: len(bridge.records) == 1)
        site.broker.stop()
        site.broker.start([CHILLER])
        publish_all(site, ["after"])
        until(lambda: (TELEM, b"after") in bridge.messages())


def test_a_message_in_hand_when_the_broker_goes_is_delivered_once(site: Site) -> None:
    entered, released = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        released.wait(20)

    with BridgeThread(site, INGEST) as bridge:
        bridge.answer = slow
        publish_all(site, ["one"])
        assert entered.wait(10)
        bridge.ready.clear()
        site.broker.stop()
        # An acknowledgement sent into a connection that is gone is lost, and its message comes
        # again: only from the moment that the bridge knows can it do better.
        until(lambda: bridge.has_noticed_the_loss())
        released.set()
        until(lambda: len(bridge.records) == 1)
        site.broker.start([CHILLER])
        publish_all(site, ["two"])
        until(lambda: len(bridge.records) >= 2)
        time.sleep(0.5)
        assert bridge.messages() == [(TELEM, b"one"), (TELEM, b"two")]
    with BridgeThread(site, INGEST) as again:
        time.sleep(0.5)
        assert again.records == []


def test_a_retained_copy_is_no_news_and_a_live_state_is(site: Site) -> None:
    with site.device() as device:
        device.publish(STATE, b"stale", retain=True)
    with BridgeThread(site, DEVICE_EVENTS) as first:
        time.sleep(0.5)
        with site.device() as device:
            device.publish(STATE, b"live", retain=True)
            until(lambda: (STATE, b"live") in first.messages())
    with BridgeThread(site, DEVICE_EVENTS) as second:
        time.sleep(0.5)
        states = [m for m in first.messages() + second.messages() if m[0] == STATE]
    assert states == [(STATE, b"live")]


def test_a_state_published_while_the_bridge_was_away_is_news(site: Site) -> None:
    with BridgeThread(site, DEVICE_EVENTS):
        pass
    with site.device() as device:
        device.publish(STATE, b"missed", retain=True)
    with BridgeThread(site, DEVICE_EVENTS) as bridge:
        until(lambda: (STATE, b"missed") in bridge.messages())


def test_a_device_that_comes_and_goes_has_presence(site: Site) -> None:
    with BridgeThread(site, DEVICE_EVENTS) as bridge:
        with site.device():
            until(lambda: len(bridge.presence()) == 1)
        until(lambda: len(bridge.presence()) == 2)
    connected, gone = bridge.presence()
    assert connected["eventType"] == "connected"
    assert gone["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT"
    assert gone["sessionIdentifier"] == connected["sessionIdentifier"]
    assert abs(connected["timestamp"] - time.time() * 1000) < 30_000


def test_a_device_cut_off_is_gone_within_two_seconds_with_its_will(site: Site) -> None:
    will = (STATE, b"offline")
    with BridgeThread(site, DEVICE_EVENTS) as bridge, site.device(will=will) as device:
        until(lambda: len(bridge.presence()) == 1)
        device.cut()
        until(lambda: len(bridge.presence()) == 2, timeout_s=2)
        until(lambda: (STATE, b"offline") in bridge.messages(), timeout_s=2)
    assert bridge.presence()[1]["disconnectReason"] == "CONNECTION_LOST"


def test_a_takeover_is_told_from_a_loss(site: Site) -> None:
    with BridgeThread(site, DEVICE_EVENTS) as bridge, site.device():
        until(lambda: len(bridge.presence()) == 1)
        with site.device():
            until(lambda: len(bridge.presence()) >= 3)
    first, ended, second = bridge.presence()[:3]
    assert ended["disconnectReason"] == "DUPLICATE_CLIENTID"
    assert ended["sessionIdentifier"] == first["sessionIdentifier"]
    assert second["versionNumber"] > first["versionNumber"]
    assert second["eventType"] == "connected"
