"""Devices and their points, as people list and open them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Protocol
from uuid import UUID

from traksense.contracts.topics import DEVICE_NAME_PATTERN, SLUG_PATTERN
from traksense.domain.errors import NotFound
from traksense.domain.readings import PointType
from traksense.i18n.catalogue import Locale, text
from traksense.services.paging import Page, decode_cursor, encode_cursor, malformed_cursor
from traksense.services.scope import Scope

Status = Literal["active", "maintenance", "retired"]
"""What people decided about a device, whether it is online or not."""

_CURSOR: Final = "devices"
_SLUG: Final = re.compile(SLUG_PATTERN)
_NAME: Final = re.compile(DEVICE_NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Device:
    """A device with what it last let us know. Times in UTC."""

    id: UUID
    name: str
    tenant: str
    site: str
    template_code: str
    template_version: int
    is_online: bool
    last_seen: datetime | None
    metadata: dict[str, Any]
    created_at: datetime
    status: Status = "active"
    mac: str | None = None
    gateway_id: UUID | None = None
    gateway_code: str | None = None
    is_provisioned: bool = False
    """Whether it has a certificate that lets it in."""
    over_rate_at: datetime | None = None
    """The last minute in which it sent more messages than it may."""


@dataclass(frozen=True, slots=True)
class Point:
    """One telemetry channel of a device; ``label`` in the locale that was asked for."""

    id: UUID
    name: str
    label: str
    type: PointType
    unit: str | None
    enum_values: list[str] | None
    limits: dict[str, Any] | None
    is_contracted: bool


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices a list holds; None leaves a filter out."""

    q: str | None = None
    """Part of the name, in any case."""
    site: str | None = None
    online: bool | None = None
    status: Status | None = None
    gateway: UUID | None = None
    """Only the devices behind this one."""


class DeviceStore(Protocol):
    """Where devices are kept."""

    def page(
        self, scope: Scope, wanted: DeviceFilter, after: tuple[str, str] | None, limit: int
    ) -> Sequence[Device]:
        """Up to ``limit`` devices by (tenant slug, name), those after the given key."""

    def get(self, scope: Scope, device_id: UUID) -> Device | None:
        """One device."""

    def points(self, scope: Scope, device_id: UUID, locale: Locale) -> Sequence[Point] | None:
        """A device's points in its template's order; None where there is no such device."""

    def tenant_of(self, device_id: UUID) -> UUID | None:
        """The tenant of a device, in the sight of all tenants."""


class Devices:
    """What the API asks about devices."""

    def __init__(self, store: DeviceStore) -> None:
        self._store = store

    def page(
        self, scope: Scope, wanted: DeviceFilter, limit: int, cursor: str | None
    ) -> Page[Device]:
        """One page of the devices in sight, by tenant and name. Raises Malformed."""
        after = None if cursor is None else _key_of(cursor)
        found = self._store.page(scope, wanted, after, limit + 1)
        items = found[:limit]
        more = len(found) > limit
        last = encode_cursor(_CURSOR, items[-1].tenant, items[-1].name) if more else None
        return Page(items, last)

    def get(self, scope: Scope, device_id: UUID) -> Device:
        """One device. Raises NotFound, also for another tenant's."""
        found = self._store.get(scope, device_id)
        if found is None:
            raise NotFound(text("device.not_found"))
        return found

    def points(self, scope: Scope, device_id: UUID, locale: Locale) -> Sequence[Point]:
        """A device's points. Raises NotFound, also for another tenant's device."""
        found = self._store.points(scope, device_id, locale)
        if found is None:
            raise NotFound(text("device.not_found"))
        return found


def _key_of(cursor: str) -> tuple[str, str]:
    tenant, name = decode_cursor(_CURSOR, cursor, str, str)
    if not _SLUG.fullmatch(str(tenant)) or not _NAME.fullmatch(str(name)):
        raise malformed_cursor()
    return str(tenant), str(name)
