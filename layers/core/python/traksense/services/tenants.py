"""Tenants as a request needs them: an operator's choice by slug, and a customer's own profile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from traksense.contracts.topics import SLUG_PATTERN
from traksense.domain.errors import Forbidden, NotFound
from traksense.i18n.catalogue import DEFAULT_LOCALE, text
from traksense.services.cache import Cache
from traksense.services.scope import Scope

_SLUG: Final = re.compile(SLUG_PATTERN)
DEFAULT_TIME_ZONE: Final = "America/Sao_Paulo"


@dataclass(frozen=True, slots=True)
class TenantProfile:
    """What a person's screen needs to know of a tenant."""

    slug: str | None
    """None where no tenant was chosen."""
    time_zone: str
    locale: str


class TenantStore(Protocol):
    """Where tenants are kept."""

    def id_of(self, slug: str) -> UUID | None:
        """The id of a tenant by slug, in the sight of all tenants."""

    def profile(self, tenant_id: UUID) -> TenantProfile | None:
        """A tenant's profile in its own sight."""


class Tenants:
    """Tenants by slug and by id."""

    def __init__(self, store: TenantStore, cache: Cache | None = None) -> None:
        self._store = store
        self._cache = cache or Cache()

    def id_of(self, slug: str) -> UUID:
        """The id of the tenant with this slug. Raises NotFound."""
        found = None
        if _SLUG.fullmatch(slug):
            found = self._cache.get("tenant", slug, lambda: self._store.id_of(slug))
        if found is None:
            raise NotFound(text("tenant.not_found", slug=slug[:31]))
        return found

    def within(self, scope: Scope, slug: str) -> UUID:
        """The id of the tenant with this slug, where the scope reaches it. Raises NotFound."""
        found = self.id_of(slug)
        if scope.tenant_id not in (None, found):
            raise NotFound(text("tenant.not_found", slug=slug[:31]))
        return found

    def profile(self, scope: Scope) -> TenantProfile:
        """The profile of the scope's tenant; the platform's defaults where it has none.

        Raises Forbidden where the tenant is gone.
        """
        if scope.tenant_id is None:
            return TenantProfile(None, DEFAULT_TIME_ZONE, DEFAULT_LOCALE)
        tenant_id = scope.tenant_id
        found = self._cache.get("profile", tenant_id, lambda: self._store.profile(tenant_id))
        if found is None:
            raise Forbidden(text("tenant.gone"))
        return found
