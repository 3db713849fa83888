"""Migrations: ordered, checksummed, one run at a time, each in a transaction of its own.

``python -m traksense.db.migrate`` applies what is missing; ``--status`` only shows it, ``--jobs``
does the long work that releases left to maintenance (``traksense.db.job_files``).
Files are ``sql/migrations/NNNN_name.sql`` and, for what differs between the two storage engines,
``sql/engine/<engine>/NNNN_name.sql``; numbers are unique over both, and over the jobs.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import errors as pg_errors

from traksense.db import job_command, job_files, migration_jobs, queries
from traksense.db.engine import StorageEngine, choose_engine, install
from traksense.db.job_files import JobError, JobFile
from traksense.domain.errors import DatabaseAway, PermanentError
from traksense.settings.deployment import MigrationSettings
from traksense.settings.reading import Engine

_FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_LOCK_KEY: Final = 0x7472616B  # "trak"


class MigrationError(PermanentError):
    """The migrations on disk and those applied do not fit; the message says which and how."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of SQL."""

    version: int
    name: str
    sql: str

    @property
    def label(self) -> str:
        """``0028_release_jobs``."""
        return f"{self.version:04d}_{self.name}"

    @property
    def needs(self) -> frozenset[int]:
        """Jobs that have to be finished before. Raises JobError."""
        return job_files.needs_of(self.label, self.sql)

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, so that an applied file that was edited is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Status:
    """A migration, and when it was applied (None: not yet)."""

    version: int
    name: str
    applied_at: datetime | None


def discover(engine: StorageEngine, directory: Path | None = None) -> tuple[Migration, ...]:
    """All migrations for an engine, in order. Raises MigrationError for a doubled number."""
    root = directory or queries.sql_directory()
    found: dict[int, Migration] = {}
    for folder in (root / "migrations", root / "engine" / engine):
        for path in sorted(folder.glob("*.sql")):
            match = _FILE.fullmatch(path.name)
            if match is None:
                raise MigrationError(f"{path} is not named NNNN_name.sql")
            version = int(match[1])
            if version in found:
                raise MigrationError(f"{path} has the number of {found[version].name}")
            found[version] = Migration(version, match[2], path.read_text("utf-8"))
    return tuple(found[version] for version in sorted(found))


@contextmanager
def _connect(url: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        connection = psycopg.connect(url, application_name="traksense-migrate", connect_timeout=10)
    except psycopg.OperationalError as error:
        raise DatabaseAway(str(error).strip()) from error
    try:
        with connection:
            yield connection
    except psycopg.OperationalError as error:
        raise DatabaseAway(str(error).strip()) from error
    except psycopg.Error as error:
        raise MigrationError(error.diag.message_primary or str(error).strip()) from error


def _limit_ms(time_left_s: Callable[[], float] | None) -> int:
    """0: none."""
    return 0 if time_left_s is None else max(1, round(time_left_s() * 1000))


def _as_statement(sql: str) -> bytes:
    return sql.encode()  # a file of ours, not input


def _prepare(connection: psycopg.Connection[Any]) -> None:
    """Roles and the table that remembers, both harmless to repeat."""
    with connection.transaction():
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s::bigint)", (_LOCK_KEY + 1,))
        connection.execute(_as_statement((queries.sql_directory() / "roles.sql").read_text()))
        connection.execute("SET LOCAL ROLE traksense_owner")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS public.schema_migrations ("
            " version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
            " engine text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(),"
            " duration_ms integer NOT NULL)"
        )
        connection.execute("REVOKE ALL ON public.schema_migrations FROM PUBLIC")


def _applied(connection: psycopg.Connection[Any]) -> dict[int, tuple[str, str, datetime]]:
    with connection.transaction():
        connection.execute("SET LOCAL ROLE traksense_owner")
        rows = connection.execute(
            "SELECT version, name, checksum, applied_at FROM public.schema_migrations"
        ).fetchall()
    return {version: (name, checksum, at) for version, name, checksum, at in rows}


def _check(
    migrations: Sequence[Migration], applied: dict[int, tuple[str, str, datetime]]
) -> list[Migration]:
    """What is still to do. A schema newer than ours is fine: a release may be rolled back."""
    pending: list[Migration] = []
    for migration in migrations:
        known = applied.get(migration.version)
        if known is None:
            pending.append(migration)
        elif known[1] != migration.checksum:
            raise MigrationError(
                f"migration {migration.label} was changed after it was "
                f"applied on {known[2]:%Y-%m-%d}; restore it and put the change into a new one"
            )
    newest = max((m.version for m in migrations if m.version in applied), default=0)
    for migration in pending:
        if migration.version < newest:
            raise MigrationError(
                f"migration {migration.label} is older than the newest "
                f"applied one ({newest:04d}); give it the next number"
            )
    return pending


def _apply(
    connection: psycopg.Connection[Any],
    migration: Migration,
    engine: str,
    time_left_s: Callable[[], float] | None,
) -> None:
    started = time.monotonic()
    limit_ms = _limit_ms(time_left_s)
    try:
        with connection.transaction():
            connection.execute("SET LOCAL ROLE traksense_owner")
            connection.execute("SET LOCAL lock_timeout = '30s'")
            connection.execute(f"SET LOCAL statement_timeout = {limit_ms}".encode())
            connection.execute(_as_statement(migration.sql))
            connection.execute(
                "INSERT INTO public.schema_migrations"
                " (version, name, checksum, engine, duration_ms) VALUES (%s, %s, %s, %s, %s)",
                (
                    migration.version,
                    migration.name,
                    migration.checksum,
                    engine,
                    round((time.monotonic() - started) * 1000),
                ),
            )
    except pg_errors.QueryCanceled as error:
        if time_left_s is None:
            raise DatabaseAway(str(error).strip()) from error
        raise MigrationError(
            f"migration {migration.label} takes longer than a deployment "
            "has, and was undone: run it by hand with python -m traksense.db.migrate"
        ) from error
    except psycopg.OperationalError as error:
        raise DatabaseAway(str(error).strip()) from error
    except psycopg.Error as error:
        raise MigrationError(
            f"migration {migration.label} failed and was undone: {error}"
        ) from error


def migrate(
    url: str,
    *,
    engine: Engine = "auto",
    directory: Path | None = None,
    time_left_s: Callable[[], float] | None = None,
    alone: bool = False,
) -> list[Migration]:
    """Apply what is missing, in order; what was applied. Safe to run twice or at the same time.

    A run that is cut off leaves every finished migration applied and the unfinished one undone.
    ``time_left_s``: how long a statement may still take; None: as long as it likes. ``alone``: no
    function of the platform runs, so that a job that a migration needs is done here and now.
    Raises MigrationError, JobError, ConfigurationError or DatabaseAway.
    """
    with _connect(url) as connection:
        chosen = install(connection, engine)
    # New sessions: one from before the extension may not know it.
    with _connect(url) as lock, _connect(url) as connection:
        migrations, jobs = discover(chosen, directory), job_files.discover(chosen, directory)
        _prepare(connection)
        # The lock lives in a transaction of a connection of its own, because each migration
        # commits for itself, and a lock of the session would not survive a pooler.
        with lock.transaction():
            lock.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            lock.execute("SET LOCAL lock_timeout = 0")
            lock.execute(f"SET LOCAL statement_timeout = {_limit_ms(time_left_s)}".encode())
            lock.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s::bigint)", (_LOCK_KEY,))
            pending = _check(migrations, _applied(connection))
            steps = _steps(connection, migrations, pending, jobs)
            alone = alone or migration_jobs.nobody_is_here(connection)
            if not alone:
                known = migration_jobs.registered(connection)
                for migration in pending:
                    migration_jobs.check_needs(migration.label, migration.needs, known)
            for step in steps:
                lock.execute("SELECT 1")  # the lock is still ours
                if isinstance(step, JobFile):
                    migration_jobs.register(connection, step)
                    continue
                if step.needs:
                    migration_jobs.work_off(url, jobs)
                    known = migration_jobs.registered(connection)
                    migration_jobs.check_needs(step.label, step.needs, known)
                _apply(connection, step, chosen, time_left_s)
    return pending


def _steps(
    connection: psycopg.Connection[Any],
    migrations: Sequence[Migration],
    pending: Sequence[Migration],
    jobs: Sequence[JobFile],
) -> list[Migration | JobFile]:
    """What is to be applied or registered, in the order of their numbers. Raises JobError."""
    numbers = {each.version for each in migrations}
    for job in jobs:
        if job.number in numbers:
            raise JobError(f"job {job.label} has the number of a migration")
    newest = max(numbers - {each.version for each in pending}, default=0)
    new = migration_jobs.unregistered(jobs, migration_jobs.registered(connection), newest)
    by_number = {each.version: each for each in pending} | {each.number: each for each in new}
    return [by_number[number] for number in sorted(by_number)]


def status(url: str, *, engine: Engine = "auto", directory: Path | None = None) -> list[Status]:
    """Every migration on disk and whether it was applied. Changes nothing."""
    with _connect(url) as connection:
        chosen = choose_engine(connection, engine)
        migrations = discover(chosen, directory)
        exists = connection.execute(
            "SELECT pg_catalog.to_regclass('public.schema_migrations') IS NOT NULL"
        ).fetchone()
        connection.rollback()
        applied = _applied(connection) if exists is not None and exists[0] else {}
    _check(migrations, applied)
    return [
        Status(m.version, m.name, applied[m.version][2] if m.version in applied else None)
        for m in migrations
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 when the schema is (or was brought) up to date, and no job failed."""
    parser = argparse.ArgumentParser(
        prog="python -m traksense.db.migrate",
        description="Show and apply the migrations of DATABASE_URL.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help="show only, change nothing")
    what.add_argument(
        "--jobs", action="store_true", help="do all of the long work that maintenance would do"
    )
    options = parser.parse_args(arguments)
    try:
        settings = MigrationSettings.from_environment()
        if options.jobs:
            files = job_command.files_of(settings.database_url, settings.engine)
            return job_command.work(settings.database_url, files)
        if not options.status:
            applied = migrate(settings.database_url, engine=settings.engine)
            print(f"{len(applied)} migrations applied now")  # noqa: T201
        pending = 0
        for entry in status(settings.database_url, engine=settings.engine):
            pending += entry.applied_at is None
            when = f"{entry.applied_at:%Y-%m-%d %H:%M:%SZ}" if entry.applied_at else "pending"
            print(f"{entry.version:04d}_{entry.name:<24} {when}")  # noqa: T201
        files = job_command.files_of(settings.database_url, settings.engine)
        job_command.show(settings.database_url, files)
    except (PermanentError, DatabaseAway) as error:
        print(f"migrate: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 1 if pending else 0


if __name__ == "__main__":
    sys.exit(main())
