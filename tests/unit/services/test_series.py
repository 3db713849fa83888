"""A series' rows: thinned, ended, filled, and made to fit into an answer."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest

from traksense.services.series import PointOfDevice, Rows, Series, fit, json_rows, json_series
from traksense.services.series_levels import Level, Window

MINUTE = 60_000_000
NUMBER = PointOfDevice(UUID(int=1), UUID(int=2), "temp", "num", "°C")
WORD = replace(NUMBER, name="note", type="text", unit=None)


def rollups(count: int, step: int = 1, start: int = 0) -> Series:
    ts = [start + n * step * MINUTE for n in range(count)]
    values = [float(n % 17) for n in range(count)]
    return Series(
        NUMBER,
        "1m",
        Rows(ts, (values, [v - 1 for v in values], [v + 1 for v in values], [6] * count)),
    )


def readings(values: list[object], point: PointOfDevice = NUMBER) -> Series:
    return Series(point, "raw", Rows(range(len(values)), (values, [0] * len(values))))


def test_a_thinned_series_says_so_and_every_row_is_a_true_one() -> None:
    whole = rollups(1000)
    thin = whole.thinned(50)
    assert (thin.truncated, thin.reduction, thin.next_from) == (True, "lttb", None)
    assert len(thin.rows) == 50
    true_rows = set(zip(whole.rows.ts, *whole.rows.columns, strict=True))
    assert set(zip(thin.rows.ts, *thin.rows.columns, strict=True)) <= true_rows
    assert (thin.rows.ts[0], thin.rows.ts[-1]) == (whole.rows.ts[0], whole.rows.ts[-1])


def test_the_peak_of_one_bucket_stays_though_its_average_is_like_its_neighbours() -> None:
    series = rollups(1000)
    peaks = list(series.rows.columns[2])
    peaks[637] = 500.0
    *others, count = series.rows.columns
    series = replace(series, rows=Rows(series.rows.ts, (others[0], others[1], peaks, count)))
    assert max(series.thinned(20).rows.columns[2]) == 500.0


def test_a_series_that_fits_is_left_alone() -> None:
    series = rollups(10)
    assert series.thinned(10) is series
    assert series.ended(10) is series


def test_an_ended_series_names_the_first_row_that_was_left_out() -> None:
    ended = rollups(10).ended(4)
    assert (ended.truncated, ended.reduction, ended.next_from) == (True, None, 4 * MINUTE)
    assert list(ended.rows.ts) == [0, MINUTE, 2 * MINUTE, 3 * MINUTE]


@pytest.mark.parametrize(("start", "end", "rows"), [(0, 10, 10), (-5, 12, 17), (0.5, 9, 8)])
def test_empty_buckets_are_filled_in(start: float, end: float, rows: int) -> None:
    window = Window(int(start * MINUTE), int(end * MINUTE))
    inside = [m for m in (0, 3, 6, 9) if start <= m < end]
    series = rollups(len(inside), step=3, start=inside[0] * MINUTE).filled(window)
    assert len(series.rows) == rows
    assert [b - a for a, b in zip(series.rows.ts, series.rows.ts[1:], strict=False)] == [MINUTE] * (
        rows - 1
    )
    there = [ts // MINUTE for ts, count in zip(series.rows.ts, series.rows.columns[-1],
                                               strict=True) if count]  # fmt: skip
    assert there == inside
    assert series.rows.columns[0].count(None) == rows - len(inside)


def test_a_full_series_needs_no_filling() -> None:
    series = rollups(10)
    assert series.filled(Window(0, 10 * MINUTE)) is series


def test_numbers_are_thinned_and_texts_ended_until_all_fit() -> None:
    texts = readings(['"quoted"\\' * 50] * 3000, WORD)
    fitted = fit([rollups(5000), texts], json_rows, may_thin=True, most_bytes=200_000)
    numbers, words = (series for series, _ in fitted)
    assert (numbers.reduction, numbers.next_from) == ("lttb", None)
    assert (words.reduction, words.next_from) == (None, len(words.rows))
    escaped = sum(len(json.dumps(rows.decode())) for _, rows in fitted)
    assert 150_000 < escaped < 200_000
    for series, rows in fitted:
        assert len(json.loads(rows)) == len(series.rows)


def test_numbers_that_may_not_be_thinned_end_too() -> None:
    ((series, _),) = fit([rollups(5000)], json_rows, may_thin=False, most_bytes=50_000)
    assert series.reduction is None
    assert series.next_from == len(series.rows) * MINUTE


def test_what_fits_together_is_not_shortened_for_being_uneven() -> None:
    long, short = rollups(1000), rollups(1)
    size = len(json_rows(long)) + 2500
    (first, _), _ = fit([long, short], json_rows, may_thin=True, most_bytes=size + 2000)
    assert first is long


def test_one_row_that_is_too_long_is_still_given() -> None:
    ((series, rows),) = fit(
        [readings(["x" * 5000], WORD)], json_rows, may_thin=True, most_bytes=2000
    )
    assert (len(series.rows), series.truncated) == (1, False)
    assert len(rows) > 5000


@pytest.mark.parametrize("level", ["raw", "1m"])
def test_a_series_in_json_is_its_facts_and_its_rows(level: Level) -> None:
    series = rollups(2) if level == "1m" else readings([1.5, 2.0])
    read = json.loads(json_series(series, json_rows(series)))
    assert read["name"] == "temp"
    assert read["columns"] == list(series.columns)
    assert len(read["rows"]) == 2
    assert len(read["rows"][0]) == len(read["columns"])
