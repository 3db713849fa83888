"""Commands in PostgreSQL, in the sight of their tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import errors as pg_errors
from psycopg.types.json import Jsonb

from traksense.db import queries
from traksense.db.connection import Database
from traksense.domain.errors import NotFound
from traksense.i18n.catalogue import text
from traksense.services.commands import Command, CommandFilter, NewCommand, Outgoing, Target


class SqlCommandStore:
    """Implements ``traksense.services.commands.CommandStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("commands")

    def add(
        self, tenant_id: UUID, command: NewCommand, check: Callable[[Target], None]
    ) -> tuple[str, bytes | None]:
        """Store a command; the ``cmd_id`` and the request's hash of what then has its key."""
        row = {**asdict(command), "tenant_id": tenant_id, "params": Jsonb(command.params)}
        try:
            with self._database.transaction("traksense_app", tenant_id) as cursor:
                target = cursor.execute(self._queries["command_target"], row).fetchone()
                if target is None:
                    raise NotFound(text("device.not_found"))
                check(Target(*target))
                if cursor.execute(self._queries["add_command"], row).fetchone() is not None:
                    return command.cmd_id, command.request_hash
                known = cursor.execute(self._queries["command_by_key"], row).fetchone()
        except pg_errors.ForeignKeyViolation:
            # Removed since it was looked at.
            raise NotFound(text("device.not_found")) from None
        if known is None:
            # Whoever had the key went with his device, a moment ago.
            raise NotFound(text("device.not_found"))
        return known[0], known[1]

    @contextmanager
    def publishing(self, tenant_id: UUID, cmd_id: str, now: datetime) -> Iterator[Outgoing | None]:
        """Hold a command that has to be published; published when the block ends."""
        given = {"cmd_id": cmd_id, "now": now}
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            cursor.execute(self._queries["lock_publishing"], given)
            row = cursor.execute(self._queries["command_to_publish"], given).fetchone()
            yield None if row is None else Outgoing(*row)
            if row is not None:
                cursor.execute(self._queries["command_published"], given)

    def get(self, tenant_id: UUID, device_id: UUID, cmd_id: str) -> Command | None:
        """One command of a device."""
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            row = cursor.execute(
                self._queries["command"], {"device_id": device_id, "cmd_id": cmd_id}
            ).fetchone()
        return None if row is None else Command(*row)

    def page(
        self,
        tenant_id: UUID,
        device_id: UUID,
        wanted: CommandFilter,
        before: str | None,
        limit: int,
    ) -> Sequence[Command] | None:
        """Up to ``limit`` commands of a device, newest first; None without such a device."""
        parameters: dict[str, Any] = {
            **asdict(wanted), "device_id": device_id, "before": before, "limit": limit,
        }  # fmt: skip
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            rows = cursor.execute(self._queries["commands_page"], parameters).fetchall()
        if not rows:
            return None
        return [Command(*row) for row in rows if row[0] is not None]
