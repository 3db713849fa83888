"""What every writer of device state shares: last_seen, and the dead letters beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from traksense.db import binary, queries
from traksense.domain.messages import DeadLetter


def touch(
    cursor: psycopg.Cursor[Any], heard: Mapping[UUID, tuple[int, bool]]
) -> tuple[int, Sequence[UUID]]:
    """Keep ``last_seen`` of the devices heard from.

    How many of them came online, and which are not there any more. ``heard`` is device to
    arrival (microseconds since the Unix epoch) and whether it is recent.
    """
    if not heard:
        return 0, ()
    devices = sorted(heard)  # one order for every writer, so that none waits in a circle
    cursor.execute(
        queries.load("ingest")["touch_devices"],
        {
            "device_ids": binary.uuids(devices),
            "at": binary.instants(heard[device][0] for device in devices),
            "fresh": binary.booleans(heard[device][1] for device in devices),
        },
    )
    row = cursor.fetchone()
    assert row is not None  # a SELECT without FROM
    return row[0], row[1] or ()


def keep_dead_letters(cursor: psycopg.Cursor[Any], by_key: Mapping[bytes, DeadLetter]) -> None:
    """Add dead letters; one that is there already is counted, not doubled."""
    if not by_key:
        return
    letters = [by_key[key] for key in sorted(by_key)]
    cursor.execute(
        queries.load("ingest")["add_dead_letters"],
        {
            "fingerprints": [letter.fingerprint for letter in letters],
            "received_at": [letter.received_at for letter in letters],
            "tenant_ids": [letter.tenant_id for letter in letters],
            "device_ids": [letter.device_id for letter in letters],
            "topics": [letter.topic for letter in letters],
            "client_ids": [letter.client_id for letter in letters],
            "reasons": [letter.reason for letter in letters],
            "details": [letter.detail for letter in letters],
            "errors": [Jsonb(letter.errors) for letter in letters],
            "payloads": [letter.payload for letter in letters],
        },
    )
