"""Messages as devices sent them, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg

from traksense.db import binary, queries
from traksense.db.connection import Database
from traksense.db.segments import is_busy
from traksense.domain.errors import DatabaseAway
from traksense.domain.messages import Message
from traksense.services.messages import DayBusy

PACK_TIMEOUT_MS: Final = 600_000
"""Packing a day takes seconds for a million messages; this is to end what hangs."""


def keep(cursor: psycopg.Cursor[Any], messages: Sequence[tuple[UUID, Message]]) -> None:
    """Add devices' messages in the cursor's transaction; one that is there adds nothing."""
    if not messages:
        return
    cursor.execute(
        queries.load("messages")["add_messages"],
        {
            "device_ids": binary.uuids(device for device, _ in messages),
            "received": binary.instants(message.received_at_us for _, message in messages),
            "topics": [message.topic for _, message in messages],
            "payloads": [message.payload for _, message in messages],
        },
    )


class SqlMessageStore:
    """Implements ``traksense.services.messages.MessageStore``, as ``traksense_owner``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("messages")

    def unpacked_days(self, close_after: timedelta) -> list[date]:
        """Days that ended so long ago and have messages that are not packed, oldest first."""
        with self._database.transaction("traksense_owner") as cursor:
            rows = cursor.execute(self._queries["unpacked_days"], {"close_after": close_after})
            return [day for (day,) in rows]

    def pack(self, day: date) -> int:
        """Pack the messages of a day in one transaction; how many there are."""
        try:
            with self._database.transaction(
                "traksense_owner", statement_timeout_ms=PACK_TIMEOUT_MS
            ) as cursor:
                row = cursor.execute(self._queries["pack_messages"], {"day": day}).fetchone()
        except DatabaseAway as error:
            if is_busy(error):
                raise DayBusy(str(error)) from error
            raise
        return 0 if row is None else int(row[0])
