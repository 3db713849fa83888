"""What the models send is what the vendors' adapters read, value for value."""

from __future__ import annotations

import pytest

from device_sim.history import telemetry_topic
from device_sim.models import POINTS, build
from tests.unit.device_sim.support_fleet import CONNECTED_KINDS, NOW, device
from traksense.vendors import decode

ADAPTERS = {
    "inverter-parsec": "parsec_v1",
    "inverter-je02": "je02_v1",
    "gateway-tds": "tds_v1",
    "gateway-khomp": "senml",
}


@pytest.mark.parametrize("kind", CONNECTED_KINDS)
@pytest.mark.parametrize("ts", [NOW, NOW + 0.123, NOW - 5 * 86_400.0 + 17])
def test_every_payload_decodes_with_nothing_rejected(kind: str, ts: float) -> None:
    model = build(device(kind))
    for payload in (*model.greeting(ts), *model.payloads(ts)):
        decoded = decode(payload, ADAPTERS.get(kind), int(ts * 1e6))
        assert decoded.rejections == []
        assert all(abs(reading.ts_us - ts * 1e6) < 1e6 for reading in decoded.readings)


@pytest.mark.parametrize("kind", CONNECTED_KINDS)
def test_the_readings_are_the_models_values(kind: str) -> None:
    model = build(device(kind))
    expected = model.at(NOW)
    # An alias counts where the template has a point of that name.
    known = {point.name for points in POINTS.values() for point in points}
    seen = {}
    for payload in model.payloads(NOW):
        for reading in decode(payload, ADAPTERS.get(kind), int(NOW * 1e6)).readings:
            name = reading.alias if reading.alias in known else reading.point
            seen[f"{reading.child}.{name}" if reading.child else name] = reading.value
    assert seen == expected


def test_a_je02_greets_with_its_metadata() -> None:
    model = build(device("inverter-je02", "inv-01"))
    (greeting,) = model.greeting(NOW)
    decoded = decode(greeting, "je02_v1", int(NOW * 1e6))
    assert decoded.readings == []
    assert "inv-01" in decoded.metadata.values()


def test_a_tds_gateway_reports_on_its_mac_addresss_topic() -> None:
    gateway = device("gateway-tds")
    model = build(gateway)
    assert telemetry_topic(gateway, model) == "tds_new/devices/02:00:00:00:00:01/telemetry"
    assert decode(model.payloads(NOW)[0], "tds_v1", int(NOW * 1e6)).mac == "02:00:00:00:00:01"
