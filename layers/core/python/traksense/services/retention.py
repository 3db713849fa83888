"""What is kept for how long: whole partitions go, old dead letters go, old rollups are ordered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from traksense.services.segments import SWITCH_WAITS_S

BUDGET_S: Final = 240.0
"""A run begins no further step after so long: the schedule calls again within the hour."""
ROWS_AT_ONCE: Final = 5_000
"""Rows that are deleted in one transaction."""
DEVICE_MINUTES_KEPT: Final = timedelta(days=2)
"""Longer than a queue delivers a message again."""
QUOTAS_KEPT: Final = timedelta(minutes=10)
REWRITE_PAGES: Final = 16_384
"""Pages of a rollup that are sorted at once (128 MiB): a few seconds of work."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keep:
    """How long each kind is kept."""

    raw: timedelta = timedelta(days=14)
    minutes: timedelta = timedelta(days=365)
    five_minutes: timedelta = timedelta(days=730)
    hours: timedelta = timedelta(days=1825)
    dead_letters: timedelta = timedelta(days=30)
    audit: timedelta = timedelta(days=90)

    def levels(self) -> tuple[tuple[str, timedelta], ...]:
        """The levels of telemetry and how long each is kept."""
        return (
            ("raw", self.raw),
            ("1m", self.minutes),
            ("5m", self.five_minutes),
            ("1h", self.hours),
        )


@dataclass(frozen=True, slots=True)
class Purge:
    """The last purge of a level."""

    level: str
    """``raw``, ``1m``, ``5m``, ``1h``, ``dead_letters``, or what else keeps a record there."""
    up_to: datetime
    at: datetime
    partitions: int
    rows: int
    """Counted for readings of closed days and dead letters, estimated otherwise."""


class RetentionStore(Protocol):
    """What retention asks of the database. Every method raises DatabaseAway."""

    def has_partitions(self) -> bool:
        """Whether this engine's retention is ours to run."""

    def drop_oldest(self, level: str, up_to: datetime) -> str | None:
        """Drop a level's oldest partition if it ends by then; its name. Raises StillNeeded."""

    def purge_dead_letters(self, before: datetime, most: int) -> int:
        """Delete dead letters that last came before this; how many."""

    def purge_audit_log(self, before: datetime, most: int) -> int:
        """Delete rows of the audit log from before this; how many."""

    def purge_device_minutes(self, before: datetime, most: int) -> int:
        """Delete counts of devices' messages from before this; how many."""

    def purge_request_quotas(self, before: datetime, most: int) -> int:
        """Delete counts of requests from before this; how many."""

    def begin_rewrite(self, before: datetime) -> str | None:
        """A month of rollups that ended before this and is not in order. Raises StillNeeded."""

    def rewrite_slice(self, partition: str, pages: int) -> bool:
        """Copy its next pages in order; False: all are copied."""

    def finish_rewrite(self, partition: str) -> bool:
        """Put the copy in its place; False: it has to be made again. Raises StillNeeded."""

    def last_purges(self) -> list[Purge]:
        """The last purge of each level."""


class StillNeeded(Exception):
    """It cannot go now, and is left to the next run: somebody reads it, or has to."""


@dataclass(slots=True)
class RetentionReport:
    """What a run did."""

    dropped: list[str] = field(default_factory=list)
    """Partitions."""
    dead_letters: int = 0
    audit_log: int = 0
    request_quotas: int = 0
    device_minutes: int = 0
    rewritten: list[str] = field(default_factory=list)
    """Months of rollups put in order."""
    complete: bool = True
    """False: something is left to the next run."""


class Retention:
    """Lets go of what is too old."""

    def __init__(
        self,
        store: RetentionStore,
        keep: Keep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timer: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``timer`` gives seconds that only ever grow."""
        self._store = store
        self._keep = keep
        self._now = now
        self._timer = timer
        self._sleep = sleep

    def run(self) -> RetentionReport:
        """Drop, delete and put in order until it is done or time is over. Raises DatabaseAway."""
        report = RetentionReport()
        if not self._store.has_partitions():
            return report
        ends = self._timer() + BUDGET_S
        for level, kept in (*self._keep.levels(), ("messages", self._keep.raw)):
            self._drop(level, self._cutoff(kept), ends, report)
        self._purge_rows(ends, report)
        self._rewrite(ends, report)
        return report

    def last_purges(self) -> list[Purge]:
        """The last purge of each level. Raises DatabaseAway."""
        return self._store.last_purges() if self._store.has_partitions() else []

    def _cutoff(self, kept: timedelta) -> datetime:
        """A day more than is kept, from midnight: the day that a reading accepted at this moment
        may still belong to, and whose partition is made ahead, is never dropped.
        """
        midnight = self._now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - kept - timedelta(days=1)

    def _drop(self, level: str, up_to: datetime, ends: float, report: RetentionReport) -> None:
        while self._timer() < ends:
            try:
                dropped = self._store.drop_oldest(level, up_to)
            except StillNeeded as error:
                _log.warning("a partition of %s stays for now: %s", level, error)
                break
            if dropped is None:
                return
            _log.info("%s is past its retention and was dropped", dropped)
            report.dropped.append(dropped)
        report.complete = False

    def _purge_rows(self, ends: float, report: RetentionReport) -> None:
        now, store, keep = self._now(), self._store, self._keep
        report.dead_letters = self._purge(
            store.purge_dead_letters, now - keep.dead_letters, ends, report
        )
        report.audit_log = self._purge(store.purge_audit_log, now - keep.audit, ends, report)
        report.request_quotas = self._purge(
            store.purge_request_quotas, now - QUOTAS_KEPT, ends, report
        )
        report.device_minutes = self._purge(
            store.purge_device_minutes, now - DEVICE_MINUTES_KEPT, ends, report
        )

    def _purge(
        self,
        purge: Callable[[datetime, int], int],
        before: datetime,
        ends: float,
        report: RetentionReport,
    ) -> int:
        """Delete some at once until none is left or time is over; how many."""
        gone = 0
        while self._timer() < ends:
            some = purge(before, ROWS_AT_ONCE)
            gone += some
            if some < ROWS_AT_ONCE:
                return gone
        report.complete = False
        return gone

    def _rewrite(self, ends: float, report: RetentionReport) -> None:
        """Months that no late reading can reach any more."""
        before = self._cutoff(self._keep.raw)
        while self._timer() < ends:
            try:
                partition = self._store.begin_rewrite(before)
                if partition is None:
                    return
                while self._store.rewrite_slice(partition, REWRITE_PAGES):
                    if self._timer() >= ends:
                        report.complete = False
                        return
                if self._finish_rewrite(partition):
                    report.rewritten.append(partition)
                else:
                    _log.info("%s changed while it was put in order", partition)
                    break
            except StillNeeded as error:
                _log.info("rollups stay as they lie for now: %s", error)
                break
        report.complete = False

    def _finish_rewrite(self, partition: str) -> bool:
        for wait in SWITCH_WAITS_S[:-1]:
            self._sleep(wait)
            try:
                return self._store.finish_rewrite(partition)
            except StillNeeded as error:
                _log.info("%s waits: %s", partition, error)
        self._sleep(SWITCH_WAITS_S[-1])
        return self._store.finish_rewrite(partition)
