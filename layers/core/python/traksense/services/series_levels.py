"""Levels of detail of a series, and which of them answers a question.

Readings themselves are the finest level, then their rollups per minute, five minutes and hour,
each kept for longer than the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, Protocol
from uuid import UUID

Level = Literal["raw", "1m", "5m", "1h"]
Aggregation = Literal["auto", "raw", "1m", "5m", "1h"]

LEVELS: Final[tuple[Level, ...]] = ("raw", "1m", "5m", "1h")
"""From the finest to the coarsest."""
COARSEST: Final[Level] = LEVELS[-1]

WIDTH_US: Final[Mapping[Level, int]] = MappingProxyType(
    {"1m": 60_000_000, "5m": 300_000_000, "1h": 3_600_000_000}
)
"""Microseconds of a bucket."""

DEFAULT_RETENTION: Final[Mapping[Level, timedelta]] = MappingProxyType(
    {
        "raw": timedelta(days=14),
        "1m": timedelta(days=365),
        "5m": timedelta(days=730),
        "1h": timedelta(days=1825),
    }
)

_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(instant: datetime) -> int:
    """Microseconds since the Unix epoch."""
    return (instant - _EPOCH) // _MICROSECOND


def instant_of(us: int) -> datetime:
    """The instant that is so many microseconds after the Unix epoch, in UTC."""
    return _EPOCH + timedelta(microseconds=us)


@dataclass(frozen=True, slots=True)
class Window:
    """From ``start`` to before ``end``, in microseconds since the Unix epoch."""

    start: int
    end: int

    def most_buckets(self, level: Level) -> int | None:
        """How many buckets begin in the window; None for readings, which come as they like."""
        width = WIDTH_US.get(level)
        return None if width is None else (self.end - 1) // width - (self.start - 1) // width


@dataclass(frozen=True, slots=True)
class Choice:
    """The level that answers for a series."""

    level: Level
    is_degraded: bool = False
    """A finer level was due, and no longer reaches back far enough."""
    is_reduced: bool = False
    """Only where the value changes: there are too many readings, and they have no rollups."""


class CountRows(Protocol):
    """Counts what a level holds of some points in the window, up to a bound."""

    def __call__(self, level: Level, points: Sequence[UUID], most: int) -> Mapping[UUID, int]:
        """Rows by point; a count beyond ``most`` is only said to be greater."""


class Levels:
    """How far back each level reaches at a moment.

    Storage lets go of whole UTC days: what lies in the day in which a level's retention ends is
    still there. ``hidden_after`` is what a tenant keeps for less long, to the instant.
    """

    def __init__(
        self,
        retention: Mapping[Level, timedelta],
        now: datetime,
        hidden_after: Mapping[Level, timedelta] = MappingProxyType({}),
    ) -> None:
        self._oldest: dict[Level, int] = {
            level: microseconds(
                max(
                    _midnight(now - retention[level]),
                    now - hidden_after.get(level, retention[level] + _DAY),
                )
            )
            for level in LEVELS
        }

    def oldest(self, level: Level) -> int:
        """The oldest instant that a level still holds, in microseconds since the Unix epoch."""
        return self._oldest[level]

    def reaching(self, start: int) -> tuple[Level, ...]:
        """The levels that reach back to an instant; the coarsest alone where none does."""
        found = tuple(level for level in LEVELS if self._oldest[level] <= start)
        return found or (COARSEST,)

    def explicit(self, asked: Level, start: int) -> Choice:
        """The level that was asked for, or the next coarser one that reaches back."""
        level = next(
            (level for level in self.reaching(start) if LEVELS.index(level) >= LEVELS.index(asked)),
            COARSEST,
        )
        return Choice(level, is_degraded=level != asked)

    def finest(
        self,
        points: Sequence[UUID],
        window: Window,
        most: int,
        count: CountRows,
        *,
        is_filled: bool,
    ) -> dict[UUID, Choice]:
        """For each ``num`` point the finest level that reaches back and has ``most`` rows or less.

        ``is_filled``: empty buckets are rows as well. A level is only counted where its buckets
        alone do not say that it fits; the coarsest one is taken whether it fits or not.
        """
        chosen: dict[UUID, Choice] = {}
        remaining = list(points)
        for level in self.reaching(window.start):
            buckets = window.most_buckets(level)
            if level == COARSEST or (buckets is not None and buckets <= most):
                fitting = remaining
            elif buckets is not None and is_filled:
                fitting = []
            else:
                counts = count(level, remaining, most)
                fitting = [point for point in remaining if counts[point] <= most]
            chosen |= dict.fromkeys(fitting, Choice(level))
            remaining = [point for point in remaining if point not in chosen]
            if not remaining:
                break
        return chosen

    def would_have_been_finer(
        self, level: Level, window: Window, rows: int, readings: int, most: int
    ) -> bool:
        """Whether a finer level, were it still there, would have fitted as well.

        Known from what the taken ``level`` holds: a finer one has no more rows than there were
        readings, nor more than its buckets within the taken level's.
        """
        for finer in LEVELS[: LEVELS.index(level)]:
            if self._oldest[finer] <= window.start:
                continue
            bounds = [readings]
            if finer in WIDTH_US:
                bounds.append(rows * (WIDTH_US[level] // WIDTH_US[finer]))
            if min(bounds) <= most:
                return True
        return False


def _midnight(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
