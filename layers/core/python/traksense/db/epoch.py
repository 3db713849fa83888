"""The epoch of the configuration in PostgreSQL."""

from __future__ import annotations

from traksense.db import queries
from traksense.db.connection import Database


class SqlEpochs:
    """Implements ``traksense.services.cache.Epochs``, for the API."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("epoch")

    def ask(self) -> None:
        """Begin and end a transaction: each one tells the epoch as it begins."""
        with self._database.transaction("traksense_app"):
            pass

    def raise_epoch(self) -> None:
        """Make every copy in every container outdated."""
        with self._database.transaction("traksense_ops") as cursor:
            cursor.execute(self._queries["raise_epoch"])
