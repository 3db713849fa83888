"""A series as it is answered: its rows by column, and what was done to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from traksense.domain.readings import PointType
from traksense.services.instants import minute_stamps, stamps
from traksense.services.series_levels import WIDTH_US, Level, Window
from traksense.services.thinning import keep_extremes, largest_triangles

Reduction = Literal["lttb", "changes"]

RAW_COLUMNS: Final = ("ts", "value", "qual")
ROLLUP_COLUMNS: Final = ("ts", "avg", "min", "max", "count")

# Lambda's limit on an answer is 6 MB, and the body is escaped once more as a JSON string in it,
# where each quotation mark takes one byte more.
MAX_ANSWER_BYTES: Final = 5_500_000
_ENVELOPE_BYTES: Final = 1_000


@dataclass(frozen=True, slots=True)
class PointOfDevice:
    """A point, and the device that it is one of."""

    device_id: UUID
    point_id: UUID
    name: str
    type: PointType
    unit: str | None


@dataclass(frozen=True, slots=True)
class PointsOfDevice:
    """Points of one device as they were asked for, and what holds for all of their tenant."""

    points: Sequence[PointOfDevice | None]
    """None for each that the device has not."""
    time_zone: str
    kept: Mapping[Level, timedelta]
    """How long the tenant keeps a level, where that is shorter than the platform does."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a series by column, oldest first."""

    ts: Sequence[int]
    """Microseconds since the Unix epoch: of the reading, or of the bucket's beginning."""
    columns: tuple[Sequence[Any], ...]
    """The other columns: value and qual, or avg, min, max and count."""
    more: bool = False
    """Whether the last row stands only for what follows."""

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, indexes: Sequence[int]) -> Rows:
        """Only the rows of these indexes."""
        return Rows(
            [self.ts[i] for i in indexes],
            tuple([column[i] for i in indexes] for column in self.columns),
        )

    def first(self, count: int) -> Rows:
        """Only the first rows."""
        return Rows(self.ts[:count], tuple(column[:count] for column in self.columns))


@dataclass(frozen=True, slots=True)
class Series:
    """The rows of one point, oldest first, and what they are. Instants as in Rows."""

    point: PointOfDevice
    agg: Level
    rows: Rows
    degraded: bool = False
    reduction: Reduction | None = None
    truncated: bool = False
    next_from: int | None = None
    """The instant of the first row that was left out at the end."""
    available_from: int | None = None
    """Where the level begins, if that is after the beginning of the question."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return RAW_COLUMNS if self.agg == "raw" else ROLLUP_COLUMNS

    def stamps(self) -> list[str]:
        """The instants of the rows as text."""
        spell = stamps if self.agg == "raw" else minute_stamps
        return spell(self.rows.ts)

    def ended(self, count: int) -> Series:
        """Only the first ``count`` rows; the rest is to be asked for."""
        if count >= len(self.rows):
            return self
        return replace(
            self, rows=self.rows.first(count), truncated=True, next_from=self.rows.ts[count]
        )

    def thinned(self, most: int) -> Series:
        """As many rows, all of them true ones, that show its shape. Only for numbers."""
        if most >= len(self.rows):
            return self
        kept = largest_triangles(self.rows.ts, self.rows.columns[0], most)
        if self.agg != "raw":
            kept = keep_extremes(kept, self.rows.columns[1], self.rows.columns[2])
        return replace(self, rows=self.rows.take(kept), truncated=True, reduction="lttb")

    def shortened(self, most: int, *, may_thin: bool) -> Series:
        """Thinned where that is wanted and the values are numbers, else ended."""
        if may_thin and self.point.type == "num":
            return self.thinned(most)
        return self.ended(most)

    def filled(self, window: Window) -> Series:
        """With a row for each bucket of the window, also for those that hold nothing."""
        width = WIDTH_US[self.agg]
        first = -(-window.start // width) * width
        grid = range(first, window.end, width)
        if len(grid) == len(self.rows):
            return self
        at = {ts: index for index, ts in enumerate(self.rows.ts)}
        places = [at.get(ts) for ts in grid]
        *values, counts = self.rows.columns
        columns: list[Sequence[Any]] = [
            [None if place is None else column[place] for place in places] for column in values
        ]
        columns.append([0 if place is None else counts[place] for place in places])
        return replace(self, rows=Rows(grid, tuple(columns)))


class _About(msgspec.Struct):
    device_id: UUID
    point_id: UUID
    name: str
    type: str
    unit: str | None
    agg: str
    degraded: bool
    reduction: str | None
    truncated: bool
    next_from: str | None
    available_from: str | None
    columns: tuple[str, ...]


def stamp(us: int | None) -> str | None:
    """One instant as text."""
    return None if us is None else stamps((us,))[0]


def json_rows(series: Series) -> bytes:
    """The rows as JSON: an array of arrays."""
    return msgspec.json.encode(list(zip(series.stamps(), *series.rows.columns, strict=True)))


def json_series(series: Series, rows: bytes) -> bytes:
    """A series as a JSON object around its encoded rows."""
    point = series.point
    about = _About(
        device_id=point.device_id,
        point_id=point.point_id,
        name=point.name,
        type=point.type,
        unit=point.unit,
        agg=series.agg,
        degraded=series.degraded,
        reduction=series.reduction,
        truncated=series.truncated,
        next_from=stamp(series.next_from),
        available_from=stamp(series.available_from),
        columns=series.columns,
    )
    return msgspec.json.encode(about)[:-1] + b',"rows":' + rows + b"}"


Encode = Callable[[Series], bytes]


def fit(
    series: Sequence[Series],
    encode: Encode,
    *,
    may_thin: bool,
    most_bytes: int = MAX_ANSWER_BYTES,
) -> list[tuple[Series, bytes]]:
    """Each series with its encoded rows, shortened until all of them fit into one answer."""
    encoded = [(one, encode(one)) for one in series]
    most = most_bytes - _ENVELOPE_BYTES
    if sum(_size(rows) for _, rows in encoded) <= most:
        return encoded
    share = most // len(encoded)
    return [_fit(one, rows, encode, share, may_thin) for one, rows in encoded]


def _fit(
    series: Series, rows: bytes, encode: Encode, share: int, may_thin: bool
) -> tuple[Series, bytes]:
    while len(series.rows) > 1 and (size := _size(rows)) > share:
        most = min(len(series.rows) - 1, max(1, len(series.rows) * share // size))
        series = series.shortened(most, may_thin=may_thin)
        rows = encode(series)
    return series, rows


def _size(encoded: bytes) -> int:
    """Bytes in a JSON string: quotation marks, backslashes and line ends take two."""
    return len(encoded) + encoded.count(b'"') + encoded.count(b"\\") + encoded.count(b"\n")
