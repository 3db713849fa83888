"""Tenants as operators list, make and change them."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final, Protocol
from uuid import UUID

from traksense.contracts.topics import SLUG_PATTERN
from traksense.domain.errors import Conflict, Invalid, NotFound
from traksense.i18n.catalogue import text
from traksense.services.paging import Page, decode_cursor, encode_cursor, malformed_cursor
from traksense.services.scope import Scope
from traksense.services.series_levels import Level

_CURSOR: Final = "tenants"
_SLUG: Final = re.compile(SLUG_PATTERN)

Fields = Mapping[str, str | int | bool | None]
"""Columns of ``public.tenants`` to set; what is not in it stays, None is the platform's default."""

RETENTION_FIELDS: Final[Mapping[str, Level]] = {
    "raw_retention_days": "raw",
    "retention_1m_days": "1m",
    "retention_5m_days": "5m",
    "retention_1h_days": "1h",
}


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer organisation. A limit or retention (days) that is None is the platform's."""

    id: UUID
    slug: str
    name: str
    time_zone: str
    locale: str
    commands_enabled: bool
    max_devices: int | None
    max_users: int | None
    requests_per_minute: int | None
    user_requests_per_minute: int | None
    raw_retention_days: int | None
    retention_1m_days: int | None
    retention_5m_days: int | None
    retention_1h_days: int | None
    created_at: datetime
    erasing_at: datetime | None
    """When its erasure was asked for; None where it was not."""


class TenantRegistryStore(Protocol):
    """Where tenants are kept, in the sight of all of them."""

    def page(self, only: UUID | None, q: str | None, after: str, limit: int) -> Sequence[Tenant]:
        """Up to ``limit`` tenants by slug, those after a slug; ``only`` one of them."""

    def find(self, slug: str) -> Tenant | None:
        """The tenant with this slug, also one that is being erased."""

    def id_of(self, slug: str) -> UUID | None:
        """The id of a tenant by slug, also of one that is being erased."""

    def add(self, slug: str, fields: Fields) -> Tenant | None:
        """A new tenant; None where the slug is, or was, another's."""

    def change(self, tenant_id: UUID, fields: Fields) -> Tenant | None:
        """The tenant with these fields; None where it is gone or being erased."""

    def knows_time_zone(self, name: str) -> bool:
        """Whether the database can compute in this time zone."""


class TenantRegistry:
    """What operators ask about tenants."""

    def __init__(self, store: TenantRegistryStore, retention: Mapping[Level, timedelta]) -> None:
        """``retention`` is the platform's, which no tenant's may exceed."""
        self._store = store
        self._retention = retention

    def page(self, scope: Scope, q: str | None, limit: int, cursor: str | None) -> Page[Tenant]:
        """One page of the tenants in sight, by slug. Raises Malformed."""
        after = "" if cursor is None else _slug_of(cursor)
        found = self._store.page(scope.tenant_id, q, after, limit + 1)
        items = found[:limit]
        more = len(found) > limit
        return Page(items, encode_cursor(_CURSOR, items[-1].slug) if more else None)

    def get(self, scope: Scope, slug: str) -> Tenant:
        """One tenant, also while it is being erased. Raises NotFound."""
        found = self._store.find(slug)
        if found is None or scope.tenant_id not in (None, found.id):
            raise _not_found(slug)
        return found

    def create(self, slug: str, fields: Fields) -> Tenant:
        """A new tenant.

        Raises Conflict where the slug is taken, or was an erased tenant's, and Invalid.
        """
        self._check(fields)
        made = self._store.add(slug, fields)
        if made is None:
            raise Conflict(text("tenant.slug_taken", slug=slug))
        return made

    def change(self, scope: Scope, slug: str, fields: Fields) -> Tenant:
        """The tenant with other fields. Raises NotFound, Invalid, and Conflict where it goes."""
        tenant_id = self._id_of(scope, slug)
        self._check(fields)
        changed = self._store.change(tenant_id, fields)
        if changed is not None:
            return changed
        if self._store.find(slug) is None:
            raise _not_found(slug)
        raise Conflict(text("tenant.being_erased", slug=slug))

    def _id_of(self, scope: Scope, slug: str) -> UUID:
        found = self._store.id_of(slug)
        if found is None or scope.tenant_id not in (None, found):
            raise _not_found(slug)
        return found

    def _check(self, fields: Fields) -> None:
        errors: list[tuple[str, str]] = []
        zone = fields.get("time_zone")
        if isinstance(zone, str) and not self._is_time_zone(zone):
            errors.append(("body.time_zone", text("tenant.unknown_time_zone")))
        for field, level in RETENTION_FIELDS.items():
            days, most = fields.get(field), self._retention[level].days
            if isinstance(days, int) and days > most:
                where = f"body.retention.{level}_days"
                errors.append((where, text("validation.less_than_equal", le=most)))
        if errors:
            raise Invalid(text("problem.invalid.detail"), tuple(errors))

    def _is_time_zone(self, name: str) -> bool:
        # Of the tz database, because browsers compute in it too, and known to the server, because
        # months are computed there; either alone knows names that the other does not.
        return name in _time_zones() and self._store.knows_time_zone(name)


@cache
def _time_zones() -> frozenset[str]:
    # What is in the tz database and is no place: the machine's own zone, and a stand-in.
    return frozenset(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"})


def _not_found(slug: str) -> NotFound:
    return NotFound(text("tenant.not_found", slug=slug))


def _slug_of(cursor: str) -> str:
    (slug,) = decode_cursor(_CURSOR, cursor, str)
    if not _SLUG.fullmatch(str(slug)):
        raise malformed_cursor()
    return str(slug)
