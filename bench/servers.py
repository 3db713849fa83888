"""A PostgreSQL server for a benchmark: the embedded one in a home of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import unprivileged
from local.home import Home
from local.postgres import EmbeddedPostgres


@contextmanager
def embedded_postgres() -> Iterator[str]:
    """URL of the administrator of a fresh server, ended and removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="traksense-bench-") as directory:
        home = Home(Path(directory))
        home.create()
        postgres = EmbeddedPostgres(home)
        url = postgres.start()
        try:
            yield url
        finally:
            postgres.stop()
            unprivileged.forget(home)
