"""One transaction per batch of device events, as ``traksense_ingest``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import errors as pg_errors
from psycopg.types.json import Jsonb

from traksense.db import device_state, queries
from traksense.db.connection import REFUSED, Database
from traksense.domain.connectivity import Connectivity, apply
from traksense.services.device_events import (
    EventBatch,
    EventsWritten,
    Flips,
    StoredAck,
    UnknownCommands,
)
from traksense.services.ingest import DirectoryOutdated, RowsRefused


class SqlEventStore:
    """Writes connection state, events, alarms, acks and dead letters."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("device_events")

    def write(self, batch: EventBatch) -> EventsWritten:
        """Everything in one transaction.

        Raises DatabaseAway when another try may succeed, RowsRefused when it never will, and, with
        nothing written, DirectoryOutdated when a device is not there any more, and UnknownCommands.
        """
        try:
            with self._database.transaction("traksense_ingest") as cursor:
                # All rows at once, in one order: two goes could make two writers wait in a circle.
                flips = self._apply_evidence(cursor, batch, self._lock(cursor, batch))
                came_online, _ = device_state.touch(cursor, batch.heard)
                for event in batch.events:
                    row = msgspec.structs.asdict(event)
                    cursor.execute(self._queries["add_event"], {**row, "data": Jsonb(event.data)})
                for alarm in batch.alarms:
                    cursor.execute(self._queries["add_alarm"], msgspec.structs.asdict(alarm))
                settled = self._record_acks(cursor, batch.acks)
                device_state.keep_dead_letters(cursor, batch.dead_letters)
        except pg_errors.ForeignKeyViolation as error:
            raise DirectoryOutdated("a device was removed") from error
        except pg_errors.NotNullViolation:
            raise  # a column that this code does not know of: no fault of the data
        except (*REFUSED, UnicodeError) as error:
            raise RowsRefused(str(error)) from error
        return EventsWritten(Flips(flips.online + came_online, flips.offline), settled)

    def _record_acks(self, cursor: psycopg.Cursor[Any], acks: Sequence[StoredAck]) -> Counter[str]:
        """How many commands were settled, by outcome. Raises UnknownCommands."""
        if not acks:
            return Counter()
        cursor.execute(
            self._queries["record_acks"],
            {
                "device_ids": [ack.device_id for ack in acks],
                "cmd_ids": [ack.cmd_id for ack in acks],
                "oks": [ack.ok for ack in acks],
                "received_at": [ack.received_at for ack in acks],
                "ts_exec": [ack.ts_exec for ack in acks],
                "errs": [ack.err for ack in acks],
            },
        )
        outcomes = [outcome for _, outcome in cursor.fetchall()]
        strangers = frozenset(
            (ack.device_id, ack.cmd_id)
            for ack, outcome in zip(acks, outcomes, strict=True)
            if outcome is None
        )
        if strangers:
            raise UnknownCommands(strangers)
        return Counter(outcome for outcome in outcomes if outcome != "repeated")

    def _lock(self, cursor: psycopg.Cursor[Any], batch: EventBatch) -> dict[UUID, Connectivity]:
        wanted = {device_id for device_id, _ in batch.evidence}
        wanted.update(batch.heard)
        if not wanted:
            return {}
        cursor.execute(self._queries["lock_states"], {"device_ids": sorted(wanted)})
        states = {device_id: Connectivity(*state) for device_id, *state in cursor.fetchall()}
        if len(states) < len(wanted):
            raise DirectoryOutdated(f"{len(wanted) - len(states)} devices were removed")
        return states

    def _apply_evidence(
        self, cursor: psycopg.Cursor[Any], batch: EventBatch, before: dict[UUID, Connectivity]
    ) -> Flips:
        after = dict(before)
        for device_id, evidence in batch.evidence:
            after[device_id] = apply(after[device_id], evidence)
        online = offline = 0
        for device_id, state in after.items():
            if state == before[device_id]:
                continue
            cursor.execute(
                self._queries["update_state"],
                {"device_id": device_id, **msgspec.structs.asdict(state)},
            )
            if state.is_online != before[device_id].is_online:
                online += state.is_online
                offline += not state.is_online
        return Flips(online, offline)
