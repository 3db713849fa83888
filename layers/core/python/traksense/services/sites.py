"""Places of tenants: a hospital, a plant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from traksense.contracts.topics import SLUG_PATTERN
from traksense.domain.errors import Conflict, Invalid, NotFound
from traksense.i18n.catalogue import text
from traksense.services.paging import Page, decode_cursor, encode_cursor, malformed_cursor
from traksense.services.scope import Scope

_CURSOR: Final = "sites"
_SLUG: Final = re.compile(SLUG_PATTERN)


@dataclass(frozen=True, slots=True)
class Site:
    """A place of a tenant. ``tenant`` and ``slug`` stand in its devices' topics."""

    id: UUID
    tenant: str
    slug: str
    name: str
    created_at: datetime


class SiteStore(Protocol):
    """Where sites are kept."""

    def page(self, scope: Scope, after: tuple[str, str], limit: int) -> Sequence[Site]:
        """Up to ``limit`` sites by (tenant slug, slug), those after a key."""

    def get(self, scope: Scope, site_id: UUID) -> Site | None:
        """One site."""

    def add(self, tenant_id: UUID, slug: str, name: str) -> Site | None:
        """A new site; None where its tenant has one of this slug."""

    def rename(self, scope: Scope, site_id: UUID, name: str) -> Site | None:
        """The site with another name; None where there is none."""

    def remove(self, scope: Scope, site_id: UUID) -> bool | None:
        """Whether the site is gone: None where there is none, False while it has devices."""


class Sites:
    """What the API asks about sites."""

    def __init__(self, store: SiteStore) -> None:
        self._store = store

    def page(self, scope: Scope, limit: int, cursor: str | None) -> Page[Site]:
        """One page of the sites in sight, by tenant and slug. Raises Malformed."""
        after = ("", "") if cursor is None else _key_of(cursor)
        found = self._store.page(scope, after, limit + 1)
        items = found[:limit]
        more = len(found) > limit
        last = encode_cursor(_CURSOR, items[-1].tenant, items[-1].slug) if more else None
        return Page(items, last)

    def get(self, scope: Scope, site_id: UUID) -> Site:
        """One site. Raises NotFound, also for another tenant's."""
        return _found(self._store.get(scope, site_id))

    def create(self, scope: Scope, slug: str, name: str) -> Site:
        """A new site of the scope's tenant. Raises Conflict, and Invalid where none was chosen."""
        if scope.tenant_id is None:
            message = text("tenant.choose")
            raise Invalid(message, (("query.tenant", message),))
        made = self._store.add(scope.tenant_id, slug, name)
        if made is None:
            raise Conflict(text("site.slug_taken", slug=slug))
        return made

    def rename(self, scope: Scope, site_id: UUID, name: str) -> Site:
        """The site with another name. Raises NotFound."""
        return _found(self._store.rename(scope, site_id, name))

    def remove(self, scope: Scope, site_id: UUID) -> None:
        """Remove a site without devices. Raises NotFound and Conflict."""
        is_gone = self._store.remove(scope, site_id)
        if is_gone is None:
            raise NotFound(text("site.not_found"))
        if not is_gone:
            raise Conflict(text("site.has_devices"))


def _found(site: Site | None) -> Site:
    if site is None:
        raise NotFound(text("site.not_found"))
    return site


def _key_of(cursor: str) -> tuple[str, str]:
    tenant, slug = (str(part) for part in decode_cursor(_CURSOR, cursor, str, str))
    if not _SLUG.fullmatch(tenant) or not _SLUG.fullmatch(slug):
        raise malformed_cursor()
    return tenant, slug
