"""Tenants as a request needs them: an operator's choice by slug, and a customer's own profile."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from traksense.contracts.topics import SLUG_PATTERN
from traksense.domain.errors import Forbidden, NotFound
from traksense.i18n.catalogue import DEFAULT_LOCALE, text
from traksense.services.scope import Scope

_SLUG: Final = re.compile(SLUG_PATTERN)
_KEEP_S: Final = 60.0
_MOST_KEPT: Final = 10_000
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
    """Tenants by slug and by id.

    A slug is never changed nor given to another tenant, so the map from slug to id is kept for a
    minute; only that long can an erased tenant still be chosen, and it shows nothing.
    """

    def __init__(self, store: TenantStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._kept: dict[str, tuple[UUID, float]] = {}
        self._lock = threading.Lock()

    def id_of(self, slug: str) -> UUID:
        """The id of the tenant with this slug. Raises NotFound."""
        kept = self._kept.get(slug)
        if kept is not None and self._clock() - kept[1] < _KEEP_S:
            return kept[0]
        found = self._store.id_of(slug) if _SLUG.fullmatch(slug) else None
        if found is None:
            raise NotFound(text("tenant.not_found", slug=slug[:31]))
        with self._lock:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[slug] = (found, self._clock())
        return found

    def profile(self, scope: Scope) -> TenantProfile:
        """The profile of the scope's tenant; the platform's defaults where it has none.

        Raises Forbidden where the tenant is gone.
        """
        if scope.tenant_id is None:
            return TenantProfile(None, DEFAULT_TIME_ZONE, DEFAULT_LOCALE)
        found = self._store.profile(scope.tenant_id)
        if found is None:
            raise Forbidden(text("tenant.gone"))
        return found
