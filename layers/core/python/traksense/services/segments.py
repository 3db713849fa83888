"""Closing days: the readings of a UTC day become one segment a point, late ones join them later.

Every step is one short transaction. Cut off anywhere, the next run goes on with the step that was
not committed; until a day is switched its readers see rows, from then on segments.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Protocol

BUDGET_S: Final = 240.0
"""A run begins no further step after so long: the schedule calls again within the hour."""
SLICE_ROWS: Final = 500_000
"""Rows of a slice, rounded up to whole points: a second or two of work."""
CATCH_UP_POINTS: Final = 200
"""Points whose segment is built anew at once. Late writers of the day wait for it."""
SWITCH_WAITS_S: Final = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Before each try to switch a day. Transactions that began before its segments were whole have so
long to end; a try waits a second for the last reader of the day's rows, and lets the others
through then."""
MERGE_POINTS: Final = 200
"""Points whose late rows are merged at once. Late writers of the day wait for it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DayStatus:
    """A day that is closed or being closed."""

    day: date
    state: str
    """``closing`` or ``closed``."""
    readings: int
    segments: int
    merged: int
    """Late readings taken in since it was closed."""
    closed_at: datetime | None
    bytes: int | None
    """On the disk, with TOAST and index."""

    @property
    def bytes_per_reading(self) -> float | None:
        """None while there is nothing to divide."""
        return None if not self.readings or self.bytes is None else self.bytes / self.readings


class SegmentStore(Protocol):
    """What closing asks of the database. Every method raises DatabaseAway."""

    def has_segments(self) -> bool:
        """Whether this engine keeps closed days as segments."""

    def closable_days(self, close_after: timedelta) -> list[date]:
        """Days that ended so long ago and are not closed, oldest first."""

    def begin_closing(self, day: date) -> None:
        """From here on, readings of the day are told apart as late ones."""

    def build_slice(self, day: date, rows: int) -> bool:
        """Build the segments of the next points; whether there were any."""

    def catch_up(self, day: date, points: int) -> int:
        """Build anew the segments of points that got readings meanwhile; how many."""

    def finish_closing(self, day: date) -> bool:
        """Put the segments in the rows' place; False while somebody is at work who holds on to
        the rows, or began before all segments were there.
        """

    def late_days(self) -> list[date]:
        """Closed days with late rows."""

    def merge_late(self, day: date, points: int) -> tuple[int, int]:
        """Take late rows into their segments: how many points, how many readings."""

    def days(self) -> list[DayStatus]:
        """The days that are closed or being closed, newest first."""


@dataclass(slots=True)
class CloseReport:
    """What a run did."""

    closed: int = 0
    """Days that became segments."""
    merged: int = 0
    """Late readings taken into segments."""
    waiting: int = 0
    """Days that are due and could not be closed."""
    complete: bool = True
    """False: something is left to the next run."""


class Segments:
    """Closes days and merges late readings."""

    def __init__(
        self,
        store: SegmentStore,
        close_after: timedelta = timedelta(days=2),
        timer: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``close_after``: how long after its end a day is closed, at least a day."""
        self._store = store
        self._close_after = close_after
        self._timer = timer
        self._sleep = sleep

    def close(self) -> CloseReport:
        """Close what can be closed and merge what came late. Raises DatabaseAway."""
        report = CloseReport()
        if not self._store.has_segments():
            return report
        ends = self._timer() + BUDGET_S
        # Late readings first: they are few, and a day takes long.
        for day in self._store.late_days():
            self._merge(day, ends, report)
        days = self._store.closable_days(self._close_after)
        for day in days:
            if self._timer() >= ends or not self._close_day(day, ends):
                # Who holds on to one day's rows may hold on to all of them: try in an hour.
                report.complete = False
                break
            report.closed += 1
            _log.info("the readings of %s are segments now", day)
        report.waiting = len(days) - report.closed
        return report

    def days(self) -> list[DayStatus]:
        """The days that are closed or being closed, newest first. Raises DatabaseAway."""
        return self._store.days() if self._store.has_segments() else []

    def _merge(self, day: date, ends: float, report: CloseReport) -> None:
        while self._timer() < ends:
            points, merged = self._store.merge_late(day, MERGE_POINTS)
            report.merged += merged
            if points == 0:
                return
        report.complete = False

    def _close_day(self, day: date, ends: float) -> bool:
        self._store.begin_closing(day)
        while self._store.build_slice(day, SLICE_ROWS):
            if self._timer() >= ends:
                return False
        while self._store.catch_up(day, CATCH_UP_POINTS) == CATCH_UP_POINTS:
            if self._timer() >= ends:
                return False
        for wait in SWITCH_WAITS_S:
            self._sleep(wait)
            if self._store.finish_closing(day):
                return True
        _log.info("%s stays in rows for now: somebody reads it, or might", day)
        return False
