"""One simulated device of each kind, for tests."""

from __future__ import annotations

from device_sim.endpoints import Device, Gateway

NOW = 1_795_171_200.0
"""Friday 2026-11-20 10:40 UTC, 07:40 in São Paulo."""
DAY = 86_400.0

GATEWAYS = {
    "gateway-tds": Gateway("02:00:00:00:00:01", ("D01", "D02")),
    "gateway-khomp": Gateway(None, ("02000000a0000001", "02000000a0000002")),
}
CONNECTED_KINDS = (
    "chiller-v1",
    "generic",
    "vaccine-fridge",
    "inverter-parsec",
    "inverter-je02",
    "gateway-tds",
    "gateway-khomp",
)


def device(template: str | None, name: str = "device-1") -> Device:
    gateway = GATEWAYS.get(template or "")
    return Device("acme", "plant", name, None, None, template=template, gateway=gateway)
