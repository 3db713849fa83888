"""Instants as text, against the standard library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from traksense.services.instants import minute_stamps, stamps

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_US = 253_402_300_799_999_999
"""The end of the year 9999."""


def plainly(us: int) -> str:
    return (EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


@given(st.lists(st.integers(-(10**15), LAST_US) | st.integers(0, 3 * 10**9)))
def test_instants_are_written_as_the_standard_library_does(instants: list[int]) -> None:
    assert stamps(instants) == [plainly(us) for us in instants]


@given(st.lists(st.integers(0, LAST_US // 60_000_000)))
def test_whole_minutes_are_written_alike(minutes: list[int]) -> None:
    instants = [minute * 60_000_000 for minute in minutes]
    assert minute_stamps(instants) == stamps(instants) == [plainly(us) for us in instants]
