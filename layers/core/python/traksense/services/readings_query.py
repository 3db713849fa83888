"""Stored readings, as charts and tables ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Protocol
from uuid import UUID

from traksense.domain.errors import Invalid, NotFound
from traksense.domain.readings import PointType, Value
from traksense.i18n.catalogue import text
from traksense.services.cache import Cache
from traksense.services.paging import Malformed
from traksense.services.scope import Scope
from traksense.services.series import (
    MAX_ANSWER_BYTES,
    PointOfDevice,
    PointsOfDevice,
    Rows,
    Series,
)
from traksense.services.series_levels import (
    DEFAULT_RETENTION,
    Aggregation,
    Choice,
    Level,
    Levels,
    Window,
    microseconds,
)

Fill = Literal["none", "null"]
Thin = Literal["lttb", "none"]

MAX_POINTS: Final = 10
DEFAULT_ROWS: Final = 2_000
MAX_ROWS: Final = 50_000
MAX_ROWS_TOTAL: Final = 100_000
MAX_THINNED: Final = 1_000_000
"""Most rows of all series that are read to be thinned: memory and seconds of a Lambda."""


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
    fill: Fill = "none"
    thin: Thin = "lttb"
    """``none``: a long ``num`` series ends, as others do, to be read on from ``next_from``."""


class FindPoints(Protocol):
    """What finds the points of a device."""

    def points(self, device: UUID | str, points: Sequence[UUID | str]) -> PointsOfDevice | None:
        """In the order asked; None where there is no such device."""


class Reads(FindPoints, Protocol):
    """What is read within one transaction, in one tenant's sight."""

    def count(
        self, level: Level, points: Sequence[UUID], window: Window, most: int
    ) -> Mapping[UUID, int]:
        """How many rows a level holds of each point; counting ends beyond ``most``."""

    def numbers(
        self, level: Level, points: Sequence[UUID], window: Window, most: int
    ) -> Mapping[UUID, Rows]:
        """The first ``most`` rows of ``num`` points, and one more where there are more."""

    def values(
        self, points: Sequence[PointOfDevice], window: Window, most: int, text_bytes: int
    ) -> Mapping[UUID, Rows]:
        """The first readings of other points, and one more where there are more.

        At most ``most`` of each, and about ``text_bytes`` of texts.
        """

    def changes(
        self, points: Sequence[PointOfDevice], window: Window, most: int, text_bytes: int
    ) -> Mapping[UUID, Rows]:
        """As ``values``, only readings whose value is not that of the reading before."""


class ReadingStore(Protocol):
    """Where readings are kept. ``scope`` always names a tenant here."""

    def reading(self, scope: Scope) -> AbstractContextManager[Reads]:
        """One transaction. Raises DatabaseAway."""

    def latest(self, scope: Scope, device: UUID | str) -> Sequence[LatestReading] | None:
        """Each point's newest reading; None where there is no such device."""


@dataclass(frozen=True, slots=True)
class ReadingsQuery:
    """What the API asks about readings.

    ``tenant_of`` finds a device's tenant in the sight of all tenants: readings are seen through
    one tenant's views only, so an operator's question takes on the sight of the device's tenant.
    """

    store: ReadingStore
    tenant_of: Callable[[UUID], UUID | None]
    retention: Mapping[Level, timedelta] = field(default_factory=lambda: DEFAULT_RETENTION)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    cache: Cache = field(default_factory=Cache)

    def series(self, scope: Scope, question: PointsQuestion) -> list[Series]:
        """Readings of up to MAX_POINTS points. Raises Invalid, NotFound, DatabaseAway."""
        _check(question)
        window = Window(microseconds(question.start), microseconds(question.end))
        within = sight(scope, question.device, self.tenant_of)
        with self.store.reading(within) as reads:
            found, points = find_points(reads, question.device, question.points, within, self.cache)
            levels = Levels(self.retention, self.clock(), found.kept)
            if question.agg not in ("auto", "raw"):
                refuse_other_than_numbers(points, "query.agg")
            return _Answer(question, window, levels, reads, points).series()

    def latest(self, scope: Scope, device: UUID | str) -> Sequence[LatestReading]:
        """Each point's newest reading. Raises Invalid, NotFound."""
        found = self.store.latest(sight(scope, device, self.tenant_of), device)
        if found is None:
            raise NotFound(text("device.not_found"))
        return found


class _Answer:
    """One question on its way through one transaction."""

    def __init__(
        self,
        question: PointsQuestion,
        window: Window,
        levels: Levels,
        reads: Reads,
        points: Sequence[PointOfDevice],
    ) -> None:
        self._question = question
        self._window = window
        self._levels = levels
        self._reads = reads
        self._points = points
        self._most = min(question.max_points, MAX_ROWS_TOTAL // len(points))
        self._may_thin = question.thin == "lttb"

    def series(self) -> list[Series]:
        choices = self._choices()
        rows: dict[UUID, Rows] = {}
        for choice in set(choices.values()):
            group = [point for point in self._points if choices[point.point_id] == choice]
            rows |= self._read(choice, group)
        return [
            self._finished(point, choices[point.point_id], rows[point.point_id])
            for point in self._points
        ]

    def _choices(self) -> dict[UUID, Choice]:
        numbers = [point.point_id for point in self._points if point.type == "num"]
        others = [point.point_id for point in self._points if point.type != "num"]
        asked = self._question.agg
        if asked != "auto":
            explicit = self._levels.explicit(asked, self._window.start)
            return dict.fromkeys(numbers, explicit) | dict.fromkeys(others, Choice("raw"))
        chosen = self._levels.finest(
            numbers, self._window, self._most, self._count, is_filled=self._question.fill == "null"
        )
        if others:
            counts = self._count("raw", others, self._most)
            for point in others:
                chosen[point] = Choice("raw", is_reduced=counts[point] > self._most)
        return chosen

    def _count(self, level: Level, points: Sequence[UUID], most: int) -> Mapping[UUID, int]:
        return self._reads.count(level, points, self._window, most)

    def _read(self, choice: Choice, group: Sequence[PointOfDevice]) -> dict[UUID, Rows]:
        numbers = [point.point_id for point in group if point.type == "num"]
        others = [point for point in group if point.type != "num"]
        rows: dict[UUID, Rows] = {}
        if numbers:
            most = MAX_THINNED // len(self._points) if self._may_thin else self._most
            rows |= self._reads.numbers(choice.level, numbers, self._window, most)
        if others:
            read = self._reads.changes if choice.is_reduced else self._reads.values
            share = MAX_ANSWER_BYTES // len(self._points)
            rows |= read(others, self._window, self._most, share)
        return rows

    def _finished(self, point: PointOfDevice, choice: Choice, rows: Rows) -> Series:
        level, window = choice.level, self._window
        oldest = self._levels.oldest(level)
        series = Series(
            point,
            level,
            rows,
            degraded=choice.is_degraded or self._is_degraded(choice, rows),
            reduction="changes" if choice.is_reduced else None,
            available_from=oldest if oldest > window.start else None,
        )
        if rows.more:
            series = series.ended(len(rows) - 1)
        if point.type == "num":
            series = series.thinned(self._most)
        if level != "raw" and self._question.fill == "null":
            series = self._filled(series)
        return series

    def _is_degraded(self, choice: Choice, rows: Rows) -> bool:
        if self._question.agg != "auto" or choice.level == "raw":
            return False
        return self._levels.would_have_been_finer(
            choice.level, self._window, len(rows), sum(rows.columns[-1]), self._most
        )

    def _filled(self, series: Series) -> Series:
        """With its empty buckets, as far as there is room for all of them."""
        if series.reduction is not None:
            return series
        window = self._window
        if series.next_from is not None:
            window = Window(window.start, series.next_from)
        buckets = window.most_buckets(series.agg)
        if buckets is not None and buckets <= self._most:
            return series.filled(window)
        return replace(series, truncated=True)


def sight(scope: Scope, device: UUID | str, tenant_of: Callable[[UUID], UUID | None]) -> Scope:
    """The scope itself where it names a tenant, else that of the device's tenant.

    Raises Invalid, NotFound.
    """
    if scope.tenant_id is not None:
        return scope
    if not isinstance(device, UUID):
        message = text("device.name_needs_tenant")
        raise Invalid(message, (("query.device", message),))
    tenant_id = tenant_of(device)
    if tenant_id is None:
        raise NotFound(text("device.not_found"))
    return Scope.of(tenant_id)


def find_points(
    reads: FindPoints,
    device: UUID | str,
    wanted: Sequence[UUID | str],
    within: Scope,
    cache: Cache,
) -> tuple[PointsOfDevice, list[PointOfDevice]]:
    """What was found, and its points in the order asked, each once. Raises NotFound.

    ``within`` is the scope that ``reads`` sees.
    """

    def load() -> tuple[PointsOfDevice, list[PointOfDevice]]:
        found = reads.points(device, wanted)
        if found is None:
            raise NotFound(text("device.not_found"))
        once: dict[UUID, PointOfDevice] = {}
        for name, point in zip(wanted, found.points, strict=True):
            if point is None:
                raise NotFound(text("point.not_found", point=name))
            once[point.point_id] = point
        return found, list(once.values())

    key = (within.tenant_id, device, tuple(wanted))
    return cache.get("points", key, load) or load()


def check_points(points: Sequence[UUID | str]) -> None:
    """At least one, at most MAX_POINTS. Raises Invalid."""
    if not points:
        raise invalid("query.point", "points.none")
    if len(points) > MAX_POINTS:
        raise invalid("query.point", "points.too_many", most=MAX_POINTS)


def refuse_other_than_numbers(points: Sequence[PointOfDevice], where: str) -> None:
    """Only numbers can be aggregated. Raises Malformed."""
    for point in points:
        if point.type != "num":
            message = text("points.agg_not_numeric", point=point.name, type=point.type)
            raise Malformed(message, ((where, message),))


def invalid(where: str, key: str, **params: object) -> Invalid:
    """The error of one value, in the catalogue's words."""
    message = text(key, **params)
    return Invalid(message, ((where, message),))


def _check(question: PointsQuestion) -> None:
    check_points(question.points)
    if question.start >= question.end:
        raise invalid("query.from", "points.range")
