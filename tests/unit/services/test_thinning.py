"""Largest-Triangle-Three-Buckets, against the paper's pseudo-code written out plainly."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traksense.services.thinning import keep_extremes, largest_triangles

_RANDOM = random.Random(1)
SHAPES = {
    "noise": [_RANDOM.gauss(0, 1) for _ in range(5000)],
    "wave": [math.sin(n / 40) + (n % 7) / 50 for n in range(5000)],
    "one peak": [1.0] * 2500 + [9.0] + [1.0] * 2499,
    "flat": [7.25] * 5000,
    "steps": [float(n // 300 % 3) for n in range(5000)],
}


def by_the_paper(times: list[int], values: list[float], most: int) -> list[int]:
    """Algorithm 4.2 of the paper, in exact arithmetic, a line for a line."""
    count = len(times)
    points = [(Fraction(t), Fraction(v)) for t, v in zip(times, values, strict=True)]
    every = (count - 2) / (most - 2)
    edges = [1 + int(n * every) for n in range(most - 2)] + [count - 1]
    buckets = [range(a, b) for a, b in itertools.pairwise(edges)] + [range(count - 1, count)]
    kept = [0]
    for bucket, following in itertools.pairwise(buckets):
        ax, ay = points[kept[-1]]
        cx = sum((points[i][0] for i in following), Fraction(0)) / len(following)
        cy = sum((points[i][1] for i in following), Fraction(0)) / len(following)
        best, largest = bucket[0], Fraction(-1)
        for i in bucket:
            bx, by = points[i]
            area = abs((ax - cx) * (by - ay) - (ax - bx) * (cy - ay)) / 2
            if area > largest:
                best, largest = i, area
        kept.append(best)
    return [*kept, count - 1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("most", [3, 4, 100, 999, 2000])
def test_the_rows_that_stay_are_those_of_the_paper(shape: str, most: int) -> None:
    values = SHAPES[shape]
    times = [1_700_000_000_000_000 + 10_000_000 * n for n in range(len(values))]
    kept = largest_triangles(times, values, most)
    expected = by_the_paper(times, values, most)
    # Of triangles that are equal but for the rounding of floats either may stay.
    differing = [n for n, (a, b) in enumerate(zip(kept, expected, strict=True)) if a != b]
    assert len(differing) <= (0 if shape in ("noise", "wave") else most // 10)
    assert len(kept) == most


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300),
    st.integers(1, 320),
    st.lists(st.integers(1, 10**9), min_size=300, max_size=300),
)
def test_as_many_rows_stay_as_were_asked_for_in_order_with_both_ends(
    values: list[float], most: int, steps: list[int]
) -> None:
    times = [sum(steps[:n]) for n in range(len(values))]
    kept = largest_triangles(times, values, most)
    assert len(kept) == min(most, len(values))
    assert kept == sorted(set(kept))
    assert kept[0] == 0
    assert most == 1 or kept[-1] == len(values) - 1


def test_a_peak_stays_however_few_rows_do() -> None:
    values = SHAPES["one peak"]
    assert 2500 in largest_triangles(range(5000), values, 10)


def test_no_row_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        largest_triangles([1], [1.0], 0)


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=200),
    st.lists(st.floats(0, 1e6), min_size=200, max_size=200),
    st.integers(4, 100),
)
def test_the_lowest_and_the_highest_bucket_stay_among_as_many(
    values: list[float], spreads: list[float], most: int
) -> None:
    low = [value - spread for value, spread in zip(values, spreads, strict=False)]
    high = [value + spread for value, spread in zip(values, reversed(spreads), strict=False)]
    kept = largest_triangles(range(len(values)), values, most)
    stay = keep_extremes(kept, low, high)
    assert len(stay) == len(kept)
    assert stay == sorted(set(stay))
    assert (stay[0], stay[-1]) == (kept[0], kept[-1])
    assert min(low[i] for i in stay) == min(low)
    assert max(high[i] for i in stay) == max(high)
