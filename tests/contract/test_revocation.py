"""A certificate that was revoked: its live connection ends, and nobody comes in with it again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from local.bridge.presence import LOG_FILTERS, PresenceLog
from local.certificates import KeyPair
from local.home import read_json
from local.mosquitto import Broker, BrokerDevice
from tests.contract.broker_client import BrokerClient, RefusedError, connected
from tests.contract.test_broker import CHILLER, COLD_ROOM, DEVICES, METER, Site, thing, topic
from traksense.services import certificate_requests

pytestmark = pytest.mark.timeout(60)

CUT_OFF_S = 5.0


def revoked(site: Site, *devices: BrokerDevice) -> dict[int, str]:
    """The devices' first certificates as a list of revocations."""
    found = {}
    for device in devices:
        pair = site.authority.device_certificate(thing(device))
        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
        found[certificate.serial_number] = thing(device)
    return found


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "home")
    site.broker.start(DEVICES)
    yield site
    site.broker.stop()


def stays_out(site: Site, device: BrokerDevice, version: int = mqtt.MQTTv5) -> None:
    for _ in range(3):
        with pytest.raises(RefusedError), site.device(device, version=version):
            pass


@pytest.mark.parametrize("version", [mqtt.MQTTv5, mqtt.MQTTv311])
def test_a_revoked_device_is_cut_off_and_stays_out_while_another_goes_on(
    site: Site, version: int
) -> None:
    with site.device(CHILLER, version=version) as chiller, site.device(METER) as meter:
        assert chiller.publish(topic(CHILLER, "telem"), b"{}") == 0
        with site.platform() as platform:
            platform.subscribe(topic(CHILLER, "telem"))
            began = time.monotonic()
            site.broker.reload((METER, COLD_ROOM), revoked(site, CHILLER))
            assert chiller.disconnected.wait(CUT_OFF_S - (time.monotonic() - began))
            chiller.send_without_waiting(topic(CHILLER, "telem"), b"{}")
            assert platform.hears_nothing()
        assert meter.publish(topic(METER, "telem"), b"{}") == 0
        assert not meter.disconnected.is_set()
    stays_out(site, CHILLER, version)
    with connected(site.device(METER)) as meter:
        assert meter.publish(topic(METER, "telem"), b"{}") == 0


def test_each_revocation_counts_however_fast_they_follow_each_other(site: Site) -> None:
    with site.device(CHILLER) as chiller, site.device(METER) as meter:
        site.broker.reload((METER, COLD_ROOM), revoked(site, CHILLER))
        site.broker.reload((COLD_ROOM,), revoked(site, CHILLER, METER))
        assert chiller.disconnected.wait(CUT_OFF_S)
        assert meter.disconnected.wait(CUT_OFF_S)
    stays_out(site, CHILLER)
    stays_out(site, METER)
    with connected(site.device(COLD_ROOM)) as cold_room:
        assert cold_room.publish(topic(COLD_ROOM, "telem"), b"{}") == 0


def test_the_certificate_that_takes_over_lets_the_device_in(site: Site, tmp_path: Path) -> None:
    key = certificate_requests.new_key(thing(CHILLER))
    request = x509.load_pem_x509_csr(key.request.encode())
    pair = KeyPair(tmp_path / "new.crt", tmp_path / "new.key")
    made = site.authority.sign_device(request)
    pair.certificate.write_bytes(made.public_bytes(Encoding.PEM))
    pair.key.write_text(key.key)
    site.broker.reload(DEVICES, revoked(site, CHILLER))
    stays_out(site, CHILLER)
    port, ca = site.settings.mqtt_port, site.authority.ca_path
    with connected(BrokerClient(port, ca, pair, thing(CHILLER))) as chiller:
        assert chiller.publish(topic(CHILLER, "telem"), b"{}") == 0


def test_what_is_revoked_stays_so_over_a_restart_and_an_adoption(site: Site) -> None:
    site.broker.reload((METER, COLD_ROOM), revoked(site, CHILLER))
    site.broker.start((METER, COLD_ROOM), revoked(site, CHILLER))
    assert site.broker.adopted
    stays_out(site, CHILLER)
    site.broker.stop()
    site.broker.start((METER, COLD_ROOM), revoked(site, CHILLER))
    assert not site.broker.adopted
    stays_out(site, CHILLER)


def test_who_was_revoked_while_nobody_watched_is_cut_off_by_the_next_start(site: Site) -> None:
    with site.device(CHILLER) as chiller:
        again = Broker(site.home, site.settings, site.authority)
        again.start((METER, COLD_ROOM), revoked(site, CHILLER))
        assert again.adopted
        assert chiller.disconnected.wait(CUT_OFF_S)
    assert len(read_json(site.home.run / "cut-off.json")["serials"]) == 1
    stays_out(site, CHILLER)


def test_the_brokers_log_says_that_the_device_is_gone_and_nothing_else(site: Site) -> None:
    log = PresenceLog(lambda: time.time_ns() // 1_000_000)
    with site.platform() as platform:
        for each in LOG_FILTERS:
            platform.subscribe(each)
        with site.device(CHILLER) as chiller:
            site.broker.reload((METER, COLD_ROOM), revoked(site, CHILLER))
            assert chiller.disconnected.wait(CUT_OFF_S)
        said = []
        deadline = time.monotonic() + CUT_OFF_S
        while len(said) < 3 and time.monotonic() < deadline:
            event = log.read(platform.next_message().payload.decode())
            if event is not None and event.topic.client_id == thing(CHILLER):
                payload = json.loads(event.payload)
                said.append(payload.get("disconnectReason", payload["eventType"]))
        assert said == ["connected", "DUPLICATE_CLIENTID", "SERVER_INITIATED_DISCONNECT"]
        while not platform.messages.empty():
            event = log.read(platform.messages.get().payload.decode())
            assert event is None or event.topic.client_id != thing(CHILLER)
