"""Rollups: how far they are, and bringing them there, slice by slice.

A refresh is two short transactions for each slice: one seals the minutes that are over (ingestion
waits for that one alone), the other computes what is sealed. Cut off anywhere, the next run goes
on from what was committed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol

from traksense.domain.errors import DatabaseAway

LEVELS: Final = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "1h": timedelta(hours=1),
}
"""Widths of the buckets of each level."""
SEAL_DELAY: Final = timedelta(seconds=75)
"""How long after its end a minute stays open. What comes later is late, and costs a bucket of
its own to compute anew."""
BUDGET_S: Final = 20.0
"""A run begins no further slice after so long: the schedule calls again within a minute."""

_FIRST_SPAN: Final = timedelta(minutes=30)
_LEAST_SPAN: Final = timedelta(minutes=1)
_MOST_SPAN: Final = timedelta(days=1)
_SLICE_S: Final = 4.0
"""What one slice should take: locks, memory and what a failure undoes stay small."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice did."""

    buckets: int
    """Buckets written, of all levels."""
    marks: int
    """Late minutes dealt with."""
    is_last: bool
    """Whether nothing of what is sealed or marked is left."""


@dataclass(frozen=True, slots=True)
class LevelProgress:
    """How far a level is. ``refreshed`` is None before the first refresh of all."""

    level: str
    sealed: datetime | None
    refreshed: datetime | None
    ran_at: datetime
    """The last refresh; before the first, when the tables were made."""
    took_ms: int
    buckets: int


class RollupStore(Protocol):
    """What a refresh asks of the database. Every method raises DatabaseAway."""

    def seal(self, wall_clock: datetime, most: timedelta) -> bool | None:
        """Close the minutes that are over by this clock, at most so far past what is refreshed.

        Whether that is all of them; None: another refresh is at work.
        """

    def refresh(self, most: timedelta) -> Slice | None:
        """Compute what is sealed, at most so far at once, and the late minutes; one transaction.

        None: another refresh is at work.
        """

    def ensure_partitions(self, first: date, last: date) -> int:
        """Make the missing month partitions from one UTC day to another; how many that were."""

    def progress(self) -> list[LevelProgress]:
        """How far each level is."""


@dataclass(slots=True)
class RefreshReport:
    """What a run did."""

    buckets: int = 0
    marks: int = 0
    slices: int = 0
    complete: bool = False
    """Whether everything that could be refreshed was; else the next run goes on."""
    lag_s: dict[str, float] = field(default_factory=dict)


class Rollups:
    """Refreshes, and tells how far that is behind."""

    def __init__(
        self,
        store: RollupStore,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """``timer`` gives seconds that only ever grow."""
        self._store = store
        self._now = now
        self._timer = timer

    def refresh(self) -> RefreshReport:
        """Seal and compute until all is done or the run's time is over. Raises DatabaseAway."""
        started = self._timer()
        report = RefreshReport()
        span = _FIRST_SPAN
        while self._timer() - started < BUDGET_S:
            slice_started = self._timer()
            try:
                done = self._slice(span)
            except DatabaseAway:
                # A slice that is too much for the time limits is done in smaller ones.
                if span == _LEAST_SPAN or self._timer() - slice_started < _SLICE_S:
                    raise
                span = max(_LEAST_SPAN, span / 8)
                _log.warning("a slice of the rollups failed; trying %s at once", span)
                continue
            if done is None:
                _log.info("another refresh of the rollups is at work")
                break
            report.slices += 1
            report.buckets += done.buckets
            report.marks += done.marks
            if done.is_last:
                report.complete = True
                break
            span = _next_span(span, self._timer() - slice_started)
        report.lag_s = self.lag_s()
        return report

    def _slice(self, span: timedelta) -> Slice | None:
        is_all = self._store.seal(self._now(), span)
        done = None if is_all is None else self._store.refresh(span)
        return None if done is None else replace(done, is_last=done.is_last and is_all is True)

    def ensure_partitions(self, first: date, last: date) -> int:
        """Make the missing month partitions from one UTC day to another; how many that were.

        Raises DatabaseAway.
        """
        return self._store.ensure_partitions(first, last)

    def progress(self) -> list[LevelProgress]:
        """How far each level is. Raises DatabaseAway."""
        return self._store.progress()

    def lag_s(self) -> dict[str, float]:
        """Seconds by level that its oldest missing bucket has been due; 0 when none is.

        Before the first refresh: since when there was something to refresh into. Raises
        DatabaseAway.
        """
        now = self._now()
        return {each.level: lag(each, now).total_seconds() for each in self._store.progress()}


def lag(progress: LevelProgress, now: datetime) -> timedelta:
    """For how long the oldest bucket that a level lacks could have been refreshed."""
    if progress.refreshed is None:
        return max(timedelta(0), now - progress.ran_at)
    due = progress.refreshed + LEVELS[progress.level] + SEAL_DELAY
    return max(timedelta(0), now - due)


def _next_span(span: timedelta, took_s: float) -> timedelta:
    """Aim at slices of a few seconds, whatever the machine and the number of points."""
    factor = min(4.0, max(0.25, _SLICE_S / max(took_s, 0.001)))
    minutes = round(span * factor / _LEAST_SPAN)
    return min(_MOST_SPAN, max(_LEAST_SPAN, minutes * _LEAST_SPAN))
