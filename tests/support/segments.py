"""Readings and days for the tests of segments and retention."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg

from traksense.db.connection import Database
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.segments import SqlSegmentStore
from traksense.domain.readings import TS_BITS, Value, to_microseconds
from traksense.services.acceptance import Accepted
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


def prepared(url: str) -> str:
    """The same database, with partitions of two weeks, all of it read by the rollups."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT public.ensure_raw_partitions(current_date - 15, current_date + 1)"
        )
    refreshed(url)
    return url


def numbers(count: int = 100, every: float = 60, sk: int = 1, ago: int = 4) -> dict[Key, Value]:
    """Readings of a point in the first hours of that day."""
    return {(sk, at(ago, n * every)): round(20 + n % 7 / 10, 2) for n in range(count)}


def close(url: str, **options: Any) -> Any:
    """Close what can be closed, without much patience; the report."""
    database = Database(url)
    options.setdefault("sleep", lambda seconds: time.sleep(min(seconds, 0.1)))
    try:
        return Segments(SqlSegmentStore(database), **options).close()
    finally:
        database.close()


def build(store: SqlSegmentStore, of_day: date, rows: int = 1000) -> None:
    """Everything that comes before the switch of a day."""
    store.begin_closing(of_day)
    while store.build_slice(of_day, rows):
        pass


def finish(store: SqlSegmentStore, of_day: date, patience_s: float = 10) -> bool:
    """Try to switch a day until it is, or for so long; whether it is."""
    deadline = time.monotonic() + patience_s
    while not store.finish_closing(of_day):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def switch(store: SqlSegmentStore, of_day: date) -> None:
    """Close a day."""
    build(store, of_day)
    assert finish(store, of_day)


def apart(url: str, doing: Callable[..., Any], *what: Any) -> Any:
    """Do it with a store over a connection of its own."""
    database = Database(url)
    try:
        return doing(SqlSegmentStore(database), *what)
    finally:
        database.close()


def in_background(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """A thread that does it, and the list that its result, or failure, will be in."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def bits(value: Value | None) -> bytes | bool | str | None:
    """A value that is equal to another only where every bit is."""
    return struct.pack(">d", value) if isinstance(value, float) else value


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
