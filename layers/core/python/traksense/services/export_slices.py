"""A chunk's parts cut into slices that fit into memory, by what was seen of the parts so far.

A slice is a span of one point. How dense a point reports is not known before it is read: a slice
that turns out to hold more than it may is answered up to there, and the next one goes on behind
its last row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

SLICE_ROWS: Final = 50_000
"""About 5 MB of CSV."""
TEXT_SLICE_ROWS: Final = 4_000
"""Of texts, which may have 4,096 characters each: usually as little, 64 MB at the very worst."""
BATCH_ROWS: Final = 200_000
"""Expected in the slices of one statement, so that it takes about half a second."""
BATCH_SLICES: Final = 64

_DAY: Final = timedelta(days=1)
_LONGEST: Final = 30 * _DAY
_SHORTEST: Final = timedelta(seconds=1)
_TICK: Final = timedelta(microseconds=1)
"""Between two instants that the database can tell apart."""


@dataclass(frozen=True, slots=True)
class Part:
    """A point between two instants, ``end`` exclusive."""

    point_id: UUID
    start: datetime
    end: datetime
    most: int
    """Rows of a slice of it."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one row of an answer holds: at most ``most`` rows, oldest first."""

    point_id: UUID
    start: datetime
    end: datetime
    most: int


class Slicer:
    """Cuts the parts in their order. After each slice it is told what came of it."""

    def __init__(self, parts: Sequence[Part], planned_rows: int) -> None:
        """``planned_rows`` of all parts: the first guess of how dense they are."""
        self._parts = [part for part in parts if part.start < part.end]
        self._part = 0
        self._at = self._parts[0].start if self._parts else datetime.min.replace(tzinfo=UTC)
        seconds = sum((part.end - part.start).total_seconds() for part in self._parts)
        self._rows_per_s = planned_rows / seconds if seconds else 0.0

    def batch(self) -> list[Slice]:
        """The next slices, for one statement; none: everything was read."""
        slices: list[Slice] = []
        expected = 0.0
        index, at = self._part, self._at
        while index < len(self._parts) and len(slices) < BATCH_SLICES and expected < BATCH_ROWS:
            part = self._parts[index]
            end = self._end(part, at)
            slices.append(Slice(part.point_id, at, end, part.most))
            expected += (end - at).total_seconds() * self._rows_per_s
            if end < part.end:
                at = end
            else:
                index += 1
                at = self._parts[index].start if index < len(self._parts) else end
        return slices

    def saw(self, read: Slice, rows: int, last: datetime | None) -> bool:
        """Note how many rows the next slice had and when the last of them was.

        False: it was cut short, so that what follows it in its batch is not what follows its rows.
        """
        is_cut = last is not None and rows >= read.most
        end = last + _TICK if is_cut and last is not None else read.end
        self._rows_per_s = rows / max((end - read.start).total_seconds(), 1e-6)
        if end < self._parts[self._part].end:
            self._at = end
        else:
            self._part += 1
            if self._part < len(self._parts):
                self._at = self._parts[self._part].start
        return not is_cut

    def _end(self, part: Part, start: datetime) -> datetime:
        """Where a slice ends that is expected to be half full."""
        step = _LONGEST
        if self._rows_per_s > 0:
            wanted = part.most / 2 / self._rows_per_s
            step = min(_LONGEST, max(_SHORTEST, timedelta(seconds=min(wanted, 1e7))))
        # At midnight UTC, because a closed day is unpacked as a whole for each slice that meets it.
        end = min(start + step, part.end)
        utc = end.astimezone(UTC)
        midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if end < part.end and midnight > start else end
