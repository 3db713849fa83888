"""The app over two tenants in a database of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functions.api.services import services
from traksense.db.connection import Database
from traksense.wiring.api import api

from .support import FakeLogin, World, make_world, outside


@pytest.fixture(scope="module")
def world(module_database_url: str) -> Iterator[World]:
    """acme and globex; the app answers from them."""
    login = FakeLogin()
    database = Database(module_database_url)
    world = make_world(module_database_url, login, database)
    services.use(api(database, outside(login)))
    yield world
    services.use(None)
    database.close()
