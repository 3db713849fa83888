"""Ten series are read together: a statement for each level, whatever their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from traksense.services.readings_query import (
    LatestReading,
    PointsQuestion,
    ReadingsQuery,
    Reads,
)
from traksense.services.scope import Scope
from traksense.services.series import PointOfDevice, PointsOfDevice, Rows
from traksense.services.series_levels import Level, Window, microseconds

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
DEVICE = uuid4()


class CountedReads:
    """Seven numbers of a reading a second, and three states; what is asked is written down."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._points = [
            PointOfDevice(DEVICE, uuid4(), f"p{n}", "num" if n < 7 else "bool", None)
            for n in range(10)
        ]

    def points(self, device: UUID | str, points: Sequence[UUID | str]) -> PointsOfDevice | None:
        assert device == DEVICE
        self.asked.append("points")
        return PointsOfDevice(self._points[: len(points)], "UTC", {})

    def count(
        self, level: Level, points: Sequence[UUID], window: Window, most: int
    ) -> Mapping[UUID, int]:
        self.asked.append(f"count {level} of {len(points)}")
        return dict.fromkeys(points, most + 1)

    def numbers(
        self, level: Level, points: Sequence[UUID], window: Window, most: int
    ) -> Mapping[UUID, Rows]:
        self.asked.append(f"{level} of {len(points)}")
        rows = Rows([window.start], ([1.0], [1.0], [1.0], [60]))
        return dict.fromkeys(points, rows)

    def values(
        self, points: Sequence[PointOfDevice], window: Window, most: int, text_bytes: int
    ) -> Mapping[UUID, Rows]:
        raise AssertionError("every state has too many readings")

    def changes(
        self, points: Sequence[PointOfDevice], window: Window, most: int, text_bytes: int
    ) -> Mapping[UUID, Rows]:
        self.asked.append(f"changes of {len(points)}")
        return {point.point_id: Rows([window.start], ([True], [0])) for point in points}


class Store:
    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self.transactions = 0

    def reading(self, scope: Scope) -> AbstractContextManager[Reads]:
        return self._reading(scope)

    @contextmanager
    def _reading(self, scope: Scope) -> Iterator[Reads]:
        assert scope.tenant_id is not None
        self.transactions += 1
        yield self._reads

    def latest(self, scope: Scope, device: UUID | str) -> Sequence[LatestReading] | None:
        raise AssertionError


def test_ten_series_are_one_transaction_and_one_statement_a_level() -> None:
    reads = CountedReads()
    store = Store(reads)
    query = ReadingsQuery(store, lambda _: None, clock=lambda: NOW)
    points = [f"p{n}" for n in range(10)]
    found = query.series(
        Scope.of(uuid4()), PointsQuestion(DEVICE, points, NOW - timedelta(days=1), NOW)
    )
    assert [series.point.name for series in found] == points
    assert {series.agg for series in found[:7]} == {"1m"}
    assert {series.reduction for series in found[7:]} == {"changes"}
    assert store.transactions == 1
    assert sorted(reads.asked) == sorted(
        ["points", "count raw of 7", "1m of 7", "count raw of 3", "changes of 3"]
    )


def test_the_platforms_retention_says_which_level_answers_and_where_it_begins() -> None:
    kept: dict[Level, timedelta] = {
        "raw": timedelta(days=1),
        "1m": timedelta(days=2),
        "5m": timedelta(days=3),
        "1h": timedelta(days=4),
    }
    start = NOW - timedelta(days=9)
    for days, level, begins in ((1, "raw", None), (3, "5m", None), (9, "1h", kept["1h"])):
        query = ReadingsQuery(Store(CountedReads()), lambda _: None, kept, lambda: NOW)
        start = NOW - timedelta(days=days)
        question = PointsQuestion(DEVICE, ["p0"], start, NOW, agg="raw")
        (series,) = query.series(Scope.of(uuid4()), question)
        assert series.agg == level
        assert series.degraded is (level != "raw")
        midnight = NOW.replace(hour=0)
        available = None if begins is None else microseconds(midnight - begins)
        assert series.available_from == available
