"""The simulator as a process against a real mosquitto with mTLS: what the wire sees of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from local.certificates import CertificateAuthority
from local.home import Home
from local.mosquitto import Broker, BrokerDevice
from local.ports import free_port
from local.settings import LocalSettings
from local.unprivileged import forget
from traksense.contracts import topics

TENANT, SITE = "acme", "plant"
MAC = "02:00:00:00:00:01"
DEVICES: tuple[dict[str, Any], ...] = (
    {"name": "chiller-1", "template": "chiller-v1"},
    {"name": "drive-1", "template": "inverter-je02"},
    {
        "name": "meters-1",
        "template": "gateway-tds",
        "gateway": {"mac": MAC, "children": ["D01", "D02"]},
    },
    {"name": "spare-1", "simulated": False},
)


class Wire:
    """A broker with four known devices, and somebody who hears everything."""

    client: paho.Client

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.endpoints = folder / "endpoints.json"
        self.seen: list[paho.MQTTMessage] = []
        self.processes: list[subprocess.Popen[str]] = []
        self.home = Home(folder / "home")
        self.home.create()
        self.authority = CertificateAuthority(self.home.certificates)
        self.port = free_port()
        settings = LocalSettings.from_environment(
            {"TRAKSENSE_HOME": str(self.home.root), "TRAKSENSE_MQTT_PORT": str(self.port)}
        )
        self.broker = Broker(self.home, settings, self.authority)

    def start(self) -> None:
        """Start the broker and write the endpoints file."""
        self.broker.start(
            BrokerDevice(TENANT, SITE, d["name"], d.get("gateway", {}).get("mac")) for d in DEVICES
        )
        devices = []
        for entry in DEVICES:
            pair = self.authority.device_certificate(topics.thing_name(TENANT, entry["name"]))
            devices.append(
                {"tenant": TENANT, "site": SITE, "cert": str(pair.certificate),
                 "key": str(pair.key), "simulated": True, **entry}
            )  # fmt: skip
        ca = str(self.authority.ca_path)
        self.endpoints.write_text(
            json.dumps(
                {"mqtt": {"host": "127.0.0.1", "port": self.port, "ca": ca}, "devices": devices}
            )
        )

    @contextmanager
    def watcher(self) -> Iterator[paho.Client]:
        """A client that may see and say everything."""
        pair = self.authority.bridge_certificate()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="watcher")
        client.tls_set(str(self.authority.ca_path), str(pair.certificate), str(pair.key))
        client.on_message = lambda _client, _data, message: (
            self.seen.append(message) if message.payload else None
        )
        client.connect("127.0.0.1", self.broker.platform_port)
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.loop_start()
        client.subscribe("#", qos=1)
        try:
            assert subscribed.wait(5)
            yield client
        finally:
            client.disconnect()
            client.loop_stop()

    def wait_for(
        self,
        device: str,
        channel: str,
        wanted: Callable[[dict[str, Any]], bool],
        seconds: float = 15,
    ) -> paho.MQTTMessage:
        """The first message of a device's channel in this test that is wanted."""
        topic = f"traksense/{TENANT}/{SITE}/{device}/{channel}"
        deadline = time.monotonic() + seconds
        looked_at = 0
        while time.monotonic() < deadline:
            for message in self.seen[looked_at:]:
                looked_at += 1
                if message.topic == topic and wanted(json.loads(message.payload)):
                    return message
            time.sleep(0.02)
        raise AssertionError(f"no such message on {topic} in {seconds} s")

    def simulator(self, *options: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start the simulator as a process."""
        process = subprocess.Popen(
            [sys.executable, "-m", "device_sim", "--endpoints", str(self.endpoints), *options],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def end_processes(self) -> None:
        """End what a failed test has left behind."""
        for process in self.processes:
            process.kill()
            process.communicate()
        self.processes.clear()


def count_of(process: subprocess.Popen[str], seconds: float = 60) -> dict[str, Any]:
    """Wait for a run with ``--json`` that must succeed; its count."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, out + err
    count: dict[str, Any] = json.loads(out)
    return count


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    wire = Wire(tmp_path_factory.mktemp("device-sim"))
    wire.start()
    try:
        yield wire
    finally:
        wire.broker.stop()
        forget(wire.home)


@pytest.fixture
def wire(broker: Wire) -> Iterator[Wire]:
    broker.seen = []
    with broker.watcher() as client:
        broker.client = client
        try:
            yield broker
        finally:
            broker.end_processes()
    # A fresh connection: a test may have restarted the broker.
    with broker.watcher() as client:
        for entry in DEVICES:
            state = f"traksense/{TENANT}/{SITE}/{entry['name']}/state"
            client.publish(state, b"", 1, True).wait_for_publish(5)


def is_online(state: dict[str, Any]) -> bool:
    return bool(state["status"] == "online")


def is_offline(state: dict[str, Any]) -> bool:
    return bool(state["status"] == "offline")


def test_a_fleet_comes_online_reports_and_goes_offline_cleanly(wire: Wire) -> None:
    process = wire.simulator("--rate", "30", "--duration", "2", "--json")
    for device in ("chiller-1", "drive-1", "meters-1"):
        assert wire.wait_for(device, "state", is_online)
    count = count_of(process)
    goodbye = wire.wait_for("chiller-1", "state", is_offline)
    assert "ts" in json.loads(goodbye.payload), "a Will has no ts: this end was not clean"
    assert 20 <= count["published"] == count["acknowledged"] <= 70
    assert count["failed"] == count["notices_failed"] == 0


def test_the_online_state_is_retained(wire: Wire) -> None:
    process = wire.simulator("--devices", "1", "--rate", "5", "--duration", "4", "--json")
    wire.wait_for("chiller-1", "state", is_online)
    topic = f"traksense/{TENANT}/{SITE}/chiller-1/state"
    wire.seen.clear()
    wire.client.subscribe(topic, qos=1)
    state = wire.wait_for("chiller-1", "state", lambda _: True, 3)
    assert state.retain
    assert is_online(json.loads(state.payload))
    count_of(process)


def test_a_killed_simulator_leaves_its_will(wire: Wire) -> None:
    process = wire.simulator("--devices", "1", "--rate", "5")
    wire.wait_for("chiller-1", "state", is_online)
    process.kill()
    process.communicate()
    will = wire.wait_for("chiller-1", "state", is_offline, 5)
    assert json.loads(will.payload) == {"schema": "v1", "status": "offline"}


def test_every_device_boots_with_an_event_and_a_je02_with_its_info(wire: Wire) -> None:
    process = wire.simulator("--rate", "10", "--duration", "2", "--json")
    assert wire.wait_for("drive-1", "event", lambda event: event["event_type"] == "boot")
    assert wire.wait_for("drive-1", "telem", lambda body: "INFO" in body)
    count_of(process)


def test_the_meters_report_on_their_gateways_mac_topic(wire: Wire) -> None:
    process = wire.simulator("--devices", "3", "--rate", "10", "--duration", "2", "--json")
    count_of(process)
    wire.wait_for("meters-1", "state", is_offline)
    message = next(m for m in wire.seen if m.topic == f"tds_new/devices/{MAC}/telemetry")
    codes = [entry["dispositivo"] for entry in json.loads(message.payload)["leituras"]]
    assert codes == ["D01", "D02"]


def command(cmd_id: str, op: str, **more: Any) -> bytes:
    expires = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    return json.dumps(
        {"schema": "v1", "cmd_id": cmd_id, "op": op, "params": {}, "expires_at": expires, **more}
    ).encode()


def test_a_command_is_acknowledged_and_an_unknown_one_refused(wire: Wire) -> None:
    process = wire.simulator("--devices", "1", "--rate", "5", "--duration", "20", "--json")
    wire.wait_for("chiller-1", "event", lambda _: True)
    topic = f"traksense/{TENANT}/{SITE}/chiller-1/cmd"
    wire.client.publish(topic, command("01A", "reset_fault", pulse_ms=500), 1)
    ack = json.loads(wire.wait_for("chiller-1", "ack", lambda a: a["cmd_id"] == "01A").payload)
    assert (ack["ok"], ack["err"]) == (True, None)
    wire.client.publish(topic, command("01B", "make_coffee"), 1)
    ack = json.loads(wire.wait_for("chiller-1", "ack", lambda a: a["cmd_id"] == "01B").payload)
    assert (ack["ok"], ack["err"]) == (False, "unknown_op")
    process.send_signal(signal.SIGTERM)
    count_of(process)


def replay(wire: Wire, rows: int, *options: str) -> tuple[list[str], subprocess.Popen[str]]:
    values = [f"{20 + i % 7}.{i:05d}0" for i in range(rows)]
    start = datetime(2013, 12, 2, 21, 15, tzinfo=UTC)
    file = wire.folder / "recorded.csv"
    file.write_text(
        "timestamp,value\n"
        + "".join(
            f"{start + timedelta(minutes=5 * i):%Y-%m-%d %H:%M:%S},{value}\n"
            for i, value in enumerate(values)
        )
    )
    return values, wire.simulator("--replay", str(file), "--point", "temp", "--json", *options)


def received(wire: Wire) -> tuple[list[str], int]:
    """The numbers on the idle device's telemetry topic as written, and how often its Will fired.

    Waits for its clean goodbye.
    """
    root = f"traksense/{TENANT}/{SITE}/spare-1"
    wire.wait_for("spare-1", "state", lambda state: is_offline(state) and "ts" in state)
    values: list[str] = []
    for message in wire.seen:
        if message.topic == f"{root}/telem":
            bodies = json.loads(message.payload, parse_float=str)
            for body in bodies if isinstance(bodies, list) else [bodies]:
                values.append(body["points"][0]["v"])
    states = [json.loads(m.payload) for m in wire.seen if m.topic == f"{root}/state"]
    return values, sum(is_offline(state) and "ts" not in state for state in states)


def test_a_replay_delivers_every_digit_in_order(wire: Wire) -> None:
    values, process = replay(wire, 5000, "--shift-to-now", "--step", "1", "--speed", "max")
    count = count_of(process)
    assert (count["published"], count["acknowledged"], count["failed"]) == (5000, 5000, 0)
    assert received(wire) == (values, 0)


def test_batches_carry_the_same_values(wire: Wire) -> None:
    values, process = replay(wire, 1001, "--batch", "100")
    count = count_of(process)
    assert (count["published"], count["readings_acknowledged"]) == (11, 1001)
    assert received(wire) == (values, 0)


def test_dropped_connections_fire_the_will_and_lose_nothing(wire: Wire) -> None:
    values, process = replay(wire, 3000, "--rate", "500", "--faults", "disconnect,duplicate")
    count = count_of(process)
    assert count["disconnects"] >= 1
    assert count["failed"] == 0
    assert count["acknowledged"] == count["published"] >= 3000
    arrived, wills = received(wire)
    assert set(arrived) == set(values)
    assert wills == count["disconnects"]


def test_garbage_is_counted_apart(wire: Wire) -> None:
    process = wire.simulator(
        "--rate", "200", "--duration", "3", "--faults", "garbage,late,out-of-order", "--json"
    )
    count = count_of(process)
    assert count["garbage"] > 0
    assert count["garbage"] == count["garbage_acknowledged"]
    assert count["published"] == count["acknowledged"]


def test_a_child_ends_with_its_supervisor(wire: Wire) -> None:
    process = wire.simulator("--child", "--devices", "1", "--json", stdin=subprocess.PIPE)
    wire.wait_for("chiller-1", "state", is_online)
    assert process.stdin is not None
    process.stdin.close()
    assert "ts" in json.loads(wire.wait_for("chiller-1", "state", is_offline, 10).payload)
    process.stdin = None
    count_of(process, 10)


def test_a_broker_that_is_not_there_is_one_clear_line(wire: Wire, tmp_path: Path) -> None:
    document = json.loads(wire.endpoints.read_text())
    document["mqtt"]["port"] = free_port()
    elsewhere = tmp_path / "endpoints.json"
    elsewhere.write_text(json.dumps(document))
    process = wire.simulator("--endpoints", str(elsewhere), "--connect-timeout", "2")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"no connection to mqtts://127.0.0.1:{document['mqtt']['port']}" in err, out + err


def test_a_broker_that_restarts_costs_no_message(wire: Wire) -> None:
    _, process = replay(wire, 4000, "--rate", "1000")
    wire.wait_for("spare-1", "telem", lambda _: True)
    wire.broker.stop()
    wire.start()
    count = count_of(process)
    assert count["disconnects"] == 1
    assert (count["published"], count["acknowledged"], count["failed"]) == (4000, 4000, 0)


def test_a_stop_with_no_broker_to_say_goodbye_to_is_quick(wire: Wire) -> None:
    process = wire.simulator("--devices", "1", "--rate", "20", "--json")
    wire.wait_for("chiller-1", "telem", lambda _: True)
    wire.broker.stop()
    try:
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
        assert time.monotonic() - began < 5
        assert process.returncode == 1, "what could not be delivered has failed"
        count = json.loads(out)
        assert count["failed"] == count["published"] - count["acknowledged"] > 0
    finally:
        wire.start()
