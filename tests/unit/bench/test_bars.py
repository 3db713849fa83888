"""A bar says whether a figure meets it, and by how much it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.bars import BARS, Bar, print_bars
from bench.results import Figures


@pytest.mark.parametrize(
    ("bar", "value", "missed"),
    [
        (Bar("at_most", 10, "ms"), 10, None),
        (Bar("at_most", 10, "ms"), 12.5, 0.25),
        (Bar("at_least", 200, "1/s", is_least=True), 200, None),
        (Bar("at_least", 200, "1/s", is_least=True), 150, 0.25),
    ],
)
def test_a_bar_is_met_on_its_own_side_only(bar: Bar, value: float, missed: float | None) -> None:
    assert bar.missed_by(value) == missed


def test_a_missed_bar_is_told_on_both_engines(capsys: pytest.CaptureFixture[str]) -> None:
    figures = Figures()
    figures.add("bytes_per_reading_closed", 5.0, "bytes")
    figures.prefix = "timescale_"
    figures.add("bytes_per_reading_closed", 9.0, "bytes")
    print_bars(figures)
    _, plain, timescale = capsys.readouterr().out.strip().splitlines()
    assert plain.startswith("bytes_per_reading_closed")
    assert plain.endswith("met")
    assert timescale.startswith("timescale_bytes_per_reading_closed")
    assert timescale.endswith("MISSED by 50%")


def test_every_bar_has_a_name_of_its_own() -> None:
    assert len({bar.name for bar in BARS}) == len(BARS)


def test_the_size_stands_beside_a_figure_that_has_one(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    small, without = Figures(size="3m"), Figures()
    small.add("a", 1.0, "s")
    without.add("b", 2.0, "s")
    small.write(path)
    without.write(path)
    assert json.loads(path.read_text()) == {
        "a": {"value": 1.0, "unit": "s", "runs": [1.0], "size": "3m"},
        "b": {"value": 2.0, "unit": "s", "runs": [2.0]},
    }
