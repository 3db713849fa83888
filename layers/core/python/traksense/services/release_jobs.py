"""Long work of a release, slice by slice, while the platform runs.

Each slice is a transaction of its own that also says how far the job is: a runner that is killed
leaves it where its last slice ended, and two runners never do the same slice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

BUDGET_S: Final = 30.0
"""A run begins nothing more after so long: the schedule calls again within a minute, and the
database has the rest of it to itself."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobState:
    """A job that a release registered."""

    number: int
    label: str
    """``0030_fill_names``."""
    is_known: bool
    """Whether this release has it; another one's is left to that one."""
    needs: frozenset[int]
    registered_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    slices: int
    rows: int
    failures: int
    """In a row."""
    error: str | None
    """What its last try failed with."""
    next_try_at: datetime | None

    @property
    def state(self) -> str:
        """``waiting``, ``working``, ``failing`` or ``finished``."""
        if self.finished_at is not None:
            return "finished"
        if self.failures:
            return "failing"
        return "waiting" if self.started_at is None else "working"


@dataclass(frozen=True, slots=True)
class Advance:
    """What a slice did."""

    rows: int
    is_last: bool
    has_to_wait: bool = False
    """Nothing could be done now."""


class SliceFailed(Exception):
    """A slice was undone, and that is noted; the message says why."""


class JobStore(Protocol):
    """The jobs and their database. Every method raises DatabaseAway."""

    def states(self) -> Sequence[JobState]:
        """Every registered job, in order."""

    def advance(self, number: int) -> Advance | None:
        """Do the next slice of a job; None: somebody else is at it. Raises SliceFailed."""


@dataclass(frozen=True, slots=True)
class JobsReport:
    """What a run did, and what is left."""

    finished: tuple[str, ...]
    slices: int
    rows: int
    left: int
    """Jobs of this release that are not finished."""
    failing: int
    """Those of them whose last try failed."""


class ReleaseJobs:
    """Does what the releases registered, in order."""

    def __init__(
        self,
        store: JobStore,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._now = now
        self._clock = clock

    def states(self) -> Sequence[JobState]:
        """Every registered job, in order. Raises DatabaseAway."""
        return self._store.states()

    def run(self, budget_s: float = BUDGET_S) -> JobsReport:
        """Do what can be done within a time. Raises DatabaseAway."""
        ends = self._clock() + budget_s
        finished: list[str] = []
        slices = rows = 0
        tried: set[int] = set()
        while self._clock() < ends:
            job = self._next(tried)
            if job is None:
                break
            tried.add(job.number)
            try:
                for done in self._slices(job, ends):
                    slices += 1
                    rows += done.rows
                    if done.is_last:
                        finished.append(job.label)
                        _log.info("the job %s is finished", job.label)
            except SliceFailed as error:
                _log.warning("the job %s failed, and is tried again: %s", job.label, error)
        left = [each for each in self._store.states() if each.is_known and not each.finished_at]
        failing = sum(each.failures > 0 for each in left)
        return JobsReport(tuple(finished), slices, rows, len(left), failing)

    def _next(self, tried: set[int]) -> JobState | None:
        """Looked up anew each time: what a job finishes, another one may have waited for."""
        states = self._store.states()
        finished = {each.number for each in states if each.finished_at is not None}
        now = self._now()
        return next(
            (
                each
                for each in states
                if each.is_known
                and each.number not in finished | tried
                and each.needs <= finished
                and (each.next_try_at is None or each.next_try_at <= now)
            ),
            None,
        )

    def _slices(self, job: JobState, ends: float) -> Iterator[Advance]:
        while self._clock() < ends:
            advance = self._store.advance(job.number)
            if advance is None or advance.has_to_wait:
                return
            yield advance
            if advance.is_last:
                return
