"""What devices and the platform may rely on of the local broker, tried on a real mosquitto."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from local import process_identity
from local.certificates import CertificateAuthority
from local.errors import StartupError
from local.home import Home, read_json
from local.mosquitto import Broker, BrokerDevice
from local.mosquitto.configuration import (
    MAX_INFLIGHT_MESSAGES,
    MAX_PACKET_BYTES,
    BrokerFiles,
)
from local.ports import free_port
from local.settings import LocalSettings
from local.unprivileged import forget, service_directory, service_user
from tests.contract.broker_client import BrokerClient, RefusedError, connected

pytestmark = pytest.mark.timeout(60)

CHILLER = BrokerDevice("acme", "plant-1", "chiller-1")
METER = BrokerDevice("acme", "plant-1", "meter-1", mac="AA:BB:CC:00:11:22")
COLD_ROOM = BrokerDevice("globex", "store-1", "cold-room-1")
DEVICES = (CHILLER, METER, COLD_ROOM)

NOT_AUTHORISED = 0x87
PERSISTENT_S = 3600


def thing(device: BrokerDevice) -> str:
    return f"{device.tenant}_{device.name}"


def topic(device: BrokerDevice, channel: str) -> str:
    return f"traksense/{device.tenant}/{device.site}/{device.name}/{channel}"


class Site:
    """A broker of its own, and clients for it."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.home.create()
        self.authority = CertificateAuthority(self.home.certificates)
        self.settings = LocalSettings.from_environment(
            {"TRAKSENSE_HOME": str(root), "TRAKSENSE_MQTT_PORT": str(free_port())}
        )
        self.broker = Broker(self.home, self.settings, self.authority)

    def device(
        self,
        device: BrokerDevice,
        *,
        client_id: str | None = None,
        session_s: int = 0,
        version: int = mqtt.MQTTv5,
        will: tuple[str, bytes] | None = None,
    ) -> BrokerClient:
        return BrokerClient(
            self.settings.mqtt_port,
            self.authority.ca_path,
            self.authority.device_certificate(thing(device)),
            thing(device) if client_id is None else client_id,
            session_s=session_s,
            version=version,
            will=will,
        )

    def platform(self, client_id: str = "test-listener", *, session_s: int = 0) -> BrokerClient:
        return BrokerClient(
            self.broker.platform_port,
            self.authority.ca_path,
            self.authority.bridge_certificate(),
            client_id,
            session_s=session_s,
        )

    def end(self) -> None:
        self.broker.stop()
        forget(self.home)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running broker that the tests leave as they found it."""
    site = Site(tmp_path_factory.mktemp("shared") / "home")
    site.broker.start(DEVICES)
    yield site
    site.end()


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A broker, not yet started, for a test that stops or kills it."""
    site = Site(tmp_path / "home")
    yield site
    site.end()


def eventually(condition: Callable[[], bool], timeout_s: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("channel", ["state", "telem", "event", "alarm", "ack"])
def test_a_device_publishes_to_each_of_its_own_topics(site: Site, channel: str) -> None:
    with connected(site.platform()) as platform, connected(site.device(CHILLER)) as device:
        platform.subscribe("traksense/#")
        assert device.publish(topic(CHILLER, channel), b"mine") == 0
        message = platform.next_message()
    assert (message.topic, message.payload) == (topic(CHILLER, channel), b"mine")


@pytest.mark.parametrize(
    "foreign",
    [
        topic(METER, "telem"),
        topic(COLD_ROOM, "telem"),
        topic(CHILLER, "cmd"),
        "traksense/acme/plant-2/chiller-1/telem",
        "tds_new/devices/aa:bb:cc:00:11:22/telemetry",
        "traksense/acme/plant-1/chiller-1/telem/more",
        "$SYS/broker/log/N",
        "$aws/events/presence/connected/globex_cold-room-1",
        "anything",
    ],
)
def test_a_foreign_topic_is_refused_on_the_wire_and_reaches_nobody(
    site: Site, foreign: str
) -> None:
    with connected(site.platform()) as platform:
        platform.subscribe("#")
        platform.subscribe("$aws/#")
        with connected(site.device(CHILLER)) as device:
            assert device.publish(foreign, b"forged") == NOT_AUTHORISED
        assert platform.hears_nothing()


def test_a_foreign_topic_reaches_nobody_under_mqtt_3(site: Site) -> None:
    with connected(site.platform()) as platform:
        platform.subscribe("#")
        with connected(site.device(CHILLER, version=mqtt.MQTTv311)) as device:
            device.publish(topic(COLD_ROOM, "telem"), b"forged")
        assert platform.hears_nothing()


def test_a_gateway_publishes_to_its_own_mac_and_to_no_other(site: Site) -> None:
    with connected(site.platform()) as platform:
        platform.subscribe("tds_new/#")
        with connected(site.device(METER)) as gateway:
            assert gateway.publish("tds_new/devices/aa:bb:cc:00:11:22/telemetry", b"mine") == 0
            other = "tds_new/devices/aa:bb:cc:00:11:23/telemetry"
            assert gateway.publish(other, b"forged") == NOT_AUTHORISED
        assert platform.next_message().payload == b"mine"
        assert platform.hears_nothing()


def test_a_device_that_subscribes_to_everything_hears_only_its_own_commands(site: Site) -> None:
    with connected(site.device(CHILLER)) as device, connected(site.platform()) as platform:
        for wanted in ("#", "$SYS/#", "$share/group/#", topic(METER, "cmd"), "+/+/+/+/telem"):
            device.subscribe(wanted)
        platform.publish(topic(METER, "cmd"), b"not for it")
        platform.publish(topic(COLD_ROOM, "cmd"), b"nor this")
        with connected(site.device(METER)) as other:
            other.publish(topic(METER, "telem"), b"nor this either")
        assert device.hears_nothing()
        platform.publish(topic(CHILLER, "cmd"), b"for it")
        assert device.next_message().payload == b"for it"


def test_a_device_that_is_not_listed_may_do_nothing(site: Site) -> None:
    stranger = BrokerDevice("acme", "plant-1", "not-listed")
    with connected(site.device(stranger)) as device:
        assert device.publish(topic(stranger, "telem"), b"mine?") == NOT_AUTHORISED


def test_a_certificate_of_another_authority_is_refused(site: Site, tmp_path: Path) -> None:
    stranger = CertificateAuthority(tmp_path)
    forged = BrokerClient(
        site.settings.mqtt_port,
        site.authority.ca_path,
        stranger.device_certificate(thing(CHILLER)),
        thing(CHILLER),
    )
    with pytest.raises(RefusedError):
        forged.__enter__()


def test_a_client_without_a_certificate_is_refused(site: Site) -> None:
    for port in (site.settings.mqtt_port, site.broker.platform_port):
        with pytest.raises(RefusedError):
            BrokerClient(port, site.authority.ca_path, None, "nobody").__enter__()


def test_a_devices_certificate_does_not_open_the_platforms_listener(site: Site) -> None:
    intruder = BrokerClient(
        site.broker.platform_port,
        site.authority.ca_path,
        site.authority.device_certificate(thing(CHILLER)),
        "intruder",
    )
    with pytest.raises(RefusedError):
        intruder.__enter__()


def test_the_platforms_certificate_does_not_open_the_devices_listener(site: Site) -> None:
    astray = BrokerClient(
        site.settings.mqtt_port,
        site.authority.ca_path,
        site.authority.bridge_certificate(),
        "astray",
    )
    with pytest.raises(RefusedError):
        astray.__enter__()


def test_the_client_id_is_the_certificates_name_whatever_the_client_says(site: Site) -> None:
    with connected(site.platform()) as platform:
        platform.subscribe("$SYS/broker/log/N")
        with (
            connected(site.device(COLD_ROOM)) as victim,
            connected(site.device(CHILLER, client_id=thing(COLD_ROOM))),
        ):
            said: list[str] = []
            while not (said and "as acme_chiller-1 (" in said[-1]):
                said.append(platform.next_message().payload.decode())
            assert not victim.disconnected.is_set()
    assert not any("already connected" in line for line in said)


def test_connects_and_disconnects_appear_as_notices(site: Site) -> None:
    with connected(site.platform()) as platform:
        platform.subscribe("$SYS/broker/log/N")
        with connected(site.device(CHILLER)):
            pass
        cut = site.device(COLD_ROOM)
        cut.__enter__()
        cut.cut()
        said: list[str] = []
        while not (said and "Client globex_cold-room-1" in said[-1]):
            said.append(platform.next_message().payload.decode())
    text = "\n".join(said)
    assert "as acme_chiller-1 (p5, c1, k60, u'acme_chiller-1')." in text
    assert "Z: Client acme_chiller-1 disconnected." in text
    assert said[-1].endswith("Z: Client globex_cold-room-1 closed its connection.")


def test_the_will_of_a_device_that_is_cut_off_is_published_and_retained(site: Site) -> None:
    with connected(site.platform()) as platform:
        platform.subscribe(topic(CHILLER, "state"))
        while not platform.hears_nothing():
            pass
        device = site.device(CHILLER, will=(topic(CHILLER, "state"), b"offline"))
        device.__enter__()
        device.cut()
        assert platform.next_message().payload == b"offline"
    with connected(site.platform("later")) as later:
        later.subscribe(topic(CHILLER, "state"))
        message = later.next_message()
    assert message.retain
    assert message.payload == b"offline"


def test_a_payload_of_twice_the_allowed_size_still_arrives(site: Site) -> None:
    large = b"x" * (256 * 1024)
    with connected(site.platform()) as platform, connected(site.device(CHILLER)) as device:
        platform.subscribe(topic(CHILLER, "telem"))
        assert device.publish(topic(CHILLER, "telem"), large) == 0
        assert platform.next_message().payload == large


def test_a_client_that_sends_more_than_that_is_disconnected(site: Site) -> None:
    with connected(site.device(CHILLER, version=mqtt.MQTTv311)) as device:
        device.send_without_waiting(topic(CHILLER, "telem"), b"x" * MAX_PACKET_BYTES)
        assert device.disconnected.wait(5)


def test_a_batch_is_delivered_whole_before_its_first_acknowledgement(site: Site) -> None:
    with connected(site.platform("batch", session_s=60)) as platform:
        platform.subscribe(topic(CHILLER, "telem"))
        platform.acknowledge_nothing()
        with connected(site.device(CHILLER)) as device:
            for number in range(1000):
                device.send_without_waiting(topic(CHILLER, "telem"), str(number).encode())
            received = [int(platform.next_message().payload) for _ in range(1000)]
    assert received == list(range(1000))
    assert MAX_INFLIGHT_MESSAGES > 10_000


def test_a_persistent_session_keeps_its_messages_over_a_restart(own_site: Site) -> None:
    own_site.broker.start(DEVICES)
    with connected(own_site.platform("queue", session_s=PERSISTENT_S)) as consumer:
        consumer.subscribe("traksense/#")
    with connected(own_site.device(CHILLER)) as device:
        device.publish(topic(CHILLER, "telem"), b"before the restart")
    own_site.broker.stop()
    own_site.broker.start(DEVICES)
    assert not own_site.broker.adopted
    with connected(own_site.device(CHILLER)) as device:
        device.publish(topic(CHILLER, "telem"), b"after it")
    with connected(own_site.platform("queue", session_s=PERSISTENT_S)) as consumer:
        assert consumer.next_message().payload == b"before the restart"
        assert consumer.next_message().payload == b"after it"


def test_what_was_acknowledged_over_a_second_ago_survives_the_brokers_death(
    own_site: Site,
) -> None:
    own_site.broker.start(DEVICES)
    with connected(own_site.platform("queue", session_s=PERSISTENT_S)) as consumer:
        consumer.subscribe("traksense/#")
    with connected(own_site.device(CHILLER)) as device:
        device.publish(topic(CHILLER, "telem"), b"acknowledged")
        acknowledged_at = time.time()
    store = BrokerFiles(service_directory(own_site.home, "broker")).store
    # A second where the machine has time for it: saved is saved.
    assert eventually(lambda: store.exists() and store.stat().st_mtime > acknowledged_at)
    assert own_site.broker.identity is not None
    os.kill(own_site.broker.identity.pid, signal.SIGKILL)
    assert eventually(lambda: not own_site.broker.alive())
    own_site.broker.start(DEVICES)
    with connected(own_site.platform("queue", session_s=PERSISTENT_S)) as consumer:
        assert consumer.next_message().payload == b"acknowledged"


def test_a_new_device_gets_access_without_anyone_being_dropped(own_site: Site) -> None:
    own_site.broker.start([CHILLER])
    with connected(own_site.platform()) as platform, connected(own_site.device(CHILLER)) as old:
        platform.subscribe("traksense/#")
        own_site.broker.reload(DEVICES)

        def accepted() -> bool:
            with connected(own_site.device(COLD_ROOM)) as new:
                return new.publish(topic(COLD_ROOM, "telem"), b"new") == 0

        assert eventually(accepted)
        assert old.publish(topic(CHILLER, "telem"), b"old") == 0
        assert [platform.next_message().payload for _ in range(2)] == [b"new", b"old"]
        assert not platform.disconnected.is_set()
        assert not old.disconnected.is_set()


def test_a_device_that_is_taken_off_the_list_loses_its_access_at_once(own_site: Site) -> None:
    own_site.broker.start(DEVICES)
    with connected(own_site.device(COLD_ROOM)) as device:
        assert device.publish(topic(COLD_ROOM, "telem"), b"still mine") == 0
        own_site.broker.reload([CHILLER])
        answers = [0]
        while answers[-1] == 0 and len(answers) < 100:
            answers.append(device.publish(topic(COLD_ROOM, "telem"), b"still?"))
            time.sleep(0.02)
    assert answers[-1] == NOT_AUTHORISED


def test_a_consumer_that_is_away_during_a_reload_misses_nothing(own_site: Site) -> None:
    own_site.broker.start([CHILLER])
    with connected(own_site.platform("queue", session_s=PERSISTENT_S)) as consumer:
        consumer.subscribe("traksense/#")
    own_site.broker.reload(DEVICES)
    time.sleep(0.5)
    with connected(own_site.device(CHILLER)) as device:
        device.publish(topic(CHILLER, "telem"), b"after the reload")
    with connected(own_site.platform("queue", session_s=PERSISTENT_S)) as consumer:
        assert consumer.next_message().payload == b"after the reload"


STARTER = """
import json, os, sys, time
from local.home import Home
from local.mosquitto import Broker, BrokerDevice
from local.settings import LocalSettings
settings = LocalSettings.from_environment(os.environ)
broker = Broker(Home(settings.home), settings)
broker.start([BrokerDevice(**device) for device in json.loads(sys.argv[1])])
print("up", flush=True)
time.sleep(60)
"""


def test_a_broker_outlives_its_starters_death_and_is_adopted(own_site: Site) -> None:
    listed = [
        {"tenant": device.tenant, "site": device.site, "name": device.name, "mac": device.mac}
        for device in DEVICES[:1]
    ]
    environment = {
        **os.environ,
        "TRAKSENSE_HOME": str(own_site.home.root),
        "TRAKSENSE_MQTT_PORT": str(own_site.settings.mqtt_port),
    }
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, json.dumps(listed)],
        env=environment,
        stdout=subprocess.PIPE,
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        starter.kill()
    record = read_json(own_site.home.run / "broker.json")
    with connected(own_site.device(CHILLER)) as device:
        own_site.broker.start(DEVICES)
        assert own_site.broker.adopted
        assert own_site.broker.identity is not None
        assert own_site.broker.identity.pid == record["pid"]
        assert device.publish(topic(CHILLER, "telem"), b"still here") == 0
        assert not device.disconnected.is_set()

        def accepted() -> bool:
            with connected(own_site.device(COLD_ROOM)) as new:
                return new.publish(topic(COLD_ROOM, "telem"), b"listed now") == 0

        assert eventually(accepted)
    own_site.broker.stop()
    assert process_identity.of(record["pid"]) is None


def test_a_live_broker_of_another_configuration_is_replaced(own_site: Site) -> None:
    own_site.broker.start(DEVICES)
    first = own_site.broker.identity
    assert first is not None
    moved = LocalSettings.from_environment(
        {"TRAKSENSE_HOME": str(own_site.home.root), "TRAKSENSE_MQTT_PORT": str(free_port())}
    )
    second = Broker(own_site.home, moved, own_site.authority)
    second.start(DEVICES)
    try:
        assert not second.adopted
        assert not process_identity.is_alive(first)
        assert second.alive()
    finally:
        second.stop()


def test_a_port_in_use_is_named_with_the_setting_that_moves_it(site: Site, own_site: Site) -> None:
    taken = LocalSettings.from_environment(
        {
            "TRAKSENSE_HOME": str(own_site.home.root),
            "TRAKSENSE_MQTT_PORT": str(site.settings.mqtt_port),
        }
    )
    with pytest.raises(StartupError, match=r"mosquitto, pid \d+.*TRAKSENSE_MQTT_PORT") as caught:
        Broker(own_site.home, taken, own_site.authority).start(DEVICES)
    assert str(site.settings.mqtt_port) in str(caught.value)


def test_the_broker_never_runs_as_root_and_its_files_are_its_own(site: Site) -> None:
    assert site.broker.identity is not None
    process = Path(f"/proc/{site.broker.identity.pid}")
    if not process.exists():
        pytest.skip("this system has no /proc")
    user = service_user()
    expected = user.uid if user else os.getuid()
    assert expected != 0
    assert process.stat().st_uid == expected
    folder = site.home.broker
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o077 for path in folder.iterdir()}
    assert set(modes) >= {"mosquitto.conf", "devices.acl", "server.key"}
    assert set(modes.values()) == {0}
