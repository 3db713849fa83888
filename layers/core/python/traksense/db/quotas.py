"""Request quotas in PostgreSQL: leases by one atomic statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from traksense.db import queries
from traksense.db.connection import Database
from traksense.services.quotas import Lease, Subject

_TIMEOUT_MS: Final = 1_000
"""A request waits no longer for its lease; then its container decides alone."""


class SqlQuotaStore:
    """Implements ``traksense.services.quotas.QuotaStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._query = queries.load("quotas")["take_requests"]

    def take(self, tenant_id: UUID | None, most: Mapping[Subject, int]) -> Mapping[Subject, Lease]:
        """A lease for each subject, which all are of this tenant. Raises DatabaseAway."""
        by_key = {subject.key: subject for subject in most}
        rows = self._database.at_once(
            "traksense_ops" if tenant_id is None else "traksense_app",
            tenant_id,
            self._query,
            {
                "tenant_id": tenant_id,
                "kinds": [subject.kind for subject in most],
                "subjects": list(by_key),
                "mosts": list(most.values()),
            },
            is_durable=False,
            timeout_ms=_TIMEOUT_MS,
        )
        return {by_key[key]: Lease(minute, granted, left) for key, minute, granted, left in rows}
