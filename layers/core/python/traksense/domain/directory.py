"""Devices and points as ingestion knows them: what a topic and a name mean."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec

from .readings import TS_BITS, PointType


class Point(msgspec.Struct, frozen=True):
    """A point and the key that its readings carry."""

    point_sk: int
    type: PointType
    unit: str | None
    enum_values: frozenset[str] | None
    is_contracted: bool
    key: int = 0
    """What its readings' keys begin with (see TS_BITS): once a point, since shifting so far costs
    as much as a look into a dictionary. It follows from ``point_sk``, whatever is given."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "key", self.point_sk << TS_BITS)


class Device(msgspec.Struct, frozen=True):
    """A device, its points by name, and its children by code where it is a gateway."""

    device_id: UUID
    tenant_id: UUID
    tenant: str
    site: str
    name: str
    adapter: str | None
    offline_after: timedelta
    points: dict[str, Point]
    children: dict[str, Device] = {}
    keep_raw: bool = False
    """Whether its messages are kept as they come."""
    is_retired: bool = False
    """Taken out of service: its messages are refused."""
    max_messages_per_minute: int | None = None
    """None: as the platform says."""
