"""Devices and points as ingestion knows them: what a topic and a name mean."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import msgspec

from .readings import PointType


class Point(msgspec.Struct, frozen=True):
    """A point and the key that its readings carry."""

    point_sk: int
    type: PointType
    unit: str | None
    enum_values: frozenset[str] | None
    is_contracted: bool


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
