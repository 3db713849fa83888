"""Readings and days for the tests of segments and retention."""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg

from traksense.db.connection import Database
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.segments import SqlSegmentStore
from traksense.domain.readings import Value, to_microseconds
from traksense.services.acceptance import TS_BITS, Accepted
from traksense.services.segments import Segments

Key = tuple[int, int]
"""(point_sk, microseconds)."""
TODAY: Final = datetime.now(UTC).date()


def day(ago: int) -> date:
    """The UTC day so many days ago."""
    return TODAY - timedelta(days=ago)


def at(ago: int, second: float = 0, us: int = 0) -> int:
    """An instant of that day, in microseconds."""
    midnight = datetime.combine(day(ago), datetime.min.time(), UTC)
    return to_microseconds(midnight) + round(second * 1_000_000) + us


def accepted(rows: dict[Key, Value], meta: dict[Key, bytes] | None = None) -> Accepted:
    """What ingestion would write for these readings."""
    return Accepted(
        rows={sk << TS_BITS | ts: value for (sk, ts), value in rows.items()},
        meta={sk << TS_BITS | ts: facts for (sk, ts), facts in (meta or {}).items()},
    )


def write(url: str, rows: dict[Key, Value], meta: dict[Key, bytes] | None = None) -> int:
    """Write readings as ingestion does; how many were stored."""
    database = Database(url)
    try:
        return SqlReadingStore(database).write(accepted(rows, meta)).stored
    finally:
        database.close()


def refreshed(url: str) -> None:
    """Say that the rollups have read everything up to now."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE public.rollup_state SET refreshed = now()")


def close(url: str, **options: Any) -> Any:
    """Close what can be closed; the report."""
    database = Database(url)
    try:
        return Segments(SqlSegmentStore(database), **options).close()
    finally:
        database.close()


def bits(value: Value | None) -> bytes | bool | str | None:
    """A value that is equal to another only where every bit is."""
    return struct.pack(">d", value) if type(value) is float else value


def facts(rows: dict[Key, Value]) -> dict[Key, bytes | bool | str | None]:
    """The readings as what ``stored`` finds of them."""
    return {key: bits(value) for key, value in rows.items()}


def read(cursor: Any, query: str) -> dict[Key, Any]:
    """The readings of a query for (key, ts, v_num, v_bool, v_text); each key once."""
    found: dict[Key, Any] = {}
    for key, ts, number, flag, text in cursor.execute(query.encode(), binary=True):
        values = [value for value in (number, flag, text) if value is not None]
        assert len(values) <= 1
        where = (key, to_microseconds(ts))
        assert where not in found, f"{where} is there twice"
        found[where] = bits(values[0]) if values else None
    return found


def stored(url: str) -> dict[Key, Any]:
    """Every reading that there is, as raw_readings shows it."""
    with psycopg.connect(url) as connection:
        return read(
            connection.cursor(),
            "SELECT point_sk, ts, v_num, v_bool, v_text FROM public.raw_readings",
        )


def in_rows(url: str) -> int:
    """How many readings are rows."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM public.m_raw").fetchone()
    assert row is not None
    return int(row[0])
