"""What health asks of PostgreSQL."""

from __future__ import annotations

from traksense.db import queries
from traksense.db.connection import Database
from traksense.domain.errors import DatabaseAway
from traksense.services.health import StorageState
from traksense.services.rollups import LevelProgress


class SqlHealthProbes:
    """Implements ``traksense.services.health.HealthProbes``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("health")

    def database(self) -> str:
        """The server's version."""
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(self._queries["server_version"]).fetchone()
        if row is None:
            raise DatabaseAway("the server gave no version")
        return str(row[0])

    def storage(self) -> StorageState:
        """The storage engine."""
        with self._database.transaction("traksense_ops") as cursor:
            row = cursor.execute(self._queries["storage"]).fetchone()
        if row is None:
            raise DatabaseAway("the readings' table is not there: are the migrations applied?")
        return StorageState(*row)

    def rollups(self) -> list[LevelProgress]:
        """How far each level of rollups is."""
        with self._database.transaction("traksense_ops") as cursor:
            rows = cursor.execute(queries.load("rollups")["progress"]).fetchall()
        return [LevelProgress(*row) for row in rows]

    def release_jobs(self) -> dict[str, int]:
        """The jobs of releases that are not finished, with their failures in a row."""
        with self._database.transaction("traksense_ops") as cursor:
            rows = cursor.execute(self._queries["release_jobs"]).fetchall()
        return dict(rows)
