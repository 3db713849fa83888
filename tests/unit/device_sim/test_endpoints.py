"""Reading endpoints.json and choosing devices from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from device_sim.endpoints import EndpointsError, load, parse


def entry(name: str, **fields: Any) -> dict[str, Any]:
    base = {"tenant": "acme", "site": "plant", "name": name, "cert": "/c", "key": "/k"}
    return {**base, "simulated": True, **fields}


def document(*devices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    mqtt = {"host": "127.0.0.1", "port": 8883, "ca": "/ca"}
    return {"mqtt": mqtt, "devices": list(devices), **fields}


def test_a_fleet_is_the_first_simulated_devices() -> None:
    endpoints = parse(document(entry("a"), entry("b", simulated=False), entry("c"), entry("d")))
    assert [device.name for device in endpoints.fleet(2)] == ["a", "c"]
    assert len(endpoints.fleet()) == 3


def test_more_devices_than_there_are_is_an_error_that_says_how_many() -> None:
    with pytest.raises(EndpointsError, match=r"5 devices were asked for, .* has 1 simulated"):
        parse(document(entry("a"), entry("b", simulated=False))).fleet(5)


def test_what_is_behind_a_gateway_does_not_connect() -> None:
    endpoints = parse(document(entry("a", cert=None, key=None), entry("b")))
    assert [device.name for device in endpoints.fleet()] == ["b"]
    with pytest.raises(EndpointsError, match="no certificate"):
        endpoints.find("acme/a")


def test_the_idle_device_is_one_that_no_simulator_uses() -> None:
    endpoints = parse(document(entry("a"), entry("b", simulated=False)))
    assert endpoints.idle_device().thing_name == "acme_b"
    with pytest.raises(EndpointsError, match="--device TENANT/NAME"):
        parse(document(entry("a"))).idle_device()


def test_an_unknown_device_is_answered_with_the_known_ones() -> None:
    with pytest.raises(EndpointsError, match="no device 'globex/a'; there are: acme/a"):
        parse(document(entry("a"))).find("globex/a")


def test_a_gateways_mac_is_normalised() -> None:
    gateway = {"mac": "AA-BB-CC-00-11-22", "children": ["D01"]}
    (device,) = parse(document(entry("a", gateway=gateway))).devices
    assert device.gateway is not None
    assert device.gateway.mac == "aa:bb:cc:00:11:22"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "the document is no object"),
        ({}, "mqtt is no object"),
        (document() | {"mqtt": {"host": "h", "port": "8883", "ca": "/ca"}}, "mqtt.port"),
        (document() | {"mqtt": {"host": "h", "port": 1}}, "mqtt.ca is missing"),
        (document() | {"devices": {}}, "devices is no list"),
        (document(entry("")), r"devices\[0\].name is missing"),
        (document(entry("a/b")), r"devices\[0\]: device 'a/b'"),
        (document(entry("a"), entry("b", site=7)), r"devices\[1\].site is no text"),
        (document(entry("a", gateway={"mac": "x"})), r"devices\[0\].gateway.mac"),
        (document(entry("a", gateway={"children": "D01"})), r"gateway.children is no list"),
    ],
)
def test_a_malformed_file_names_the_field(found: object, message: str) -> None:
    with pytest.raises(EndpointsError, match=message):
        parse(found)


def test_a_missing_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(EndpointsError, match="does not exist; start the platform first"):
        load(tmp_path / "none.json")
    broken = tmp_path / "endpoints.json"
    broken.write_text("{")
    with pytest.raises(EndpointsError, match="is no JSON"):
        load(broken)
    broken.write_text(json.dumps({"mqtt": 1}))
    with pytest.raises(EndpointsError, match=r"endpoints.json: mqtt is no object"):
        load(broken)
