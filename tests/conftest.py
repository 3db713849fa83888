"""Fixtures that every part of the suite shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import database as db


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
