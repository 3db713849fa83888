"""Moves of devices between versions of a template, set by set, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import psycopg

from traksense.db import queries
from traksense.db.connection import Database
from traksense.services.scope import Scope
from traksense.services.template_moves import Incompatible, Movable
from traksense.services.templates import Version

_STEPS: Final = ("move_points", "add_points", "release_points", "move_devices")
"""In this order: which points a device's former version had is asked before it has another."""


class SqlMoveStore:
    """Implements ``traksense.services.template_moves.MoveStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("template_moves")

    def versions(
        self, scope: Scope, target: Version, ids: Sequence[UUID]
    ) -> Mapping[UUID, int | None]:
        """The version that each device in sight is of."""
        with self._database.transaction("traksense_ops") as cursor:
            return dict(
                cursor.execute(
                    self._queries["wanted_devices"], _parameters(scope, target, ids)
                ).fetchall()
            )

    def movable(self, scope: Scope, target: Version, ids: Sequence[UUID] | None) -> Movable:
        """What a move would concern."""
        with self._database.transaction("traksense_ops") as cursor:
            return self._movable(cursor, _parameters(scope, target, ids))

    def move(
        self,
        scope: Scope,
        target: Version,
        ids: Sequence[UUID] | None,
        *,
        contract_added: bool,
    ) -> Movable:
        """Move all or none: none where something is incompatible."""
        with self._database.transaction("traksense_ops") as cursor:
            parameters = _parameters(scope, target, ids)
            rows = cursor.execute(self._queries["lock_movable"], parameters).fetchall()
            # From here on it is about the devices that are locked, whichever come meanwhile.
            parameters |= {"ids": [row[0] for row in rows], "contract_added": contract_added}
            movable = self._movable(cursor, parameters)
            if not movable.incompatible:
                for step in _STEPS:
                    cursor.execute(self._queries[step], parameters)
        return movable

    def _movable(self, cursor: psycopg.Cursor[Any], parameters: dict[str, Any]) -> Movable:
        counts = cursor.execute(self._queries["count_movable"], parameters).fetchall()
        rows = cursor.execute(self._queries["incompatible"], parameters).fetchall()
        return Movable(dict(counts), [Incompatible(*row) for row in rows])


def _parameters(scope: Scope, target: Version, ids: Sequence[UUID] | None) -> dict[str, Any]:
    return {
        "template_id": target.id,
        "code": target.template.code,
        "tenant_id": scope.tenant_id,
        "ids": None if ids is None else list(ids),
    }
