"""The API takes whatever is sent, and answers nothing that its description does not know.

A run of a few seconds for each role; ``make fuzz`` sends thousands.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fuzzing import ROLES, Target, run, target


@pytest.fixture(scope="module")
def fuzzed(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(module_database_url, tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest.mark.parametrize("role", ROLES)
def test_no_generated_request_gets_an_answer_that_is_not_described(
    fuzzed: Target, role: str, tmp_path: Path
) -> None:
    found = run(fuzzed, role, tmp_path, examples=1, seed=1, phases="examples,fuzzing")
    assert found.is_clean, found.report
    assert found.requests > 40
    assert not [status for status in found.statuses if status >= 500]
