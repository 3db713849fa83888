"""The statements of retention, as ``traksense_owner``, and what they have done so far."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import errors as pg_errors

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.engine import EngineOf, engine_of
from traksense.db.segments import SqlSegmentStore, is_busy
from traksense.db.timescale import status as timescale
from traksense.domain.errors import DatabaseAway
from traksense.services.retention import Purge, StillNeeded


class SqlRetentionStore:
    """Implements ``traksense.services.retention.RetentionStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine = EngineOf(database)
        self._queries = queries.load("retention")

    def _rows(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self._database.transaction("traksense_owner") as cursor:
            return cursor.execute(self._queries[name], parameters).fetchall()

    def _unless_needed(self, name: str, **parameters: Any) -> Any:
        try:
            return self._rows(name, **parameters)[0][0]
        except DatabaseAway as error:
            if is_busy(error) or isinstance(error.__cause__, pg_errors.ObjectInUse):
                raise StillNeeded(str(error)) from error
            raise

    def has_partitions(self) -> bool:
        """Whether this engine's retention is ours to run."""
        return bool(self._rows("has_partitions")[0][0])

    def drop_oldest(self, level: str, up_to: datetime) -> str | None:
        """Drop a level's oldest partition if it ends by then; its name."""
        dropped: str | None = self._unless_needed("drop_oldest", level=level, up_to=up_to)
        return dropped

    def purge_dead_letters(self, before: datetime, most: int) -> int:
        """Delete dead letters that last came before this; how many."""
        return int(self._rows("purge_dead_letters", before=before, most=most)[0][0])

    def purge_audit_log(self, before: datetime, most: int) -> int:
        """Delete rows of the audit log from before this; how many."""
        return int(self._rows("purge_audit_log", before=before, most=most)[0][0])

    def purge_device_minutes(self, before: datetime, most: int) -> int:
        """Delete counts of devices' messages from before this; how many."""
        return int(self._rows("purge_device_minutes", before=before, most=most)[0][0])

    def purge_request_quotas(self, before: datetime, most: int) -> int:
        """Delete counts of requests from before this; how many."""
        minute = int(before.timestamp()) // 60
        return int(self._rows("purge_request_quotas", before_minute=minute, most=most)[0][0])

    def begin_rewrite(self, before: datetime) -> str | None:
        """A month of rollups that ended before this and is not in order.

        None on TimescaleDB, where compression puts them in order.
        """
        if self._engine() == "timescale":
            return None
        partition: str | None = self._unless_needed("begin_rewrite", before=before)
        return partition

    def rewrite_slice(self, partition: str, pages: int) -> bool:
        """Copy its next pages in order; False: all are copied."""
        return bool(self._rows("rewrite_slice", partition=partition, pages=pages)[0][0])

    def finish_rewrite(self, partition: str) -> bool:
        """Put the copy in its place; False: it has to be made again."""
        is_done = self._unless_needed("finish_rewrite", partition=partition)
        if is_done is None:
            raise StillNeeded("transactions from before the copy was whole are at work")
        return bool(is_done)

    def last_purges(self) -> list[Purge]:
        """The last purge of each level."""
        return [Purge(*row) for row in self._rows("last_purges")]

    def rewritten(self) -> tuple[int, int]:
        """Months of rollups that are in order, and that are being put in order; plain only."""
        done, copying = self._rows("rewritten")[0]
        return int(done), int(copying)


def describe(database: Database) -> list[str]:
    """Lines that say what is closed or compressed, what that saves, and what was purged last."""
    retention = SqlRetentionStore(database)
    lines = timescale.describe(database) if engine_of(database) == "timescale" else _plain(database)
    purges = retention.last_purges()
    lines += [
        f"last purge of {purge.level}: to {purge.up_to:%Y-%m-%d %H:%M}, "
        f"{purge.partitions} partitions, {purge.rows:,} rows, on {purge.at:%Y-%m-%d %H:%M}"
        for purge in purges
    ]
    return lines if purges else [*lines, "nothing was purged yet"]


def _plain(database: Database) -> list[str]:
    segments = SqlSegmentStore(database)
    days = segments.days()
    closed = [day for day in days if day.state == "closed"]
    readings = sum(day.readings for day in closed)
    size = sum(day.bytes or 0 for day in closed)
    each = f"{size / readings:.2f} bytes a reading" if readings else "no readings"
    done, copying = SqlRetentionStore(database).rewritten()
    return [
        f"closed days: {len(closed)}, {readings:,} readings, {size:,} bytes, {each}",
        *(
            f"closing {day.day}: {day.segments} segments of {day.readings} readings so far"
            for day in days
            if day.state == "closing"
        ),
        *(f"late rows to merge: {day}" for day in segments.late_days()),
        f"months of rollups in order: {done}, being put in order: {copying}",
    ]
