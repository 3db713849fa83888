from __future__ import annotations

from pathlib import Path

import pytest

from local.mosquitto.configuration import (
    BrokerDevice,
    BrokerFiles,
    access_list,
    configuration,
    digest,
)
from traksense.contracts.topics import TopicError


def test_a_device_may_write_to_its_five_topics_and_read_its_commands() -> None:
    assert access_list([BrokerDevice("acme", "plant-1", "chiller-1")]) == (
        "user acme_chiller-1\n"
        "topic write traksense/acme/plant-1/chiller-1/state\n"
        "topic write traksense/acme/plant-1/chiller-1/telem\n"
        "topic write traksense/acme/plant-1/chiller-1/event\n"
        "topic write traksense/acme/plant-1/chiller-1/alarm\n"
        "topic write traksense/acme/plant-1/chiller-1/ack\n"
        "topic read traksense/acme/plant-1/chiller-1/cmd\n"
    )


def test_a_gateway_may_also_write_to_its_macs_topic() -> None:
    lines = access_list([BrokerDevice("acme", "plant-1", "meter-1", "AA-BB-CC-00-11-22")])
    assert "topic write tds_new/devices/aa:bb:cc:00:11:22/telemetry\n" in lines


def test_the_order_in_which_devices_come_does_not_matter() -> None:
    one, two = BrokerDevice("acme", "s", "a"), BrokerDevice("globex", "s", "a")
    assert access_list([one, two]) == access_list([two, one])


@pytest.mark.parametrize(
    "device",
    [
        BrokerDevice("acme", "plant-1", "a\nuser globex_a"),
        BrokerDevice("acme", "+", "a"),
        BrokerDevice("#", "plant-1", "a"),
        BrokerDevice("acme", "plant-1", "a", mac="+"),
    ],
)
def test_a_name_that_would_widen_the_list_is_refused(device: BrokerDevice) -> None:
    with pytest.raises(TopicError):
        access_list([device])


def text(tmp_path: Path, mqtt_port: int = 8883) -> str:
    return configuration(
        BrokerFiles(tmp_path),
        mqtt_port=mqtt_port,
        platform_port=9999,
        ca=Path("/home/ca.crt"),
        platform_ca=Path("/home/platform-ca.crt"),
        server_certificate=Path("/home/server.crt"),
        server_key=Path("/home/server.key"),
    )


def test_every_listener_is_on_loopback_and_wants_a_certificate(tmp_path: Path) -> None:
    lines = text(tmp_path).splitlines()
    assert [line for line in lines if line.startswith("listener")] == [
        "listener 8883 127.0.0.1",
        "listener 9999 127.0.0.1",
    ]
    assert lines.count("require_certificate true") == 2
    assert lines.count("allow_anonymous false") == 2


def test_the_broker_reads_nothing_outside_its_own_folder(tmp_path: Path) -> None:
    paths = [word for word in text(tmp_path).split() if word.startswith("/")]
    assert len(paths) >= 8
    assert all(path.startswith(f"{tmp_path}/") for path in paths)


def test_whatever_the_broker_reads_changes_the_digest(tmp_path: Path) -> None:
    digests = {
        digest(text(tmp_path), b"certificate"),
        digest(text(tmp_path), b"renewed certificate"),
        digest(text(tmp_path, 8884), b"certificate"),
        digest(text(tmp_path), b"certi", b"ficate"),
    }
    assert len(digests) == 4
    assert digest(text(tmp_path), b"certificate") in digests
