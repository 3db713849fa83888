"""Tenants in PostgreSQL."""

from __future__ import annotations

from uuid import UUID

from traksense.db import queries
from traksense.db.connection import Database
from traksense.services.tenants import TenantProfile


class SqlTenantStore:
    """Implements ``traksense.services.tenants.TenantStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("tenants")

    def id_of(self, slug: str) -> UUID | None:
        """The id of a tenant by slug."""
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(self._queries["tenant_by_slug"], {"slug": slug}).fetchone()
        return None if row is None else row[0]

    def profile(self, tenant_id: UUID) -> TenantProfile | None:
        """A tenant's profile."""
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            row = cursor.execute(
                self._queries["tenant_profile"], {"tenant_id": tenant_id}
            ).fetchone()
        return None if row is None else TenantProfile(*row)
