"""What a device's page shows: its template's panels over the points that it has under contract.

Made when it is asked for and stored nowhere, so that it never disagrees with the points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from traksense.domain.dashboards import (
    DEFAULT_RANGE,
    MOST_POINTS,
    Dashboard,
    Panel,
    PanelPoint,
    PanelType,
    Range,
    Statistic,
    shown,
)
from traksense.domain.errors import NotFound
from traksense.domain.labels import Labels, label
from traksense.domain.readings import PointType
from traksense.domain.templates import Polarity
from traksense.i18n.catalogue import LOCALES, Locale, text, translate
from traksense.services.scope import Scope


class ContractedPoint(msgspec.Struct, frozen=True):
    """A point that a dashboard may show."""

    id: UUID
    name: str
    type: PointType
    labels: Labels
    unit: str | None
    enum_values: list[str] | None
    polarity: Polarity | None
    hysteresis: float | None
    limits: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Showing:
    """A device with what its dashboard is made of."""

    device_id: UUID
    template_code: str
    template_version: int
    dashboard: Dashboard | None
    """None: the template leaves it to us."""
    points: Sequence[ContractedPoint]
    """In the template's order."""


@dataclass(frozen=True, slots=True)
class PointShown:
    """A point in a panel; ``label`` in the caller's language."""

    point_id: UUID
    name: str
    label: str
    type: PointType
    unit: str | None
    enum_values: list[str] | None
    polarity: Polarity | None
    hysteresis: float | None
    limits: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class PanelShown:
    """A panel of a device; texts in the caller's language."""

    type: PanelType
    title: str
    width: int | None
    points: list[PointShown]
    range: Range
    show_limits: bool
    stat: Statistic
    decimals: int | None
    op: str | None
    params: Mapping[str, Any]
    confirm: str | None


@dataclass(frozen=True, slots=True)
class DashboardConfig:
    """A device's dashboard, ready to be shown."""

    device_id: UUID
    template_code: str
    template_version: int
    is_generated: bool
    """Whether the template has none, and this one was made from the points."""
    panels: list[PanelShown]


class DashboardStore(Protocol):
    """Where devices and their templates' dashboards are kept."""

    def showing(self, scope: Scope, device_id: UUID) -> Showing | None:
        """A device with what its dashboard is made of, in one round trip."""


class Dashboards:
    """What the API asks about dashboards."""

    def __init__(self, store: DashboardStore) -> None:
        self._store = store

    def of(self, scope: Scope, device_id: UUID, locale: Locale) -> DashboardConfig:
        """The dashboard of a device. Raises NotFound, also for another tenant's."""
        found = self._store.showing(scope, device_id)
        if found is None:
            raise NotFound(text("device.not_found"))
        dashboard = found.dashboard or generated(found.points)
        points = {point.name: point for point in found.points}
        return DashboardConfig(
            device_id=found.device_id,
            template_code=found.template_code,
            template_version=found.template_version,
            is_generated=found.dashboard is None,
            panels=[
                _panel(panel, [points[name] for name in panel.names], locale)
                for panel in shown(dashboard, points.keys())
            ],
        )


_STATES: Final = frozenset({"bool", "enum"})


def generated(points: Sequence[ContractedPoint]) -> Dashboard:
    """A dashboard for points that nobody made one for.

    What is said in words first, then one chart a unit, then how states changed. Numbers without a
    unit have a chart each: nothing says that one scale would do for two of them.
    """
    words = [point.name for point in points if point.type != "num"]
    units: dict[tuple[str | None, str], list[str]] = {}
    for point in points:
        if point.type == "num":
            group = (point.unit, "" if point.unit else point.name)
            units.setdefault(group, []).append(point.name)
    states = [point.name for point in points if point.type in _STATES]
    charts = [
        panel
        for (unit, _), names in units.items()
        for panel in _panels("timeseries", names, _titled(unit, names))
    ]
    return Dashboard((*_panels("status", words), *charts, *_panels("timeline", states)))


def _panels(kind: PanelType, names: Sequence[str], title: Labels | None = None) -> Iterator[Panel]:
    """As many panels as the points need."""
    most = MOST_POINTS[kind]
    for first in range(0, len(names), most):
        points = tuple(PanelPoint(name) for name in names[first : first + most])
        yield Panel(kind, points, title or {})


def _titled(unit: str | None, names: Sequence[str]) -> Labels:
    if unit is None or len(names) == 1:
        return {}
    return {locale: translate(locale, "dashboard.in_unit", {"unit": unit}) for locale in LOCALES}


def _panel(panel: Panel, points: Sequence[ContractedPoint], locale: Locale) -> PanelShown:
    return PanelShown(
        type=panel.type,
        title=label(panel.title, locale, _title(panel, points, locale)),
        width=panel.width,
        points=[_point(point, locale) for point in points],
        range=panel.range or DEFAULT_RANGE,
        show_limits=panel.show_limits is not False,
        stat=panel.stat or "last",
        decimals=panel.decimals,
        op=panel.op,
        params=panel.params,
        confirm=label(panel.confirm, locale, "") or None,
    )


def _title(panel: Panel, points: Sequence[ContractedPoint], locale: Locale) -> str:
    """A title for a panel that has none: its one point's, else what it is."""
    if panel.op is not None:
        return panel.op
    if len(points) == 1:
        return label(points[0].labels, locale, points[0].name)
    return translate(locale, f"dashboard.{panel.type}")


def _point(point: ContractedPoint, locale: Locale) -> PointShown:
    return PointShown(
        point_id=point.id,
        name=point.name,
        label=label(point.labels, locale, point.name),
        type=point.type,
        unit=point.unit,
        enum_values=point.enum_values,
        polarity=point.polarity,
        hysteresis=point.hysteresis,
        limits=point.limits,
    )
