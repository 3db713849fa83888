"""Sites in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from psycopg import errors as pg_errors

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.scope import transaction
from traksense.services.scope import Scope
from traksense.services.sites import Site


class SqlSiteStore:
    """Implements ``traksense.services.sites.SiteStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("sites")

    def page(self, scope: Scope, after: tuple[str, str], limit: int) -> Sequence[Site]:
        """Up to ``limit`` sites after a key."""
        parameters = {"after_tenant": after[0], "after_slug": after[1], "limit": limit}
        with transaction(self._database, scope) as cursor:
            rows = cursor.execute(self._queries["sites_page"], parameters).fetchall()
        return [Site(*row) for row in rows]

    def get(self, scope: Scope, site_id: UUID) -> Site | None:
        """One site."""
        with transaction(self._database, scope) as cursor:
            row = cursor.execute(self._queries["site"], {"site_id": site_id}).fetchone()
        return None if row is None else Site(*row)

    def add(self, tenant_id: UUID, slug: str, name: str) -> Site | None:
        """A new site; None where its tenant has one of this slug."""
        parameters = {"tenant_id": tenant_id, "slug": slug, "name": name}
        try:
            return self._changed(Scope.of(tenant_id), "add_site", parameters)
        except pg_errors.UniqueViolation:
            return None

    def rename(self, scope: Scope, site_id: UUID, name: str) -> Site | None:
        """The site with another name; None where there is none."""
        return self._changed(scope, "rename_site", {"site_id": site_id, "name": name})

    def remove(self, scope: Scope, site_id: UUID) -> bool | None:
        """Whether the site is gone: None where there is none, False while it has devices."""
        try:
            with transaction(self._database, scope) as cursor:
                row = cursor.execute(self._queries["remove_site"], {"site_id": site_id}).fetchone()
        except pg_errors.ForeignKeyViolation:
            return False
        return None if row is None else True

    def _changed(self, scope: Scope, query: str, parameters: dict[str, object]) -> Site | None:
        with transaction(self._database, scope) as cursor:
            row = cursor.execute(self._queries[query], parameters).fetchone()
            if row is None:
                return None
            site = cursor.execute(self._queries["site"], {"site_id": row[0]}).fetchone()
        return None if site is None else Site(*site)
