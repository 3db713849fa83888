from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from functions.api.models.dashboards import dashboard_schema
from local.demo import catalogue
from traksense.contracts import topics
from traksense.domain.templates import Limits

DEMO = catalogue.load()
DATA = Path(catalogue.__file__).parent / "data"


def test_every_device_has_a_legal_topic_and_a_template_of_the_demo() -> None:
    for tenant, device in DEMO.devices():
        assert device.site in {site.slug for site in tenant.sites}
        topics.device_topic(tenant.slug, device.site, device.name, topics.Channel.TELEM)
        DEMO.template(device.template)
        for child in device.children:
            DEMO.template(child.template)
            assert len(child.code) <= 64


def test_names_are_unique_where_the_platform_wants_them_so() -> None:
    macs = [device.mac for _, device in DEMO.devices() if device.mac is not None]
    assert len(macs) == len(set(macs))
    assert all(mac == topics.normalise_mac(mac) for mac in macs)
    for tenant in DEMO.tenants:
        names = [d.name for d in tenant.devices]
        names += [child.name for d in tenant.devices for child in d.children]
        assert len(names) == len(set(names))
        assert len(tenant.sites) == len({site.slug for site in tenant.sites})
    for template in DEMO.templates:
        assert len(template.points) == len({point.name for point in template.points})


def test_there_are_two_tenants_with_two_or_three_sites_each() -> None:
    assert [tenant.slug for tenant in DEMO.tenants] == ["umc", "globex"]
    assert all(2 <= len(tenant.sites) <= 3 for tenant in DEMO.tenants)


def test_about_twenty_devices_are_simulated() -> None:
    simulated = [d for _, d in DEMO.devices() if d.simulated]
    assert 18 <= sum(1 + len(d.children) for d in simulated) <= 25


def test_each_tenant_has_an_idle_device_with_points_of_every_type() -> None:
    for tenant in DEMO.tenants:
        idle = [d for d in tenant.devices if not d.simulated]
        assert idle, tenant.slug
        types = {p.type for d in idle for p in DEMO.template(d.template).points}
        assert types == {"num", "bool", "enum", "text"}
        assert all(DEMO.template(d.template).adapter is None for d in idle)


def test_each_tenant_has_an_administrator_and_a_viewer_and_the_platform_an_operator() -> None:
    who = {(user.role, user.tenant) for user in DEMO.users}
    tenants = [tenant.slug for tenant in DEMO.tenants]
    assert who == {("internal_ops", None)} | {
        (role, slug) for role in ("customer_admin", "viewer") for slug in tenants
    }


def test_people_are_fictional_and_each_has_an_address_of_their_own() -> None:
    addresses = [user.email for user in DEMO.users]
    assert all(address.endswith(".example") for address in addresses)
    assert len(addresses) == len(set(addresses))


def test_every_point_is_named_in_both_languages_and_has_what_its_type_needs() -> None:
    for template in DEMO.templates:
        for point in template.points:
            where = f"{template.code}/{point.name}"
            assert set(point.labels) == {"pt-BR", "en"}, where
            assert all(point.labels.values()), where
            assert (point.type == "enum") == bool(point.enum_values), where
            if point.limits is not None:
                assert point.type == "num", where
                low, high = point.limits.low, point.limits.high
                assert low is None or high is None or low < high, where


def test_a_vaccine_fridge_is_limited_to_two_to_eight_degrees() -> None:
    limits = {p.name: p.limits for p in DEMO.template("vaccine-fridge").points}
    assert Limits(low=2.0, high=8.0) in limits.values()


def test_a_template_that_breaks_a_rule_is_named_with_its_fault() -> None:
    fridge = DEMO.template("vaccine-fridge")
    broken = msgspec.structs.replace(fridge, adapter="no_such")
    with pytest.raises(ValueError, match="vaccine-fridge: adapter"):
        catalogue.checked((broken,))


def test_dashboards_of_the_demo_fit_the_published_schema() -> None:
    validator = Draft202012Validator(dashboard_schema())
    found = [t.dashboard for t in DEMO.templates if t.dashboard is not None]
    assert len(found) >= 6
    for dashboard in found:
        validator.validate(json.loads(msgspec.json.encode(dashboard)))
    kinds = {panel.type for dashboard in found for panel in dashboard.panels}
    assert kinds == {"timeseries", "status", "timeline", "kpi", "button"}


def test_every_alarming_contact_of_the_demo_says_which_value_alarms() -> None:
    polarity = {p.name: p.polarity for t in DEMO.templates for p in t.points if p.type == "bool"}
    assert {name for name, said in polarity.items() if said == "normal"} == {
        "alarme", "door_open", "fault",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["templates.json", "fleet.json", "users.json"])
def test_a_field_that_nobody_knows_is_refused_not_ignored(name: str) -> None:
    document = json.loads((DATA / name).read_bytes())
    next(iter(document.values()))[0]["surprise"] = 1
    kind = {
        "templates.json": catalogue._Templates,
        "fleet.json": catalogue._Fleet,
        "users.json": catalogue._Users,
    }[name]
    with pytest.raises(msgspec.ValidationError, match="surprise"):
        msgspec.json.decode(json.dumps(document), type=kind)
