"""A PostgreSQL server for the tests, and fresh migrated databases cloned from a template."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from local import unprivileged
from local.home import Home
from local.postgres import EmbeddedPostgres
from traksense.db.migrate import migrate

TEMPLATE = f"tt_template_{os.getpid()}"
_numbers = itertools.count(1)


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


def make_template(admin_url: str) -> None:
    """A migrated database to clone from: 30 ms each, against half a second of migrating."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    migrate(with_database(admin_url, TEMPLATE))


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
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
