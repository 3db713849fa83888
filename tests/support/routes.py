"""Ways from one database to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.conftest import Servers
from tests.support import database as db
from tests.support import fleet
from tests.support.move import Route
from traksense.db.engine import StorageEngine

Engines = tuple[StorageEngine, StorageEngine]
ROUTES: Final[tuple[Engines, ...]] = (
    ("plain", "plain"),
    ("plain", "timescale"),
    ("timescale", "plain"),
    ("timescale", "timescale"),
)


def params() -> list[Any]:
    """Every way; those that need a server that is not there are skipped, and say so."""
    absent = pytest.mark.skip(reason=db.NO_TIMESCALE)
    return [
        pytest.param(
            each, id="-to-".join(each), marks=() if set(each) <= set(db.engines()) else absent
        )
        for each in ROUTES
    ]


@contextmanager
def made(servers: Servers, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> Iterator[Route]:
    """A source with two tenants and an empty target, both migrated."""
    with (
        db.fresh_database(servers.url(engines[0])) as source,
        db.fresh_database(servers.url(engines[1])) as target,
    ):
        monkeypatch.setenv("DATABASE_URL", source)
        monkeypatch.setenv("TRAKSENSE_METRICS", "none")
        yield Route(source, target, *engines, fleet.seed(source))
