"""The demo's page against the demo's data."""

from __future__ import annotations

import re
from pathlib import Path

from local.demo import catalogue

DEMO = catalogue.load()
PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "demo.md").read_text("utf-8")


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its first two lines."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_page_lists_every_device_at_its_site_with_its_template() -> None:
    listed = set()
    for tenant, site, device, template, simulated in rows_of("Customers, sites and equipment"):
        own, _, gateway = device.partition(" behind ")
        for name in names(own):
            behind = names(gateway)[0] if gateway else None
            listed.add((names(tenant)[0], names(site)[0], name, behind, names(template)[0],
                        simulated == "yes"))  # fmt: skip
    expected = {
        (t.slug, d.site, d.name, None, d.template, d.simulated) for t, d in DEMO.devices()
    } | {
        (t.slug, d.site, child.name, d.name, child.template, d.simulated)
        for t, d in DEMO.devices()
        for child in d.children
    }
    assert listed == expected


def test_the_page_lists_every_template_with_its_adapter_and_its_points() -> None:
    listed = {}
    for code, adapter, points in rows_of("Templates"):
        kinds = dict(re.findall(r"`(\w+)` ([^\s,]+)", points))
        listed[names(code)[0]] = (next(iter(names(adapter)), None), kinds)
    expected = {
        t.code: (t.adapter, {p.name: p.unit or p.type for p in t.points}) for t in DEMO.templates
    }
    assert listed == expected


def test_the_page_lists_every_person() -> None:
    listed = {
        (names(email)[0], names(role)[0], next(iter(names(tenant)), None))
        for email, role, tenant in rows_of("People")
    }
    assert listed == {(user.email, user.role, user.tenant) for user in DEMO.users}
