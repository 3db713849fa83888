"""Ways to move."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Servers
from tests.support import routes
from tests.support.move import Route


@pytest.fixture(params=routes.params())
def route(
    request: pytest.FixtureRequest, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Route]:
    """Each way between two engines."""
    with routes.made(servers, request.param, monkeypatch) as found:
        yield found


@pytest.fixture
def plain(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Route]:
    """From plain PostgreSQL to plain PostgreSQL."""
    with routes.made(servers, ("plain", "plain"), monkeypatch) as found:
        yield found
