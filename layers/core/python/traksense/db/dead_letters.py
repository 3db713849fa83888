"""Dead letters in PostgreSQL, as operators read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from traksense.db import queries
from traksense.db.connection import Database
from traksense.services.dead_letters import DeadLetterFilter, StoredDeadLetter


class SqlDeadLetterStore:
    """Implements ``traksense.services.dead_letters.DeadLetterStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("dead_letters")

    def page(
        self,
        wanted: DeadLetterFilter,
        after: tuple[datetime, int] | None,
        limit: int,
        most_bytes: int,
    ) -> tuple[Sequence[StoredDeadLetter], bool]:
        """Up to ``limit`` dead letters after a key, and whether older ones follow."""
        received_at, letter_id = after or (None, None)
        parameters: dict[str, Any] = {
            "tenant_id": wanted.tenant_id,
            "reason": None if wanted.reason is None else wanted.reason.value,
            "topic": wanted.topic,
            "start": wanted.start,
            "end": wanted.end,
            "after_received_at": received_at,
            "after_id": letter_id,
            "limit": limit,
            "most_bytes": most_bytes,
        }
        with self._database.transaction("traksense_ops") as cursor:
            rows = cursor.execute(self._queries["dead_letters_page"], parameters).fetchall()
        letters = [StoredDeadLetter(*row[:-1]) for row in rows]
        return letters, bool(rows) and rows[0][-1] > len(letters)
