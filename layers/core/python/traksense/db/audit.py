"""The audit log in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from psycopg.types.json import Jsonb

from traksense.db import queries
from traksense.db.connection import Database
from traksense.services.audit import AuditEntry, AuditFilter, Position, StoredEntry

_ADD_TIMEOUT_MS: Final = 2_000
"""A call does not wait longer for its entry, whoever holds the table."""


class SqlAuditStore:
    """Implements ``traksense.services.audit.AuditStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("audit")

    def add(self, entry: AuditEntry) -> None:
        """Add an entry: durable at once where it is of a write.

        Of a read the commit does not wait for the disk: a crash of the server's machine may
        take the entries of its last 0.6 s, of calls that changed nothing.
        """
        self._database.at_once(
            "traksense_ops" if entry.tenant_id is None else "traksense_app",
            entry.tenant_id,
            self._queries["add_entry"],
            {
                "request_id": entry.request_id,
                "action": entry.action,
                "status": entry.status,
                "user_id": entry.user_id,
                "email": entry.email,
                "role": entry.role,
                "tenant_id": entry.tenant_id,
                "object_id": entry.object_id,
                "filters": Jsonb(dict(entry.filters)),
                "record_count": entry.record_count,
                "duration_ms": entry.duration_ms,
                "ip": entry.ip,
                "user_agent": entry.user_agent,
            },
            is_durable=entry.is_write,
            timeout_ms=_ADD_TIMEOUT_MS,
        )

    def page(
        self, wanted: AuditFilter, after: Position | None, limit: int, looked_at: int
    ) -> tuple[Sequence[StoredEntry], Position | None]:
        """Up to ``limit`` entries newest first, and where to go on; None: nothing is left."""
        parameters = _parameters(wanted, after, limit, looked_at)
        with self._database.transaction("traksense_ops") as cursor:
            rows = cursor.execute(self._queries["entries_page"], parameters).fetchall()
        entries = [StoredEntry(*row[2:]) for row in rows if row[2] is not None]
        if len(entries) > limit:
            last = entries[limit - 1]
            return entries[:limit], (last.at, last.id)
        stop_at, stop_id = rows[0][:2]
        return entries, None if stop_at is None else (stop_at, stop_id)


def _parameters(
    wanted: AuditFilter, after: Position | None, limit: int, looked_at: int
) -> dict[str, Any]:
    """The query's. The first filter of this order leads, being the most selective one."""
    is_email = wanted.user is not None and "@" in wanted.user
    leads = {
        "ip": wanted.ip,
        "user_id": None if is_email else wanted.user,
        "email": wanted.user if is_email else None,
        "tenant_id": wanted.tenant_id,
        "action": wanted.action,
    }
    leader = next((name for name, value in leads.items() if value is not None), None)
    at, entry_id = after or (None, None)
    return {
        **leads,
        **{f"lead_{name}": value if name == leader else None for name, value in leads.items()},
        "q": None if wanted.q is None else wanted.q.lower(),
        "start": wanted.start,
        "end": wanted.end,
        "after_at": at,
        "after_id": entry_id,
        "limit": limit,
        "looked_at": looked_at,
    }
