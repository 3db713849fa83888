"""Messages of devices near their rate, counted in PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors as pg_errors
from psycopg.types.json import Jsonb

from traksense.db import device_state, queries
from traksense.db.connection import Database
from traksense.domain import rates
from traksense.domain.directory import Device
from traksense.domain.errors import DatabaseAway
from traksense.domain.messages import DeadLetter, Message, dead_letter
from traksense.domain.rates import Claim, Verdict
from traksense.domain.readings import Rejection, from_microseconds
from traksense.domain.reasons import Reason
from traksense.services.message_rates import Settled

_Minute = tuple[UUID, datetime]


class SqlRateStore:
    """Implements ``traksense.services.message_rates.RateStore``, as ``traksense_ingest``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("message_rates")

    def settle(
        self, claims: Sequence[Claim], devices: Sequence[Device], messages: Sequence[Message]
    ) -> Settled:
        """Count, flag and keep dead letters in one transaction.

        A device that is not there any more is not counted. Raises DatabaseAway.
        """
        try:
            with self._database.transaction("traksense_ingest") as cursor:
                return self._settle(cursor, claims, devices, messages)
        except pg_errors.ForeignKeyViolation as error:
            raise DatabaseAway("a device was removed meanwhile: another try may succeed") from error

    def _settle(
        self,
        cursor: psycopg.Cursor[Any],
        claims: Sequence[Claim],
        devices: Sequence[Device],
        messages: Sequence[Message],
    ) -> Settled:
        minutes = [(claim.device_id, from_microseconds(claim.minute_us)) for claim in claims]
        wanted = {"device_ids": [d for d, _ in minutes], "minutes": [m for _, m in minutes]}
        cursor.execute(self._queries["add_minutes"], wanted)
        locked = {
            (device, minute): (admitted, kept)
            for device, minute, admitted, kept in cursor.execute(
                self._queries["lock_minutes"], wanted
            )
        }
        in_hour = self._kept_in_hour(cursor, minutes)
        settled, over, letters = Settled(), list[_Minute](), dict[bytes, DeadLetter]()
        for claim, device, minute in zip(claims, devices, minutes, strict=True):
            if minute not in locked:
                continue
            hour = (minute[0], _hour(minute[1]))
            verdict = rates.judge(claim, *locked[minute], *in_hour[hour])
            in_hour[hour] = (
                in_hour[hour][0] + len(verdict.kept),
                in_hour[hour][1] + sum(each.size for each in verdict.kept),
            )
            self._count(cursor, minute, verdict)
            for each in verdict.kept:
                letter = _letter(messages[each.place], device, claim)
                letters[letter.fingerprint] = letter
            self._count_surplus(cursor, claim, device, verdict, messages)
            settled.surplus.update(verdict.surplus)
            settled.refused += len(verdict.kept) + len(verdict.counted)
            if verdict.is_over:
                over.append(minute)
        if over:
            cursor.execute(
                self._queries["flag_devices"],
                {"device_ids": [d for d, _ in over], "minutes": [m for _, m in over]},
            )
            settled.over = cursor.rowcount
        device_state.keep_dead_letters(cursor, letters)
        return settled

    def _kept_in_hour(
        self, cursor: psycopg.Cursor[Any], minutes: Sequence[_Minute]
    ) -> dict[_Minute, tuple[int, int]]:
        hours = sorted({(device, _hour(minute)) for device, minute in minutes})
        cursor.execute(
            self._queries["kept_in_hour"],
            {"device_ids": [d for d, _ in hours], "hours": [h for _, h in hours]},
        )
        return {(device, hour): (int(n), int(size)) for device, hour, n, size in cursor}

    def _count(self, cursor: psycopg.Cursor[Any], minute: _Minute, verdict: Verdict) -> None:
        if verdict.admitted or verdict.kept:
            cursor.execute(
                self._queries["count_minute"],
                {
                    "device_id": minute[0],
                    "minute": minute[1],
                    "admitted": verdict.admitted,
                    "kept": [each.mark for each in verdict.kept],
                    "kept_bytes": sum(each.size for each in verdict.kept),
                },
            )

    def _count_surplus(
        self,
        cursor: psycopg.Cursor[Any],
        claim: Claim,
        device: Device,
        verdict: Verdict,
        messages: Sequence[Message],
    ) -> None:
        if not verdict.counted:
            return
        counted = [messages[each.place] for each in verdict.counted]
        letter = _letter(counted[0], device, claim)
        hour = _hour(from_microseconds(claim.minute_us))
        cursor.execute(
            self._queries["count_surplus"],
            {
                "fingerprint": hashlib.sha256(
                    b"rate\0" + device.device_id.bytes + hour.isoformat().encode()
                ).digest(),
                "received_at": letter.received_at,
                "last_received_at": from_microseconds(max(m.received_at_us for m in counted)),
                "occurrences": len(counted),
                "tenant_id": letter.tenant_id,
                "device_id": letter.device_id,
                "topic": letter.topic,
                "client_id": letter.client_id,
                "reason": letter.reason,
                "detail": f"{letter.detail}; stands for the rest of the hour's surplus",
                "errors": Jsonb(letter.errors),
                "payload": letter.payload,
            },
        )


def _hour(minute: datetime) -> datetime:
    return minute.replace(minute=0, second=0, microsecond=0)


def _letter(message: Message, device: Device, claim: Claim) -> DeadLetter:
    most = rates.BOUND * claim.rate
    detail = f"more than {most} messages within a minute, {rates.BOUND} times the device's rate"
    return dead_letter(
        message,
        [Rejection(Reason.RATE, detail)],
        from_microseconds(message.received_at_us),
        device.tenant_id,
        device.device_id,
    )
