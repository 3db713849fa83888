"""Kinds of equipment: what a template says, what is wrong with one, and how two versions differ.

A template is looked at as a whole, so that its author reads every fault at once. Structs rather
than models: the API, the database and the demo's files all hold them in this form.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from . import units
from .dashboards import Dashboard, dashboard_faults
from .faults import Fault
from .labels import Labels
from .readings import PointType

Polarity = Literal["normal", "inverted"]
"""Which value of a ``bool`` is the alarming one: ``normal`` true (a fault contact that closes),
``inverted`` false (a contact that is closed as long as all is well). Without it neither is: a
compressor that runs or does not."""

CODE_PATTERN: Final = "[a-z0-9_-]{1,64}"
POINT_NAME_PATTERN: Final = "[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,63}"
"""What RFC 8428, section 4.5.1, lets a name be, and a leading underscore."""
MOST_POINTS: Final = 500
DEFAULT_OFFLINE_AFTER_S: Final = 300

_CODE: Final = re.compile(CODE_PATTERN)
_POINT_NAME: Final = re.compile(POINT_NAME_PATTERN)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Bounds of what is normal, in the point's unit; None: there is none on this side."""

    low: float | None = None
    high: float | None = None


class PointTemplate(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A telemetry channel that such equipment has."""

    name: str
    type: PointType
    labels: Labels = {}
    unit: str | None = None
    """Of a ``num`` only. A value in another unit is converted where the factor is known."""
    enum_values: tuple[str, ...] | None = None
    """Of an ``enum``, and of every one."""
    polarity: Polarity | None = None
    hysteresis: float | None = None
    """How far inside its limit a value comes back before it counts as normal, in the unit."""
    limits: Limits | None = None


class DeviceTemplate(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True
):
    """A kind of equipment, as its author writes it."""

    code: str
    name: str
    points: tuple[PointTemplate, ...]
    vendor: str | None = None
    adapter: str | None = None
    """Reads the payloads; None: their shape decides."""
    offline_after_s: int = DEFAULT_OFFLINE_AFTER_S
    """Silence after which such a device counts as offline."""
    keep_raw: bool = False
    """Whether its messages are kept as they came."""
    max_messages_per_minute: int | None = None
    """None: as the platform says."""
    dashboard: Dashboard | None = None
    """None: one is made from the points."""


def faults(template: DeviceTemplate, adapters: Collection[str]) -> list[Fault]:
    """All that is wrong with a template, each with its place in it; none: it may be stored.

    ``adapters`` are the names that there are.
    """
    return [
        *_head_faults(template, adapters),
        *(
            fault.within(f"points.{position}")
            for position, point in enumerate(template.points)
            for fault in point_faults(point)
        ),
        *_repeated("points", [point.name for point in template.points], ".name", "name_twice"),
        *(
            fault.within("dashboard")
            for fault in dashboard_faults(
                template.dashboard, {point.name: point.type for point in template.points}
            )
        ),
    ]


def _head_faults(template: DeviceTemplate, adapters: Collection[str]) -> Iterator[Fault]:
    if not _CODE.fullmatch(template.code):
        yield Fault("code", "code")
    if not template.name.strip():
        yield Fault("name", "empty")
    if template.adapter is not None and template.adapter not in adapters:
        yield Fault("adapter", "adapter", {"adapters": ", ".join(sorted(adapters))})
    if template.offline_after_s <= 0:
        yield Fault("offline_after_s", "not_positive")
    if template.max_messages_per_minute is not None and template.max_messages_per_minute <= 0:
        yield Fault("max_messages_per_minute", "not_positive")
    if len(template.points) > MOST_POINTS:
        yield Fault("points", "too_many_points", {"most": MOST_POINTS})


def point_faults(point: PointTemplate) -> Iterator[Fault]:
    """What is wrong with a point by itself."""
    if not _POINT_NAME.fullmatch(point.name) or _UUID.fullmatch(point.name):
        yield Fault("name", "point_name")
    for locale, label in point.labels.items():
        if not label.strip():
            yield Fault(f"labels.{locale}", "empty")
    yield from _unit_faults(point)
    yield from _enum_faults(point)
    if point.polarity is not None and point.type != "bool":
        yield Fault("polarity", "only_of", {"types": "bool"})
    if point.hysteresis is not None and point.type != "num":
        yield Fault("hysteresis", "only_of", {"types": "num"})
    if point.limits is not None and point.type != "num":
        yield Fault("limits", "only_of", {"types": "num"})
    yield from limit_faults(point.limits, point.hysteresis)


def _unit_faults(point: PointTemplate) -> Iterator[Fault]:
    if point.unit is None:
        return
    if point.type != "num":
        yield Fault("unit", "only_of", {"types": "num"})
    elif not point.unit.strip() or point.unit != point.unit.strip():
        yield Fault("unit", "unit")
    elif meant := units.miswritten(point.unit):
        # Free text is as good as any unit, but nobody means a °c that is never converted.
        yield Fault("unit", "unit_miswritten", {"units": ", ".join(meant)})


def _enum_faults(point: PointTemplate) -> Iterator[Fault]:
    if (point.type == "enum") != (point.enum_values is not None):
        yield Fault("enum_values", "enum_values")
        return
    values = point.enum_values or ()
    if point.type == "enum" and not values:
        yield Fault("enum_values", "empty")
    for position, value in enumerate(values):
        if not value:
            yield Fault(f"enum_values.{position}", "empty")
    yield from _repeated("enum_values", values, "", "value_twice")


def limit_faults(limits: Limits | None, hysteresis: float | None) -> Iterator[Fault]:
    """What is wrong with the bounds of a ``num`` and the way back inside them."""
    if hysteresis is not None and hysteresis < 0:
        yield Fault("hysteresis", "negative")
    if limits is None:
        return
    if limits.low is None and limits.high is None:
        yield Fault("limits", "limits_empty")
    if limits.low is None or limits.high is None:
        return
    if limits.low >= limits.high:
        yield Fault("limits", "limits_order")
    elif hysteresis is not None and hysteresis >= limits.high - limits.low:
        # Whatever is that far from one limit is beyond the other: no value would be normal.
        yield Fault("hysteresis", "hysteresis_too_wide")


def _repeated(where: str, values: Sequence[str], ending: str, rule: str) -> Iterator[Fault]:
    often = {value for value, times in Counter(values).items() if times > 1}
    seen: set[str] = set()
    for position, value in enumerate(values):
        if value in often and value in seen:
            yield Fault(f"{where}.{position}{ending}", rule, {"name": value[:64]})
        seen.add(value)


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a point that is in both versions."""

    name: str
    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """What a device gets, loses and sees changed by another version of its template."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    incompatible: list[Change] = field(default_factory=list)
    """Changes of type or unit: what is stored under the name would mean something else."""
    settings: list[Change] = field(default_factory=list)
    """What is not about a point; ``name`` is that of the field."""
    dashboard_changed: bool = False


_MEANING: Final = ("type", "unit")
_OF_POINTS: Final = ("labels", "enum_values", "polarity", "hysteresis", "limits")
_SETTINGS: Final = (
    "name",
    "vendor",
    "adapter",
    "offline_after_s",
    "keep_raw",
    "max_messages_per_minute",
)


def difference(before: DeviceTemplate, after: DeviceTemplate) -> Difference:
    """What changes for a device that goes from one version to another."""
    old = {point.name: point for point in before.points}
    new = {point.name: point for point in after.points}
    both = [(old[name], point) for name, point in new.items() if name in old]
    return Difference(
        added=[name for name in new if name not in old],
        removed=[name for name in old if name not in new],
        changed=[change for pair in both for change in _changes(*pair, _OF_POINTS)],
        incompatible=[change for pair in both for change in _changes(*pair, _MEANING)],
        settings=[
            Change(name, name, getattr(before, name), getattr(after, name))
            for name in _SETTINGS
            if getattr(before, name) != getattr(after, name)
        ],
        dashboard_changed=before.dashboard != after.dashboard,
    )


def _changes(
    before: PointTemplate, after: PointTemplate, fields: Sequence[str]
) -> Iterator[Change]:
    for name in fields:
        was, becomes = getattr(before, name), getattr(after, name)
        if was != becomes:
            yield Change(after.name, name, msgspec.to_builtins(was), msgspec.to_builtins(becomes))
