"""Fixtures that every part of the suite shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import database as db

TESTS = Path(__file__).parent
ONE_AT_A_TIME = ("contract", "e2e")
"""Folders whose tests start servers and watch the clock: they share one worker, in order."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker, and what drives whole servers on a single one."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        group = "servers" if folder in ONE_AT_A_TIME else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def admin_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the administrator of a PostgreSQL server that the tests may do anything with."""
    with db.server(tmp_path_factory.mktemp("postgres")) as url:
        db.make_template(url)
        yield url


@pytest.fixture
def database_url(admin_url: str) -> Iterator[str]:
    """A fresh, migrated database, for one test."""
    with db.fresh_database(admin_url) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(admin_url: str) -> Iterator[str]:
    """A fresh, migrated database, for the tests of one file."""
    with db.fresh_database(admin_url) as url:
        yield url
