from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from traksense.domain import units
from traksense.domain.dashboards import Dashboard, Panel, PanelPoint, shown
from traksense.domain.templates import (
    DeviceTemplate,
    Limits,
    PointTemplate,
    difference,
    faults,
)

ADAPTERS = ("parsec_v1", "senml")


def template(*points: PointTemplate, **more: Any) -> DeviceTemplate:
    return DeviceTemplate(**{"code": "fridge", "name": "Fridge", "points": points, **more})


def num(name: str = "temp", **more: Any) -> PointTemplate:
    return PointTemplate(name, "num", **more)


def panel(kind: Any, *names: str, **more: Any) -> Panel:
    return Panel(kind, tuple(PanelPoint(name) for name in names), **more)


def found(subject: DeviceTemplate) -> list[tuple[str, str]]:
    return [(fault.where, fault.rule) for fault in faults(subject, ADAPTERS)]


def test_a_template_without_a_fault_has_none() -> None:
    points = (
        num(unit="°C", limits=Limits(2, 8), hysteresis=0.5, labels={"en": "Temperature"}),
        PointTemplate("door_open", "bool", polarity="normal"),
        PointTemplate("mode", "enum", enum_values=("OFF", "COOL")),
        PointTemplate("note", "text"),
        num("people", unit="pessoas"),
        num("A_percent_rh", unit="%"),
    )
    dashboard = Dashboard(
        (
            panel("timeseries", "temp", "people"),
            panel("status", "door_open", "mode", "note"),
            panel("timeline", "door_open", "mode"),
            panel("kpi", "temp", stat="max"),
            panel("button", op="reset_fault", params={"pulse_ms": 500}),
            panel("button", "door_open", op="close"),
        )
    )
    assert found(template(*points, adapter="senml", dashboard=dashboard)) == []


def test_every_fault_is_named_at_once_with_its_place() -> None:
    broken = template(
        num(unit="°c", limits=Limits(8, 2), hysteresis=-1),
        PointTemplate("temp", "bool", unit="V", enum_values=("A",), hysteresis=1.0),
        PointTemplate("mode", "enum", polarity="normal"),
        code="Fridge!",
        name=" ",
        adapter="nobody_v9",
        offline_after_s=0,
        max_messages_per_minute=0,
        dashboard=Dashboard((panel("kpi", "mode"), panel("timeseries", "gone"))),
    )
    assert set(found(broken)) == {
        ("code", "code"),
        ("name", "empty"),
        ("adapter", "adapter"),
        ("offline_after_s", "not_positive"),
        ("max_messages_per_minute", "not_positive"),
        ("points.0.unit", "unit_miswritten"),
        ("points.0.limits", "limits_order"),
        ("points.0.hysteresis", "negative"),
        ("points.1.name", "name_twice"),
        ("points.1.unit", "only_of"),
        ("points.1.enum_values", "enum_values"),
        ("points.1.hysteresis", "only_of"),
        ("points.2.enum_values", "enum_values"),
        ("points.2.polarity", "only_of"),
        ("dashboard.panels.0.points.0.point_template", "unfitting"),
        ("dashboard.panels.1.points.0.point_template", "no_such_point"),
    }


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        (num(""), [("points.0.name", "point_name")]),
        (num("a,b"), [("points.0.name", "point_name")]),
        (num("a" * 65), [("points.0.name", "point_name")]),
        (num("0a1b2c3d-0000-4000-8000-000000000000"), [("points.0.name", "point_name")]),
        (num(labels={"en": "\t"}), [("points.0.labels.en", "empty")]),
        (num(unit=" °C"), [("points.0.unit", "unit")]),
        (num(unit="KW"), [("points.0.unit", "unit_miswritten")]),
        (num(limits=Limits()), [("points.0.limits", "limits_empty")]),
        (num(limits=Limits(2, 2)), [("points.0.limits", "limits_order")]),
        (
            num(limits=Limits(2, 8), hysteresis=6.0),
            [("points.0.hysteresis", "hysteresis_too_wide")],
        ),
        (num(limits=Limits(high=8), hysteresis=60.0), []),
        (num(hysteresis=0.0), []),
        (PointTemplate("mode", "enum", enum_values=()), [("points.0.enum_values", "empty")]),
        (
            PointTemplate("mode", "enum", enum_values=("A", "B", "A")),
            [("points.0.enum_values.2", "value_twice")],
        ),
        (PointTemplate("on", "bool", limits=Limits(1, 2)), [("points.0.limits", "only_of")]),
        (PointTemplate("note", "text", polarity="normal"), [("points.0.polarity", "only_of")]),
    ],
)
def test_a_point_is_held_to_its_type(
    point: PointTemplate, expected: Sequence[tuple[str, str]]
) -> None:
    assert found(template(point)) == list(expected)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (panel("timeseries"), [("points", "panel_points")]),
        (panel("kpi", "temp", "temp2"), [("points", "panel_points")]),
        (panel("timeseries", "temp", "temp"), [("points.1.point_template", "name_twice")]),
        (panel("timeseries", "on"), [("points.0.point_template", "unfitting")]),
        (panel("timeline", "note"), [("points.0.point_template", "unfitting")]),
        (panel("status", "temp"), [("points.0.point_template", "unfitting")]),
        (panel("button"), [("op", "empty")]),
        (panel("button", op="x", params={"pulse_ms": True}), [("params.pulse_ms", "pulse")]),
        (panel("button", op="x", params={"pulse_ms": 60_001}), [("params.pulse_ms", "pulse")]),
    ],
)
def test_a_panel_shows_points_that_it_can_show(
    subject: Panel, expected: Sequence[tuple[str, str]]
) -> None:
    points = (
        num("temp"),
        num("temp2"),
        PointTemplate("on", "bool"),
        PointTemplate("note", "text"),
    )
    assert found(template(*points, dashboard=Dashboard((subject,)))) == [
        (f"dashboard.panels.0.{where}", rule) for where, rule in expected
    ]


def test_a_dashboard_has_a_panel() -> None:
    assert found(template(dashboard=Dashboard(()))) == [("dashboard.panels", "panels")]


def test_a_unit_is_miswritten_only_where_a_known_one_has_other_capitals() -> None:
    assert set(units.miswritten("mw")) == {"mW", "MW"}
    assert units.miswritten("°C") == ()
    assert units.miswritten("pessoas") == ()
    assert units.miswritten("H") == ()  # a henry is no hour


def test_a_panel_loses_points_that_are_not_contracted_and_goes_with_the_last() -> None:
    dashboard = Dashboard(
        (
            panel("timeseries", "temp", "gone"),
            panel("kpi", "gone"),
            panel("button", op="reset_fault"),
            panel("button", "gone", op="close"),
        )
    )
    assert list(shown(dashboard, {"temp"})) == [
        panel("timeseries", "temp"),
        panel("button", op="reset_fault"),
    ]


def test_a_difference_tells_what_comes_goes_changes_and_cannot() -> None:
    before = template(
        num(unit="°C", limits=Limits(2, 8)),
        num("pressure", unit="bar"),
        num("old"),
        PointTemplate("mode", "text"),
        adapter="senml",
    )
    after = template(
        num(unit="°C", limits=Limits(2, 7), hysteresis=0.5),
        num("pressure", unit="kPa"),
        PointTemplate("mode", "enum", enum_values=("A",)),
        num("new"),
        dashboard=Dashboard((panel("kpi", "temp"),)),
    )
    seen = difference(before, after)
    assert (seen.added, seen.removed) == (["new"], ["old"])
    assert [(c.name, c.field, c.before, c.after) for c in seen.changed] == [
        ("temp", "hysteresis", None, 0.5),
        ("temp", "limits", {"low": 2, "high": 8}, {"low": 2, "high": 7}),
        ("mode", "enum_values", None, ("A",)),
    ]
    assert [(c.name, c.field, c.before, c.after) for c in seen.incompatible] == [
        ("pressure", "unit", "bar", "kPa"),
        ("mode", "type", "text", "enum"),
    ]
    assert [(c.field, c.before, c.after) for c in seen.settings] == [("adapter", "senml", None)]
    assert seen.dashboard_changed
    assert difference(before, before).changed == []
