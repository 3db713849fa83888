"""ULIDs are of the published form and in the order of their times."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from traksense.domain import ulid

NOW = datetime(2025, 10, 7, 2, 34, 12, 345000, tzinfo=UTC)


def test_a_ulid_has_the_published_form_and_its_time_first() -> None:
    made = ulid.new(NOW)
    assert re.fullmatch(ulid.PATTERN, made)
    ms = 0
    for character in made[:10]:
        ms = ms * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    assert ms == int(NOW.timestamp() * 1000)


def test_later_ulids_are_greater_and_no_two_are_equal() -> None:
    made = [ulid.new(NOW + timedelta(milliseconds=n)) for n in range(1000)]
    assert sorted(made) == made
    assert len({ulid.new(NOW) for _ in range(1000)}) == 1000
