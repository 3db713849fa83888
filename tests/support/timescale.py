"""Chunks for the tests of TimescaleDB."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from traksense.db.connection import Database
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.retention import SqlRetentionStore
from traksense.db.timescale.compression import TimescaleCompressionStore
from traksense.domain.readings import TS_BITS, to_microseconds
from traksense.services.acceptance import Accepted
from traksense.services.compression import Compression, CompressionReport
from traksense.services.ingest import Written


def write(database: Database, *rows: tuple[int, datetime, Any]) -> Written:
    """Add readings (point_sk, ts, value) as ingestion does."""
    keys = {sk << TS_BITS | to_microseconds(ts): value for sk, ts, value in rows}
    return SqlReadingStore(database).write(Accepted(rows=keys))


def compress(
    database: Database, now: datetime, close_after: timedelta = timedelta(days=2)
) -> CompressionReport:
    """A run of the job at this time."""
    return Compression(TimescaleCompressionStore(database), close_after, now=lambda: now).close()


def drop(database: Database, level: str, up_to: datetime) -> list[str]:
    """Drop what ends by then, chunk by chunk."""
    store = SqlRetentionStore(database)
    dropped = []
    while (chunk := store.drop_oldest(level, up_to)) is not None:
        dropped.append(chunk)
    return dropped


def chunks(connection: psycopg.Connection[Any], level: str) -> list[tuple[str, datetime, bool]]:
    """Chunks of a level: name, beginning, whether it holds rows."""
    return connection.execute(
        "SELECT chunk::text, first, has_rows FROM public.level_chunks(%s)", (level,)
    ).fetchall()
