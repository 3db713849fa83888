"""Whatever a dashboard is: the published schema and the model that checks it say the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from functions.api.models.dashboards import DashboardModel, dashboard_schema
from traksense.domain.dashboards import dashboard_faults, shown

SCHEMA = Draft202012Validator(dashboard_schema())
NAMES = ("temp", "door", "mode")

texts = st.text(st.characters(codec="utf-8"), max_size=3) | st.sampled_from(("Água", "\x00", " "))
labels = st.dictionaries(st.sampled_from(("pt-BR", "en", "fr")), texts, max_size=2)
# 1.0 is an integer to JSON Schema and none to the model.
numbers = st.integers(-1, 70_000) | st.sampled_from((0.5, -1.5))
scalars = st.none() | st.booleans() | numbers | texts
points = st.lists(
    st.fixed_dictionaries({"point_template": st.sampled_from(NAMES)}) | scalars, max_size=3
)
KINDS = ("timeseries", "status", "timeline", "kpi", "button")
fields = {
    "type": st.sampled_from((*KINDS, "gauge")),
    "points": points | st.none(),
    "title": labels | scalars,
    "width": st.integers(0, 13) | scalars,
    "range": st.sampled_from(("1h", "6h", "2h")),
    "show_limits": scalars,
    "stat": st.sampled_from(("last", "median")),
    "decimals": st.integers(-1, 7),
    "op": st.sampled_from(("reset_fault", "Reset", "")),
    "params": st.dictionaries(
        st.sampled_from(("pulse_ms", "value", "a b")), scalars | st.just([1]), max_size=2
    ),
    "confirm": labels,
}


def fitting(kind: str) -> dict[str, Any]:
    """A panel of each type as it is least."""
    if kind == "button":
        return {"type": kind, "op": "reset_fault"}
    name = "temp" if kind in ("kpi", "timeseries") else "door"
    return {"type": kind, "points": [{"point_template": name}]}


@st.composite
def panels(draw: st.DrawFn) -> dict[str, Any]:
    """A good panel, or one that up to two fields may spoil."""
    spoilt = draw(st.lists(st.sampled_from(sorted(fields)), max_size=2, unique=True))
    return fitting(draw(st.sampled_from(KINDS))) | {name: draw(fields[name]) for name in spoilt}


dashboards = st.fixed_dictionaries(
    {"panels": st.lists(panels(), max_size=2) | scalars},
    optional={"schema": st.sampled_from(("v1", "v1", "v2"))},
)


def read(document: Any) -> DashboardModel | None:
    try:
        return DashboardModel.model_validate_json(json.dumps(document))
    except ValidationError:
        return None


@given(dashboards)
def test_the_schema_and_the_model_take_the_same_dashboards(document: Any) -> None:
    assert SCHEMA.is_valid(document) == (read(document) is not None)


kinds = st.lists(st.sampled_from(KINDS), min_size=1, max_size=6)


@given(kinds, st.sets(st.sampled_from(NAMES)))
def test_what_is_kept_is_what_was_said_and_shows_contracted_points_alone(
    panels_of: list[str], contracted: set[str]
) -> None:
    model = read({"panels": [fitting(kind) for kind in panels_of]})
    assert model is not None
    dashboard = model.dashboard()
    assert DashboardModel.of(dashboard) == model
    assert not list(dashboard_faults(dashboard, {"temp": "num", "door": "bool", "mode": "enum"}))
    left = list(shown(dashboard, contracted))
    assert {name for panel in left for name in panel.names} <= contracted
    assert len(left) == sum(
        panel.type == "button" or panel.names[0] in contracted for panel in dashboard.panels
    )
