from __future__ import annotations

import stat
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from local.demo.progress import DAY_S, Progress, Span, days_of

NOW = 1_760_000_042.7  # 2025-10-09T08:54:02Z


def test_the_first_run_ends_the_history_at_the_full_minute(tmp_path: Path) -> None:
    progress = Progress.resume(tmp_path / "history.json", NOW)
    assert progress.until == 1_760_000_040
    assert progress.days == set()
    assert not progress.finished


def test_a_later_run_keeps_the_end_and_the_days_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    first = Progress.resume(path, NOW)
    first.done(date(2025, 10, 9))
    first.done(date(2025, 10, 8))
    again = Progress.resume(path, NOW + 5 * DAY_S)
    assert again == first
    assert again.days == {date(2025, 10, 9), date(2025, 10, 8)}


def test_a_finished_history_stays_finished(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    Progress.resume(path, NOW).finish()
    assert Progress.resume(path, NOW + DAY_S).finished


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"until": "soon", "days": [], "finished": false}',
     '{"until": 1760000040, "days": ["yesterday"], "finished": false}',
     '{"until": 1760000040, "days": 3, "finished": false}', '{"until": 1760000040}'],
)  # fmt: skip
def test_a_damaged_file_starts_the_history_anew(tmp_path: Path, content: str) -> None:
    path = tmp_path / "history.json"
    path.write_text(content)
    assert Progress.resume(path, NOW + 60) == Progress(path, 1_760_000_100)
    assert Progress.resume(path, NOW + 999) == Progress(path, 1_760_000_100)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    Progress.resume(path, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_days_come_newest_first_and_are_cut_at_both_ends() -> None:
    since = int(datetime(2025, 10, 7, 21, 30, tzinfo=UTC).timestamp())
    until = int(datetime(2025, 10, 9, 8, 54, tzinfo=UTC).timestamp())
    found = list(days_of(since, until))
    assert [day for day, _ in found] == [date(2025, 10, 9), date(2025, 10, 8), date(2025, 10, 7)]
    assert found[0][1].end == until
    assert found[-1][1].start == since
    assert sum(span.length for _, span in found) == until - since
    for (_, later), (_, earlier) in pairwise(found):
        assert earlier.end == later.start


def test_a_history_that_ends_at_midnight_does_not_touch_the_next_day() -> None:
    midnight = int(datetime(2025, 10, 9, tzinfo=UTC).timestamp())
    assert list(days_of(midnight - 60, midnight)) == [
        (date(2025, 10, 8), Span(midnight - 60, midnight))
    ]


def test_nothing_is_to_do_where_the_end_is_not_after_the_start() -> None:
    assert list(days_of(1_760_000_040, 1_760_000_040)) == []
