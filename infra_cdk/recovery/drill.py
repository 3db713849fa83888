"""The restore drill: back up, restore into a second database, compare, apply tombstones."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from traksense.db.migrate import status
from traksense.services.erasure import Tombstone

from . import graves
from .backup import DrillFailed, bring_roles, dump, engine_of, moment, new_database, restore
from .fingerprint import differences, fingerprint

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a drill found."""

    seconds: dict[str, float] = field(default_factory=dict)
    """By step."""
    tables: int = 0
    rows: int = 0
    backup_bytes: int = 0
    differences: list[str] = field(default_factory=list)
    missing_migrations: list[str] = field(default_factory=list)
    tombstones: int = 0
    brought_back: list[str] = field(default_factory=list)
    left: int = 0
    """Rows of tenants that should be gone."""

    @property
    def passed(self) -> bool:
        """Whether the copy is whole, of this release, and has nobody who was erased."""
        return not (self.differences or self.missing_migrations or self.left)


def run(
    source: str,
    server: str,
    name: str,
    *,
    programs: Path,
    tombstones: Iterable[Tombstone],
    keep: bool,
    say: Say,
) -> Outcome:
    """A whole drill. Raises DrillFailed and psycopg.Error; the source is only read."""
    if engine_of(source) != "plain":
        raise DrillFailed(
            "a database with TimescaleDB is restored from its provider's backup: restore it, and "
            "check it with --restored"
        )
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        backup = Path(folder) / "backup"
        with moment(source) as (snapshot, before):
            outcome.tables, outcome.rows = len(before.tables), before.rows
            with _timed(outcome, "back up", say):
                dump(source, snapshot, programs, backup)
        outcome.backup_bytes = backup.stat().st_size
        bring_roles(source, server)
        with new_database(server, name, keep=keep) as url:
            with _timed(outcome, "restore", say):
                restore(url, programs, backup)
            with _timed(outcome, "compare", say), psycopg.connect(url) as connection:
                outcome.differences = differences(before, fingerprint(connection))
            _check(url, tombstones, outcome, say)
    return outcome


def check(url: str, tombstones: Iterable[Tombstone], *, say: Say) -> Outcome:
    """What a database tells that was restored by other means, such as a snapshot of RDS.

    Tombstones are applied to it. Raises psycopg.Error.
    """
    outcome = Outcome()
    with _timed(outcome, "count", say), psycopg.connect(url) as connection:
        found = fingerprint(connection)
        outcome.tables, outcome.rows = len(found.tables), found.rows
    _check(url, tombstones, outcome, say)
    return outcome


def _check(url: str, tombstones: Iterable[Tombstone], outcome: Outcome, say: Say) -> None:
    outcome.missing_migrations = [
        f"{each.version:04} {each.name}" for each in status(url) if each.applied_at is None
    ]
    with _timed(outcome, "apply tombstones", say):
        buried = graves.apply(url, tombstones)
    outcome.tombstones = buried.tombstones
    outcome.brought_back, outcome.left = buried.brought_back, buried.left


@contextmanager
def _timed(outcome: Outcome, step: str, say: Say) -> Iterator[None]:
    started = time.monotonic()
    yield
    outcome.seconds[step] = round(time.monotonic() - started, 2)
    say(f"{step}: {outcome.seconds[step]:.2f} s")
