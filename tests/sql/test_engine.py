"""Which storage engine a database gets, and what is said where it cannot have the wanted one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support import database as db
from traksense.db import engine as e
from traksense.db import migrate as m
from traksense.db.connection import Database
from traksense.domain.errors import ConfigurationError
from traksense.settings.reading import Engine


@pytest.fixture
def empty(admin_url: str) -> Iterator[str]:
    """A database with nothing in it."""
    with db.fresh_database(admin_url, template="template0") as url:
        yield url


def choose(url: str, wanted: Engine = "auto") -> e.StorageEngine:
    with psycopg.connect(url) as connection:
        return e.choose_engine(connection, wanted)


def stored(url: str) -> e.StorageEngine:
    database = Database(url)
    try:
        assert e.EngineOf(database)() == e.engine_of(database)
        return e.engine_of(database)
    finally:
        database.close()


def has_extension(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'")
        return row.fetchone() is not None


def test_auto_takes_timescale_where_the_server_offers_it(
    empty: str, engine: e.StorageEngine
) -> None:
    assert choose(empty) == engine
    assert not has_extension(empty), "to look changes nothing"
    m.migrate(empty)
    assert stored(empty) == engine
    assert has_extension(empty) == (engine == "timescale")


def test_plain_is_had_on_any_server(empty: str) -> None:
    m.migrate(empty, engine="plain")
    assert stored(empty) == "plain"
    assert not has_extension(empty)


@pytest.mark.engine("plain")
def test_timescale_that_is_not_there_is_said_plainly(empty: str) -> None:
    with pytest.raises(ConfigurationError, match="does not offer the extension timescaledb"):
        m.migrate(empty, engine="timescale")


def test_a_database_keeps_its_engine_whatever_auto_would_say(empty: str) -> None:
    m.migrate(empty, engine="plain")
    assert choose(empty) == "plain"
    assert m.migrate(empty) == []
    assert all(each.applied_at for each in m.status(empty))


def test_another_engine_than_the_databases_own_is_refused_with_the_way_to_get_it(
    empty: str, engine: e.StorageEngine
) -> None:
    m.migrate(empty)
    other: Engine = "plain" if engine == "timescale" else "timescale"
    with pytest.raises(
        ConfigurationError, match=f"readings on {engine}.*traksense.db.move --to URL"
    ):
        m.migrate(empty, engine=other)


@pytest.mark.engine("timescale")
def test_an_extension_that_is_there_already_is_used(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION timescaledb")
    m.migrate(empty)
    assert stored(empty) == "timescale"


@pytest.mark.engine("timescale")
def test_an_extension_elsewhere_than_in_public_is_not_used(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA elsewhere")
        connection.execute("CREATE EXTENSION timescaledb SCHEMA elsewhere")
    assert choose(empty) == "plain"
    with pytest.raises(ConfigurationError, match="in the schema elsewhere"):
        choose(empty, "timescale")


@pytest.mark.engine("timescale")
def test_the_edition_without_compression_is_not_used(empty: str) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET timescaledb.license = 'apache'".encode())
    assert choose(empty) == "plain"
    with pytest.raises(ConfigurationError, match="license is apache"):
        choose(empty, "timescale")


LOADED: dict[str, Any] = {
    "installed": None, "available": "2.28.3", "schema": None, "is_loaded": True,
    "license_": None, "may_create": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"available": "2.20.0"}, None),
        ({"available": "2.19.3"}, "2.20 or newer is needed"),
        ({"available": "3.0-dev"}, None),
        ({"installed": "2.19.3", "schema": "public"}, "2.20 or newer is needed"),
        ({"available": None}, "does not offer"),
        ({"is_loaded": False}, "shared_preload_libraries"),
        ({"license_": "apache"}, "community edition"),
        ({"may_create": False}, "CREATE EXTENSION timescaledb"),
        ({"may_create": False, "installed": "2.28.3", "schema": "public"}, None),
    ],
)
def test_what_is_lacking_is_said_with_what_to_do(change: dict[str, Any], said: str | None) -> None:
    lack = e.lack_of(e.Offer(**{**LOADED, **change}))
    assert (lack is None) == (said is None)
    assert said is None or said in (lack or "")
