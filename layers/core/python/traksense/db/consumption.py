"""Months in PostgreSQL, through the tenant's view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.readings_query import find_points
from traksense.db.scope import transaction
from traksense.services.consumption import ConsumptionReads, Month
from traksense.services.scope import Scope
from traksense.services.series import PointsOfDevice


class SqlConsumptionStore:
    """Implements ``traksense.services.consumption.ConsumptionStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reading(self, scope: Scope) -> AbstractContextManager[ConsumptionReads]:
        """One transaction."""
        return self._reading(scope)

    @contextmanager
    def _reading(self, scope: Scope) -> Iterator[ConsumptionReads]:
        with transaction(self._database, scope) as cursor:
            yield _SqlReads(cursor)


class _SqlReads:
    """Implements ``traksense.services.consumption.ConsumptionReads``."""

    def __init__(self, cursor: psycopg.Cursor[tuple[Any, ...]]) -> None:
        self._cursor = cursor
        self._queries = queries.load("consumption")

    def points(self, device: UUID | str, points: Sequence[UUID | str]) -> PointsOfDevice | None:
        """In the order asked."""
        return find_points(self._cursor, device, points)

    def months(
        self, points: Sequence[UUID], start: datetime, end: datetime
    ) -> Mapping[UUID, Sequence[Month]]:
        """Those that hold readings."""
        parameters = {"point_ids": list(points), "start": start, "end": end}
        found: dict[UUID, list[Month]] = {}
        for point, *month in self._cursor.execute(self._queries["months"], parameters):
            found.setdefault(point, []).append(Month(*month))
        return found
