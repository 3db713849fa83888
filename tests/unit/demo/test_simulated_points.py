"""The demo's templates against what the simulator really sends, read by the real adapters."""

from __future__ import annotations

import pytest

from device_sim.endpoints import Device, Gateway
from device_sim.models import build
from local.demo import catalogue
from traksense import vendors
from traksense.domain.readings import Reading

DEMO = catalogue.load()
NOON_S = 1_700_049_600
DAYS = 12

SIMULATED = [(tenant, device) for tenant, device in DEMO.devices() if device.simulated]


def readings_of(tenant: catalogue.Tenant, device: catalogue.Device) -> list[Reading]:
    """Twelve days, every five minutes, through the template's adapter."""
    codes = tuple(child.code for child in device.children)
    points = frozenset(point.name for point in DEMO.template(device.template).points)
    model = build(
        Device(
            tenant=tenant.slug,
            site=device.site,
            name=device.name,
            cert=None,
            key=None,
            template=device.template,
            gateway=Gateway(device.mac, codes) if codes else None,
            points=points,
        )
    )
    adapter = DEMO.template(device.template).adapter
    taken: list[Reading] = []
    for ts in range(NOON_S, NOON_S + DAYS * 86_400, 300):
        for payload in model.payloads(float(ts)):
            decoded = vendors.decode(payload, adapter, ts * 1_000_000)
            assert decoded.rejections == []
            assert decoded.readings
            taken += decoded.readings
    return taken


@pytest.mark.parametrize(
    ("tenant", "device"), SIMULATED, ids=[f"{t.slug}/{d.name}" for t, d in SIMULATED]
)
def test_a_template_has_the_points_types_and_units_that_its_model_sends(
    tenant: catalogue.Tenant, device: catalogue.Device
) -> None:
    templates = {child.code: child.template for child in device.children}
    sent: dict[tuple[str | None, str], set[tuple[str, str | None]]] = {}
    enum_values: dict[tuple[str | None, str], set[str]] = {}
    for reading in readings_of(tenant, device):
        template = DEMO.template(
            device.template if reading.child is None else templates[reading.child]
        )
        names = {point.name: point for point in template.points}
        name = reading.alias if reading.alias in names else reading.point
        assert name is not None
        key = (reading.child, name)
        sent.setdefault(key, set()).add((reading.type, reading.unit))
        if reading.type == "enum":
            enum_values.setdefault(key, set()).add(str(reading.value))

    expected = {
        (code, point.name): (point.type, point.unit)
        for code, template in [(None, device.template), *templates.items()]
        for point in DEMO.template(template).points
    }
    assert sent.keys() == expected.keys()
    for key, kinds in sent.items():
        assert len(kinds) == 1, key
        kind, unit = next(iter(kinds))
        assert kind == expected[key][0], key
        # A payload may leave its unit out (JE02's counters); one that it names is the point's.
        assert unit in (None, expected[key][1]), key
    for (code, name), values in enum_values.items():
        template = DEMO.template(device.template if code is None else templates[code])
        allowed = next(p.enum_values for p in template.points if p.name == name)
        assert allowed is not None
        assert values <= set(allowed)
        assert len(values) > 1, "a status that never changes makes a dull demo"


def test_every_template_that_somebody_simulates_is_covered() -> None:
    covered = {device.template for _, device in SIMULATED}
    covered |= {child.template for _, device in SIMULATED for child in device.children}
    idle = {device.template for _, device in DEMO.devices() if not device.simulated}
    assert covered | idle == {template.code for template in DEMO.templates}
    assert not covered & idle
