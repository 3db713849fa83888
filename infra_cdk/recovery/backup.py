"""A backup by ``pg_dump`` at one moment, and its restore into a new database."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from local.postgres_programs import WHEEL

from .fingerprint import Fingerprint, fingerprint

_ROLES: Final = """
SELECT r.rolname FROM pg_catalog.pg_roles r
WHERE r.rolname ~ '^traksense_' AND NOT r.rolcanlogin
ORDER BY r.rolname
"""


class DrillFailed(Exception):
    """The drill cannot begin or go on; the message says why and holds no password."""


def programs(folder: Path | None, url: str) -> Path:
    """The folder of a ``pg_dump`` that is new enough for a server.

    The one named, or else PATH's or the local platform's, whichever is new enough first.
    Raises DrillFailed and psycopg.Error.
    """
    with psycopg.connect(url) as connection:
        needed = connection.info.server_version // 10_000
    candidates = [folder] if folder is not None else [*_of_path(), *_of_wheel()]
    found = {each: _major(each) for each in candidates}
    for each, major in found.items():
        if major >= needed:
            return each
    seen = ", ".join(f"{major} in {each}" for each, major in found.items() if major) or "none"
    raise DrillFailed(f"pg_dump has to be of PostgreSQL {needed} or newer; there is {seen}")


def _of_path() -> Iterator[Path]:
    path = shutil.which("pg_dump")
    if path is not None:
        yield Path(path).parent


def _of_wheel() -> Iterator[Path]:
    spec = importlib.util.find_spec(WHEEL)
    for place in (spec.submodule_search_locations if spec else None) or []:
        yield from sorted(Path(place).glob("pginstall*/bin"), reverse=True)


def _major(folder: Path) -> int:
    """Of the ``pg_dump`` in a folder; 0 where there is none that runs."""
    try:
        said = subprocess.run(
            [folder / "pg_dump", "--version"], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    number = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(number.group(1)) if number else 0


@contextmanager
def moment(url: str) -> Iterator[tuple[str, Fingerprint]]:
    """A snapshot of a database that ``pg_dump`` can take over, and what is in it.

    Whatever is written meanwhile is in neither. Raises psycopg.Error.
    """
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        assert row is not None
        yield str(row[0]), fingerprint(connection)


def dump(url: str, snapshot: str, folder: Path, to: Path) -> None:
    """Back up what a snapshot shows. Raises DrillFailed."""
    _run(folder / "pg_dump", url, "--format=custom", f"--snapshot={snapshot}", f"--file={to}")


def restore(url: str, folder: Path, backup: Path) -> None:
    """Restore a backup into an empty database; the first error ends it. Raises DrillFailed."""
    name = conninfo_to_dict(url)["dbname"]
    _run(folder / "pg_restore", url, "--exit-on-error", "--jobs=2", f"--dbname={name}", str(backup))


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@contextmanager
def new_database(server: str, name: str, *, keep: bool) -> Iterator[str]:
    """A database of this name that was not there before, dropped afterwards unless it is kept.

    Raises DrillFailed where there is one already, which is left alone.
    """
    with psycopg.connect(server, autocommit=True) as connection:
        try:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
            )
        except psycopg.errors.DuplicateDatabase:
            raise DrillFailed(
                f"there is a database {name} already: drop it, or name another"
            ) from None
    try:
        yield with_database(server, name)
    finally:
        if not keep:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(
                    sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
                )


def bring_roles(source: str, target: str) -> list[str]:
    """Make the roles that a dump names and the target lacks, without a log-in; which those were."""
    with psycopg.connect(source) as here, psycopg.connect(target, autocommit=True) as there:
        wanted = {str(name) for (name,) in here.execute(_ROLES)}
        present = {str(name) for (name,) in there.execute(_ROLES)}
        missing = sorted(wanted - present)
        for name in missing:
            there.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
    return missing


def engine_of(url: str) -> str:
    """``plain`` or ``timescale``. Raises DrillFailed where there is no platform's schema."""
    with psycopg.connect(url) as connection:
        try:
            row = connection.execute("SELECT public.storage_engine()").fetchone()
        except psycopg.errors.UndefinedFunction:
            raise DrillFailed("the source has not this platform's schema") from None
    assert row is not None
    return str(row[0])


def _run(program: Path, url: str, *options: str) -> None:
    done = subprocess.run(
        [program, "--no-password", *options],
        env={**os.environ, **_environment(url)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = re.sub(r"(?m)^.*?(error|fatal):\s*", "", done.stderr.strip())[-600:]
        raise DrillFailed(f"{program.name} failed: {last}")


def _environment(url: str) -> Mapping[str, str]:
    """libpq's variables: a password on a command line could be read by others."""
    parts: dict[str, Any] = conninfo_to_dict(url)
    names = {
        "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
        "dbname": "PGDATABASE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT",
    }  # fmt: skip
    return {names[key]: str(value) for key, value in parts.items() if key in names}
