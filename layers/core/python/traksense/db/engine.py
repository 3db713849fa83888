"""Which storage engine a database has, or gets: TimescaleDB or plain PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final, Literal

import psycopg

from traksense.db.connection import Database
from traksense.domain.errors import ConfigurationError
from traksense.settings.reading import Engine

StorageEngine = Literal["plain", "timescale"]

LEAST_POSTGRESQL: Final = 15
LEAST_TIMESCALEDB: Final = (2, 20)
_LOCK_KEY: Final = 0x74736462  # "tsdb"

_OFFER: Final = """
SELECT pg_catalog.current_setting('server_version_num')::integer / 10000,
       (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'timescaledb'),
       (SELECT a.default_version FROM pg_catalog.pg_available_extensions a
        WHERE a.name = 'timescaledb'),
       (SELECT n.nspname FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'),
       pg_catalog.current_setting('timescaledb.max_background_workers', true) IS NOT NULL,
       pg_catalog.current_setting('timescaledb.license', true),
       (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
       OR pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AND EXISTS (
           SELECT FROM pg_catalog.pg_available_extension_versions v
           WHERE v.name = 'timescaledb' AND v.trusted)
"""
_WRONG_LICENSE: Final = (
    "timescaledb.license is {}, without compression and continuous aggregates; set it to "
    "timescale (the community edition)"
)
_ENGINE_OF_MIGRATIONS: Final = (
    "SELECT engine FROM public.schema_migrations ORDER BY version DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server has of TimescaleDB, in the sight of a login."""

    installed: str | None
    """Its version in this database."""
    available: str | None
    """The version that it would be installed in."""
    schema: str | None
    """Where it is installed."""
    is_loaded: bool
    """Whether the server started with it."""
    license_: str | None
    """None: not known before it is installed."""
    may_create: bool


def choose_engine(connection: psycopg.Connection[Any], wanted: Engine) -> StorageEngine:
    """The storage engine of a migration.

    A database that has one keeps it. An empty one gets TimescaleDB where the server offers all
    that is needed of it (``auto``), or what is wanted. Raises ConfigurationError where that cannot
    be had, or is not what the database has.
    """
    row = connection.execute(_OFFER).fetchone()
    assert row is not None  # a SELECT without FROM has one row
    postgresql, *offer = row
    if postgresql < LEAST_POSTGRESQL:
        raise ConfigurationError(
            f"the server is PostgreSQL {postgresql}; {LEAST_POSTGRESQL} or newer is needed"
        )
    lack = lack_of(Offer(*offer))
    present = _present(connection)
    if present is not None:
        if wanted not in ("auto", present):
            raise ConfigurationError(
                f"TRAKSENSE_ENGINE={wanted}: this database stores its readings on {present}, and "
                "an engine is not changed in place; set it to auto, or move everything to another "
                "database with python -m traksense.db.move --to URL"
            )
        if present == "timescale" and lack is not None:
            raise ConfigurationError(f"this database stores its readings on timescale, but {lack}")
        return present
    if wanted == "timescale" and lack is not None:
        raise ConfigurationError(f"TRAKSENSE_ENGINE=timescale: {lack}")
    return "timescale" if lack is None and wanted != "plain" else "plain"


def _present(connection: psycopg.Connection[Any]) -> StorageEngine | None:
    """The engine by whose migrations this database was made; None: it has none yet."""
    exists = connection.execute(
        "SELECT pg_catalog.to_regclass('public.schema_migrations') IS NOT NULL"
    ).fetchone()
    if exists is None or not exists[0]:
        return None
    with connection.transaction():
        connection.execute("SET LOCAL ROLE traksense_owner")
        row = connection.execute(_ENGINE_OF_MIGRATIONS).fetchone()
    return None if row is None else row[0]


def lack_of(offer: Offer) -> str | None:
    """What keeps a database from TimescaleDB, and what to do about it; None: nothing."""
    version = offer.installed or offer.available
    if version is None:
        return "the server does not offer the extension timescaledb; use one that does, or plain"
    if not offer.is_loaded:
        return (
            "timescaledb is not loaded; put it into shared_preload_libraries and restart the server"
        )
    if _numbers(version) < LEAST_TIMESCALEDB:
        least = ".".join(map(str, LEAST_TIMESCALEDB))
        return f"timescaledb is {version}; {least} or newer is needed"
    if offer.license_ not in (None, "timescale"):
        return _WRONG_LICENSE.format(offer.license_)
    if offer.installed is None and not offer.may_create:
        return (
            "this login may not create the extension; have an administrator run "
            "CREATE EXTENSION timescaledb SCHEMA public"
        )
    if offer.schema not in (None, "public"):
        return f"timescaledb is installed in the schema {offer.schema}; it has to be in public"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    """``2.28.3-dev`` → (2, 28)."""
    major, minor, *_ = (*version.split("-")[0].split("."), "0")
    return int(major), int(minor)


def install(connection: psycopg.Connection[Any], wanted: Engine) -> StorageEngine:
    """Choose the engine, and put the extension into the database where that is TimescaleDB.

    The extension is installed as who logs in: the owner of the tables has no right to. Raises
    ConfigurationError.
    """
    chosen = choose_engine(connection, wanted)
    connection.rollback()
    if chosen == "plain":
        return chosen
    try:
        _create_extension(connection)
    except _Unlicensed as error:
        if wanted == "timescale":
            raise ConfigurationError(f"TRAKSENSE_ENGINE=timescale: {error}") from error
        return "plain"
    return chosen


def _create_extension(connection: psycopg.Connection[Any]) -> None:
    with connection.transaction():
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s::bigint)", (_LOCK_KEY,))
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
        # What is not in the server's settings is known once the library is loaded; it is not where
        # another run has just been quicker, and found it right.
        row = connection.execute(
            "SELECT pg_catalog.current_setting('timescaledb.license', true)"
        ).fetchone()
        if row is not None and row[0] not in (None, "timescale"):
            raise _Unlicensed(_WRONG_LICENSE.format(row[0]))


class _Unlicensed(Exception):
    """Undoes the installation."""


def engine_of(database: Database) -> StorageEngine:
    """The engine of a migrated database. Raises DatabaseAway."""
    with database.transaction("traksense_owner") as cursor:
        row = cursor.execute("SELECT public.storage_engine()").fetchone()
    return "timescale" if row == ("timescale",) else "plain"


class EngineOf:
    """A database's engine, asked for once, when it is first needed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._engine: StorageEngine | None = None
        self._lock = threading.Lock()

    def __call__(self) -> StorageEngine:
        """The engine. Raises DatabaseAway."""
        with self._lock:
            if self._engine is None:
                self._engine = engine_of(self._database)
            return self._engine
