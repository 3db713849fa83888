"""A certificate that was revoked: its live connection ends, and nobody comes in with it again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509

from tests.contract.broker_client import RefusedError, connected
from tests.contract.test_broker import CHILLER, COLD_ROOM, DEVICES, METER, Site, thing, topic

pytestmark = pytest.mark.timeout(60)

CUT_OFF_S = 5.0


def serial(site: Site, device: object) -> int:
    assert isinstance(device, type(CHILLER))
    pair = site.authority.device_certificate(thing(device))
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()).serial_number


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "home")
    site.broker.start(DEVICES)
    yield site
    site.broker.stop()


@pytest.mark.parametrize("version", [mqtt.MQTTv5, mqtt.MQTTv311])
def test_a_revoked_device_is_cut_off_and_stays_out_while_another_goes_on(
    site: Site, version: int
) -> None:
    with site.device(CHILLER, version=version) as chiller, site.device(METER) as meter:
        assert chiller.publish(topic(CHILLER, "telem"), b"{}") == 0
        began = time.monotonic()
        site.broker.reload((METER, COLD_ROOM), {serial(site, CHILLER)})
        site.broker.cut_off({thing(CHILLER)})
        assert chiller.disconnected.wait(CUT_OFF_S - (time.monotonic() - began))
        assert meter.publish(topic(METER, "telem"), b"{}") == 0
        assert not meter.disconnected.is_set()
    for _ in range(3):
        with pytest.raises(RefusedError), site.device(CHILLER, version=version):
            pass
    with connected(site.device(METER)) as meter:
        assert meter.publish(topic(METER, "telem"), b"{}") == 0
