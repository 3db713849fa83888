"""In whose sight a call runs: one tenant, or all of them for verified ``internal_ops``."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Scope:
    """What a call may see. ``of`` and ``all_tenants`` make it, so that None is no accident."""

    tenant_id: UUID | None

    @classmethod
    def of(cls, tenant_id: UUID) -> Scope:
        """The sight of one tenant."""
        return cls(tenant_id)

    @classmethod
    def all_tenants(cls) -> Scope:
        """Every tenant: only for a caller whose group was checked to be ``internal_ops``."""
        return cls(None)
