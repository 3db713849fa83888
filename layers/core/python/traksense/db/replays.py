"""Dead letters on their way back, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from traksense.db import queries
from traksense.db.connection import Database
from traksense.services.dead_letters import DeadLetterFilter
from traksense.services.publisher import MAX_PAYLOAD_BYTES
from traksense.services.replays import TOPICS, Letter


class SqlReplayStore:
    """Implements ``traksense.services.replays.ReplayStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("dead_letters")

    def by_ids(self, tenant_id: UUID | None, ids: Sequence[int]) -> Sequence[Letter]:
        """These letters, oldest first, without those that are not there."""
        with self._database.transaction("traksense_ops") as cursor:
            rows = cursor.execute(
                self._queries["letters_by_id"], {"tenant_id": tenant_id, "ids": list(ids)}
            ).fetchall()
        return [Letter(*row) for row in rows]

    def waiting(self, wanted: DeadLetterFilter, limit: int) -> Sequence[Letter]:
        """Letters that can be put through again and never were, oldest first."""
        with self._database.transaction("traksense_ops") as cursor:
            rows = cursor.execute(
                self._queries["letters_waiting"],
                {
                    "tenant_id": wanted.tenant_id,
                    "reason": None if wanted.reason is None else wanted.reason.value,
                    "topic": wanted.topic,
                    "start": wanted.start,
                    "end": wanted.end,
                    "patterns": list(TOPICS),
                    "most_bytes": MAX_PAYLOAD_BYTES,
                    "limit": limit,
                },
            ).fetchall()
        return [Letter(*row) for row in rows]

    def mark(self, ids: Sequence[int], at: datetime) -> None:
        """Note that they were published again."""
        with self._database.transaction("traksense_ops") as cursor:
            cursor.execute(self._queries["mark_replayed"], {"ids": sorted(ids), "at": at})
