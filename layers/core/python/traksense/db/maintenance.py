"""The maintenance jobs' statements, as ``traksense_owner``."""

from __future__ import annotations

from datetime import date, datetime

from traksense.db import queries
from traksense.db.connection import Database
from traksense.domain.errors import DatabaseAway
from traksense.services.maintenance import DatabaseFigures


class SqlMaintenanceStore:
    """Runs them, each in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("maintenance")

    def figures(self) -> DatabaseFigures:
        """How large and how busy the server is."""
        with self._database.transaction("traksense_owner") as cursor:
            row = cursor.execute(self._queries["database_figures"]).fetchone()
        if row is None:
            raise DatabaseAway("the server gave no figures")
        return DatabaseFigures(*map(int, row))

    def sweep_offline(self, now: datetime) -> int:
        """Mark the devices silent for too long as offline; how many that were."""
        with self._database.transaction("traksense_owner") as cursor:
            cursor.execute(self._queries["offline_sweep"], {"now": now})
            return cursor.rowcount

    def time_out_commands(self, now: datetime) -> int:
        """Settle the commands that no ack came for in time; how many that were."""
        with self._database.transaction("traksense_owner") as cursor:
            cursor.execute(self._queries["time_out_commands"], {"now": now})
            return cursor.rowcount

    def ensure_partitions(self, first: date, last: date) -> int:
        """Make the missing day partitions from one UTC day to another; how many that were."""
        with self._database.transaction("traksense_owner") as cursor:
            cursor.execute(self._queries["ensure_partitions"], {"first": first, "last": last})
            row = cursor.fetchone()
        return 0 if row is None else int(row[0])
