"""Turning chunks into columns, as ``traksense_owner``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.segments import is_busy
from traksense.domain.errors import DatabaseAway
from traksense.services.compression import DueChunk

STATEMENT_TIMEOUT_MS: Final = 600_000
"""A day of ten million readings takes some ten seconds; this is to end what hangs."""


class TimescaleCompressionStore:
    """Implements ``traksense.services.compression.CompressionStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("timescale")

    def _rows(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self._database.transaction(
            "traksense_owner", statement_timeout_ms=STATEMENT_TIMEOUT_MS
        ) as cursor:
            return cursor.execute(self._queries[name], parameters).fetchall()

    def due(self, level: str, before: datetime) -> list[DueChunk]:
        """Chunks of a level that ended by then and hold rows."""
        return [DueChunk(*row) for row in self._rows("due_chunks", level=level, before=before)]

    def compress(self, chunk: str) -> bool:
        """Turn a chunk's rows into columns; False while somebody holds on to it."""
        try:
            self._rows("compress", chunk=chunk)
        except DatabaseAway as error:
            if is_busy(error):
                return False
            raise
        return True
