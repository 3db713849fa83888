"""Dashboards: panels over the points of a template, and what of them a device can show.

A template's panel names points as the template does; a device shows a panel as far as it has
those points under contract.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from .faults import Fault
from .labels import Labels
from .readings import PointType

PanelType = Literal["timeseries", "status", "timeline", "kpi", "button"]
Range = Literal["1h", "6h", "24h", "7d", "30d"]
"""The span that a panel shows when it is opened, up to now."""
Statistic = Literal["last", "avg", "min", "max", "sum", "count"]

DEFAULT_RANGE: Final[Range] = "24h"
MOST_PANELS: Final = 100
COLUMNS: Final = 12
"""The grid that panels have their width in."""

FITTING: Final[Mapping[PanelType, frozenset[PointType]]] = {
    "timeseries": frozenset({"num"}),
    "status": frozenset({"bool", "enum", "text"}),
    "timeline": frozenset({"bool", "enum"}),
    "kpi": frozenset({"num"}),
    "button": frozenset({"num", "bool", "enum", "text"}),
}
"""The types of points that each panel can show; a button may hang on a point of any type."""
MOST_POINTS: Final[Mapping[PanelType, int]] = {
    "timeseries": 10,
    "status": 50,
    "timeline": 10,
    "kpi": 1,
    "button": 1,
}
"""Ten are what one query of readings takes."""

PULSE: Final = "pulse_ms"
LONGEST_PULSE_MS: Final = 60_000


class PanelPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A point that a panel shows, by its name in the template."""

    point_template: str


class Panel(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One panel. Which fields belong to which type is said by the schema of dashboards."""

    type: PanelType
    points: tuple[PanelPoint, ...] = ()
    title: Labels = {}
    """By locale; empty: from the points."""
    width: int | None = None
    """Columns of twelve; None: the page decides."""
    range: Range | None = None
    show_limits: bool | None = None
    stat: Statistic | None = None
    decimals: int | None = None
    op: str | None = None
    params: Mapping[str, str | bool | int | float] = {}
    confirm: Labels = {}
    """What a person is asked before a button does its work, by locale; empty: nothing."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its points."""
        return tuple(point.point_template for point in self.points)


class Dashboard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The panels of a kind of equipment, in the order that they are shown in."""

    panels: tuple[Panel, ...]
    schema: Literal["v1"] = "v1"


def dashboard_faults(
    dashboard: Dashboard | None, points: Mapping[str, PointType]
) -> Iterator[Fault]:
    """What is wrong with a dashboard over these points."""
    if dashboard is None:
        return
    if not 1 <= len(dashboard.panels) <= MOST_PANELS:
        yield Fault("panels", "panels", {"most": MOST_PANELS})
    for position, panel in enumerate(dashboard.panels):
        for fault in _panel_faults(panel, points):
            yield fault.within(f"panels.{position}")


def _panel_faults(panel: Panel, points: Mapping[str, PointType]) -> Iterator[Fault]:
    least = 0 if panel.type == "button" else 1
    if not least <= len(panel.points) <= MOST_POINTS[panel.type]:
        yield Fault("points", "panel_points", {"least": least, "most": MOST_POINTS[panel.type]})
    for position, name in enumerate(panel.names):
        where = f"points.{position}.point_template"
        if name not in points:
            yield Fault(where, "no_such_point", {"name": name[:64]})
        elif points[name] not in FITTING[panel.type]:
            fitting = ", ".join(sorted(FITTING[panel.type]))
            yield Fault(where, "unfitting", {"name": name, "type": points[name], "types": fitting})
        if name in panel.names[:position]:
            yield Fault(where, "name_twice", {"name": name[:64]})
    if panel.type == "button" and not panel.op:
        yield Fault("op", "empty")
    pulse = panel.params.get(PULSE)
    if pulse is not None and not _is_pulse(pulse):
        yield Fault(f"params.{PULSE}", "pulse", {"most": LONGEST_PULSE_MS})


def _is_pulse(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LONGEST_PULSE_MS


def shown(dashboard: Dashboard, contracted: Collection[str]) -> Iterator[Panel]:
    """The panels that a device with these points shows, each with the points that it has.

    A panel that loses all its points goes with them; a button without a point stays.
    """
    for panel in dashboard.panels:
        left = tuple(point for point in panel.points if point.point_template in contracted)
        if left or not panel.points:
            yield msgspec.structs.replace(panel, points=left)
