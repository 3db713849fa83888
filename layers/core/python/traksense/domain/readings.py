"""Readings as the adapters give them, before names are resolved: the heart of ingestion.

These are msgspec structs because tens of thousands of them are made per call; ``gc=False``
keeps them out of the garbage collector's sight (they hold no cycles).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Protocol

import msgspec

from .reasons import Reason

PointType = Literal["num", "bool", "enum", "text"]
Value = float | bool | str
"""``num`` is a float, ``bool`` a bool, ``enum`` and ``text`` a str."""

POINT_TYPES: Final[Mapping[str, PointType]] = {
    "float": "num",
    "num": "num",
    "bool": "bool",
    "enum": "enum",
    "text": "text",
}
"""Types as the platform's own payload declares them; ``float`` is another word for ``num``."""
PYTHON_TYPES: Final[Mapping[PointType, type]] = {
    "num": float,
    "bool": bool,
    "enum": str,
    "text": str,
}
"""The one type that a value of each has."""

TS_BITS: Final = 53
"""A reading's key is ``point_sk << 53 | ts_us``: sorting keys sorts by (point_sk, ts)."""
TS_MASK: Final = (1 << TS_BITS) - 1

MAX_PAYLOAD_BYTES: Final = 128 * 1024
MAX_TEXT_CHARS: Final = 4096
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Reading(msgspec.Struct, gc=False, frozen=True):
    """One value of one point at one instant, by the point's name."""

    point: str
    ts_us: int
    """Microseconds since the Unix epoch."""
    type: PointType
    value: Value
    unit: str | None = None
    """The unit that the device named; None when it named none. Only a ``num`` has one."""
    child: str | None = None
    """Code of the gateway's child device that it belongs to; None for the topic's own device."""
    alias: str | None = None
    """A more specific point name, taken instead where the device's template has it."""


class Rejection(msgspec.Struct, frozen=True):
    """A message, or one of its points, that cannot be accepted."""

    reason: Reason
    detail: str
    """What is wrong, for an operator; holds no more than a short excerpt of the input."""
    point: str | None = None
    """The point at fault; None when it is the whole message."""


class Decoded(msgspec.Struct):
    """What an adapter makes of one message."""

    readings: list[Reading] = []
    rejections: list[Rejection] = []
    meta: dict[str, Any] = {}
    """Facts of the message (firmware, source), stored once beside its first reading."""
    metadata: dict[str, Any] = {}
    """Facts of the device (model, hardware version), kept as its reported metadata."""
    metadata_child: str | None = None
    """Code of the child device that ``meta`` and ``metadata`` are about, if not the topic's own."""
    more_metadata: list[tuple[str | None, dict[str, Any]]] = []
    """Child device and metadata of each further device that the message describes."""
    mac: str | None = None
    """The MAC address that the payload claims, where it claims one."""


class SnapshotPoint(Protocol):
    """One value of a snapshot, as declared: its type is still to be compared with the point's."""

    @property
    def point(self) -> str:
        """The point's name."""

    @property
    def value(self) -> Value:
        """Finite, or a string that can be stored."""

    @property
    def declared(self) -> str:
        """One of POINT_TYPES."""

    @property
    def unit(self) -> str | None:
        """The unit that the device named; of a value that is no number it means nothing."""


class Snapshot(msgspec.Struct, frozen=True):
    """A message in its plainest form: what the topic's own device shows at one instant."""

    ts_us: int
    points: Sequence[SnapshotPoint]
    meta: Mapping[str, Any]


def to_microseconds(instant: datetime) -> int:
    """Microseconds since the Unix epoch of an aware datetime, exactly."""
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(ts_us: int) -> datetime:
    """The aware UTC datetime of microseconds since the Unix epoch, exactly."""
    return _EPOCH + timedelta(microseconds=ts_us)
