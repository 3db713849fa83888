"""Stored readings, as charts and tables ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol
from uuid import UUID

import msgspec

from traksense.domain.errors import Invalid, NotFound
from traksense.domain.readings import PointType, Value
from traksense.i18n.catalogue import text
from traksense.services.scope import Scope

Aggregation = Literal["auto", "raw", "1m", "5m", "1h"]
Row = tuple[datetime, Value, int]
"""``ts``, ``value``, ``qual`` of one reading."""

MAX_POINTS: Final = 10
DEFAULT_ROWS: Final = 2_000
MAX_ROWS: Final = 50_000
MAX_ROWS_TOTAL: Final = 100_000

# Lambda's limit on an answer is 6 MB, and the body is escaped once more as a JSON string in it,
# where each quotation mark (two a row, and those of texts) takes one byte more.
MAX_ANSWER_BYTES: Final = 5_500_000
_ENVELOPE_BYTES: Final = 1_000


@dataclass(frozen=True, slots=True)
class LatestReading:
    """The newest reading of a point; ``ts``, ``value`` and ``qual`` None where it has none."""

    point_id: UUID
    name: str
    type: PointType
    unit: str | None
    ts: datetime | None
    value: Value | None
    qual: int | None


class Series(msgspec.Struct):
    """The readings of one point, oldest first, in the shape that the API answers."""

    device_id: UUID
    point_id: UUID
    name: str
    type: PointType
    unit: str | None
    agg: Literal["raw"]
    degraded: bool
    truncated: bool
    next_from: datetime | None
    """The instant of the first reading that was left out; None where none was."""
    columns: tuple[str, ...]
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """A point and its readings, one more than wanted where there are more."""

    device_id: UUID
    point_id: UUID
    name: str
    type: PointType
    unit: str | None
    rows: list[Row]
    more: bool
    """Whether the last row stands only for what follows."""


@dataclass(frozen=True, slots=True)
class PointsQuestion:
    """Which readings are wanted: of these points from ``start`` to before ``end``."""

    device: UUID | str
    """Id or name."""
    points: Sequence[UUID | str]
    """Ids or names, in the order of the answer."""
    start: datetime
    end: datetime
    agg: Aggregation = "auto"
    max_points: int = DEFAULT_ROWS


class ReadingStore(Protocol):
    """Where readings are kept. ``scope`` always names a tenant here."""

    def series(
        self, scope: Scope, question: PointsQuestion, rows: int, text_bytes: int
    ) -> Sequence[FoundSeries | str | UUID] | None:
        """Each point's readings, or the point as it was asked for where there is none such.

        At most ``rows`` + 1 of each, and about ``text_bytes`` of texts. None where there is no
        such device. A point that was named twice comes once.
        """

    def latest(self, scope: Scope, device: UUID | str) -> Sequence[LatestReading] | None:
        """Each point's newest reading; None where there is no such device."""


class ReadingsQuery:
    """What the API asks about readings.

    ``tenant_of`` finds a device's tenant in the sight of all tenants: readings are seen through
    one tenant's views only, so an operator's question takes on the sight of the device's tenant.
    """

    def __init__(self, store: ReadingStore, tenant_of: Callable[[UUID], UUID | None]) -> None:
        self._store = store
        self._tenant_of = tenant_of

    def series(self, scope: Scope, question: PointsQuestion) -> list[Series]:
        """Readings of up to MAX_POINTS points. Raises Invalid, NotFound."""
        _check(question)
        sight = self._sight(scope, question.device)
        count = len(question.points)
        rows = min(question.max_points, MAX_ROWS_TOTAL // count)
        found = self._store.series(sight, question, rows, MAX_ANSWER_BYTES // count)
        if found is None:
            raise NotFound(text("device.not_found"))
        for item in found:
            if not isinstance(item, FoundSeries):
                raise NotFound(text("point.not_found", point=item))
        return fit([_series(item) for item in found if isinstance(item, FoundSeries)])

    def latest(self, scope: Scope, device: UUID | str) -> Sequence[LatestReading]:
        """Each point's newest reading. Raises Invalid, NotFound."""
        found = self._store.latest(self._sight(scope, device), device)
        if found is None:
            raise NotFound(text("device.not_found"))
        return found

    def _sight(self, scope: Scope, device: UUID | str) -> Scope:
        """The scope itself where it names a tenant, else that of the device's tenant."""
        if scope.tenant_id is not None:
            return scope
        if not isinstance(device, UUID):
            message = text("device.name_needs_tenant")
            raise Invalid(message, (("query.device", message),))
        tenant_id = self._tenant_of(device)
        if tenant_id is None:
            raise NotFound(text("device.not_found"))
        return Scope.of(tenant_id)


def fit(series: list[Series], most_bytes: int = MAX_ANSWER_BYTES) -> list[Series]:
    """Shorten series until their rows fit into an answer, each with its ``next_from``."""
    share = (most_bytes - _ENVELOPE_BYTES) // max(len(series), 1)
    for one in series:
        while len(one.rows) > 1:
            encoded = msgspec.json.encode(one.rows)
            size = len(encoded) + encoded.count(b'"') + encoded.count(b"\\")
            if size <= share:
                break
            _cut(one, min(len(one.rows) - 1, max(1, len(one.rows) * share // size)))
    return series


def _cut(series: Series, keep: int) -> None:
    series.next_from = series.rows[keep][0]
    series.truncated = True
    del series.rows[keep:]


def _series(found: FoundSeries) -> Series:
    series = Series(
        device_id=found.device_id,
        point_id=found.point_id,
        name=found.name,
        type=found.type,
        unit=found.unit,
        agg="raw",
        degraded=False,
        truncated=False,
        next_from=None,
        columns=("ts", "value", "qual"),
        rows=found.rows,
    )
    if found.more:
        _cut(series, len(series.rows) - 1)
    return series


def _check(question: PointsQuestion) -> None:
    if not question.points:
        raise _invalid("query.point", "points.none")
    if len(question.points) > MAX_POINTS:
        raise _invalid("query.point", "points.too_many", most=MAX_POINTS)
    if question.start >= question.end:
        raise _invalid("query.from", "points.range")
    if question.agg not in ("auto", "raw"):
        raise _invalid("query.agg", "points.agg_not_available", agg=question.agg)


def _invalid(where: str, key: str, **params: object) -> Invalid:
    message = text(key, **params)
    return Invalid(message, ((where, message),))
