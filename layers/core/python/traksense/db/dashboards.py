"""What dashboards are made of, in PostgreSQL."""

from __future__ import annotations

from uuid import UUID

import msgspec

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.scope import transaction
from traksense.domain.dashboards import Dashboard
from traksense.services.dashboards import ContractedPoint, Showing
from traksense.services.scope import Scope


class SqlDashboardStore:
    """Implements ``traksense.services.dashboards.DashboardStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("dashboards")

    def showing(self, scope: Scope, device_id: UUID) -> Showing | None:
        """A device with what its dashboard is made of, in one round trip."""
        with transaction(self._database, scope) as cursor:
            row = cursor.execute(self._queries["dashboard"], {"device_id": device_id}).fetchone()
        if row is None:
            return None
        found, code, version, dashboard, points = row
        return Showing(
            found,
            code,
            version,
            None if dashboard is None else msgspec.convert(dashboard, Dashboard),
            msgspec.convert(points, list[ContractedPoint]),
        )
