"""PostgreSQL servers for the tests, and fresh migrated databases cloned from a template."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from local import unprivileged
from local.home import Home
from local.postgres import EmbeddedPostgres
from traksense.db.engine import StorageEngine
from traksense.db.migrate import migrate

TEMPLATE: Final = f"tt_template_{os.getpid()}"
NO_TIMESCALE: Final = (
    "TimescaleDB was NOT tested: set TIMESCALE_URL to the administrator's URL of a server that "
    "has it (its databases tt_… are made and dropped)"
)
_numbers = itertools.count(1)


def timescale_url() -> str | None:
    """The server with TimescaleDB that the tests may use, if there is one."""
    return os.environ.get("TIMESCALE_URL") or None


def engines() -> list[StorageEngine]:
    """The engines that can be tested here."""
    return ["plain", "timescale"] if timescale_url() else ["plain"]


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextmanager
def server(directory: Path) -> Iterator[str]:
    """An embedded PostgreSQL of the tests' own, ended afterwards.

    TEST_DATABASE_URL names a server to use instead (its databases ``tt_…`` are made and dropped).
    """
    named = os.environ.get("TEST_DATABASE_URL")
    if named:
        yield named
        return
    home = Home(directory)
    home.create()
    postgres = EmbeddedPostgres(home)
    url = postgres.start()
    try:
        yield url
    finally:
        postgres.stop()
        unprivileged.forget(home)


@contextmanager
def template(admin_url: str, engine: StorageEngine = "plain") -> Iterator[None]:
    """A migrated database to clone from: 30 ms each, against half a second of migrating."""
    _drop(admin_url, TEMPLATE)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}".encode())
    migrate(with_database(admin_url, TEMPLATE), engine=engine)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        # TimescaleDB keeps a worker in each database that lets it in, and one that somebody is
        # connected to cannot be cloned.
        connection.execute(f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s",
            (TEMPLATE,),
        )
    try:
        yield
    finally:
        _drop(admin_url, TEMPLATE)


@contextmanager
def fresh_database(admin_url: str, template: str = TEMPLATE) -> Iterator[str]:
    """A database of its own, dropped afterwards."""
    name = f"tt_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    try:
        yield with_database(admin_url, name)
    finally:
        _drop(admin_url, name)


def _drop(admin_url: str, name: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
