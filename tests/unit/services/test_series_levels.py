"""Which level of detail answers: the finest that reaches back and fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from traksense.services.series_levels import (
    DEFAULT_RETENTION,
    LEVELS,
    Choice,
    Level,
    Levels,
    Window,
    instant_of,
    microseconds,
)

NOW = datetime(2026, 3, 20, 12, 34, 56, 789, tzinfo=UTC)
POINT = uuid4()


def window(days: float, *, until: datetime = NOW) -> Window:
    return Window(microseconds(until - timedelta(days=days)), microseconds(until))


def reach() -> Levels:
    return Levels(DEFAULT_RETENTION, NOW)


class Counted:
    """Counts as a point that speaks every ``seconds`` would have it, and what was counted."""

    def __init__(self, asked: Window, seconds: float) -> None:
        self._span_s = (asked.end - asked.start) / 1e6
        self._seconds = seconds
        self.levels: list[Level] = []

    def __call__(self, level: Level, points: Sequence[UUID], most: int) -> Mapping[UUID, int]:
        self.levels.append(level)
        width = {"raw": 0, "1m": 60, "5m": 300, "1h": 3600}[level]
        found = int(self._span_s / max(self._seconds, width))
        return dict.fromkeys(points, min(found, most + 1))


@pytest.mark.parametrize(
    ("days", "seconds", "most", "level", "counted"),
    [
        (1 / 24, 10, 2000, "raw", ["raw"]),
        (1, 10, 2000, "1m", ["raw"]),
        (1, 10, 1440, "1m", ["raw"]),
        (1, 10, 1439, "5m", ["raw", "1m"]),
        (1, 10, 8640, "raw", ["raw"]),
        (3, 10, 2000, "5m", ["raw", "1m"]),
        (13, 10, 2000, "1h", ["raw", "1m", "5m"]),
        (13, 900, 2000, "raw", ["raw"]),
        (30, 10, 2000, "1h", ["1m", "5m"]),
        (30, 10, 50_000, "1m", []),
        (30, 1800, 2000, "1m", ["1m"]),
        (400, 10, 2000, "1h", ["5m"]),
        (1800, 10, 2000, "1h", []),
        (4000, 10, 2000, "1h", []),
    ],
)
def test_auto_takes_the_finest_level_that_reaches_back_and_fits(
    days: float, seconds: float, most: int, level: Level, counted: list[Level]
) -> None:
    asked = window(days)
    count = Counted(asked, seconds)
    chosen = reach().finest([POINT], asked, most, count, is_filled=False)
    assert chosen == {POINT: Choice(level)}
    assert count.levels == counted


def test_a_filled_level_must_have_room_for_its_empty_buckets() -> None:
    asked = window(30)
    count = Counted(asked, 1800)
    assert reach().finest([POINT], asked, 2000, count, is_filled=True) == {POINT: Choice("1h")}
    assert count.levels == []


def test_each_point_has_the_level_that_fits_it() -> None:
    slow = uuid4()

    def count(level: Level, points: Sequence[UUID], most: int) -> Mapping[UUID, int]:
        return {point: 10 if point == slow else most + 1 for point in points}

    chosen = reach().finest([POINT, slow], window(13), 2000, count, is_filled=False)
    assert {point: choice.level for point, choice in chosen.items()} == {slow: "raw", POINT: "1h"}


@pytest.mark.parametrize(
    ("asked", "days", "level"),
    [
        ("raw", 13, "raw"), ("raw", 15, "1m"), ("raw", 300, "1m"), ("raw", 366.6, "5m"),
        ("raw", 800, "1h"), ("1m", 300, "1m"), ("1m", 400, "5m"), ("5m", 400, "5m"),
        ("5m", 800, "1h"), ("1h", 1, "1h"), ("1h", 4000, "1h"),
    ],
)  # fmt: skip
def test_a_level_that_no_longer_reaches_back_gives_way_to_the_next(
    asked: Level, days: float, level: Level
) -> None:
    assert reach().explicit(asked, window(days).start) == Choice(level, asked != level)


def test_the_day_in_which_retention_ends_is_still_there() -> None:
    for level in LEVELS:
        oldest = instant_of(reach().oldest(level))
        edge = NOW - DEFAULT_RETENTION[level]
        assert oldest == edge.replace(hour=0, minute=0, second=0, microsecond=0)
    midnight = instant_of(reach().oldest("raw"))
    assert reach().explicit("raw", microseconds(midnight)).level == "raw"
    assert reach().explicit("raw", microseconds(midnight) - 1).level == "1m"


def test_what_a_tenant_keeps_for_less_long_ends_at_that_instant() -> None:
    short = Levels(DEFAULT_RETENTION, NOW, {"raw": timedelta(days=3), "1h": timedelta(days=9999)})
    assert short.oldest("raw") == microseconds(NOW - timedelta(days=3))
    assert short.oldest("1h") == reach().oldest("1h")
    assert short.explicit("raw", window(3.5).start) == Choice("1m", is_degraded=True)


@pytest.mark.parametrize(
    ("level", "days", "rows", "readings", "finer"),
    [
        ("1m", 30, 500, 600, True),  # 600 readings would have fitted, were they still there.
        ("1m", 30, 500, 2001, False),
        ("1h", 30, 700, 250_000, False),  # 1m and 5m are there: they did not fit.
        ("5m", 400, 400, 1_000_000, True),  # At most 2,000 minutes.
        ("5m", 400, 401, 1_000_000, False),
        ("1h", 800, 100, 1_000_000, True),  # At most 1,200 times five minutes.
    ],
)
def test_auto_is_degraded_where_a_finer_level_would_have_fitted(
    level: Level, days: float, rows: int, readings: int, finer: bool
) -> None:
    found = reach().would_have_been_finer(level, window(days), rows, readings, 2000)
    assert found is finer


@pytest.mark.parametrize(
    ("start", "end", "buckets"),
    [(0, 60, 1), (0, 61, 2), (1, 60, 0), (1, 61, 1), (60, 120, 1), (59, 61, 1), (0, 86_400, 1440)],
)
def test_buckets_are_counted_by_their_beginning(start: int, end: int, buckets: int) -> None:
    assert Window(start * 1_000_000, end * 1_000_000).most_buckets("1m") == buckets
