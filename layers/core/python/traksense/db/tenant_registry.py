"""Tenants in PostgreSQL, as operators list, make and change them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from psycopg import errors as pg_errors

from traksense.db import queries
from traksense.db.connection import Database
from traksense.services.tenant_registry import Fields, Tenant


class SqlTenantRegistryStore:
    """Implements ``traksense.services.tenant_registry.TenantRegistryStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("tenant_registry")

    def page(self, only: UUID | None, q: str | None, after: str, limit: int) -> Sequence[Tenant]:
        """Up to ``limit`` tenants after a slug."""
        parameters = {"only": only, "q": q, "after": after, "limit": limit}
        with self._database.transaction("traksense_ops") as cursor:
            rows = cursor.execute(self._queries["tenants_page"], parameters).fetchall()
        return [Tenant(*row) for row in rows]

    def find(self, slug: str) -> Tenant | None:
        """The tenant with this slug, also one that is being erased."""
        return self._one("tenant_of_slug", {"slug": slug})

    def id_of(self, slug: str) -> UUID | None:
        """The id of a tenant by slug."""
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(self._queries["tenant_id_of_slug"], {"slug": slug}).fetchone()
        return None if row is None else row[0]

    def add(self, slug: str, fields: Fields) -> Tenant | None:
        """A new tenant; None where the slug is taken, or was."""
        try:
            return self._one("add_tenant", {"slug": slug, "fields": json.dumps(dict(fields))})
        except pg_errors.UniqueViolation:
            return None

    def change(self, tenant_id: UUID, fields: Fields) -> Tenant | None:
        """The tenant with these fields; None where it is gone, or going."""
        return self._one(
            "change_tenant", {"tenant_id": tenant_id, "fields": json.dumps(dict(fields))}
        )

    def knows_time_zone(self, name: str) -> bool:
        """Whether the server has it."""
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(self._queries["knows_time_zone"], {"name": name}).fetchone()
        return row == (True,)

    def _one(self, query: str, parameters: dict[str, object]) -> Tenant | None:
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(self._queries[query], parameters).fetchone()
        return None if row is None else Tenant(*row)
