"""Maintenance by hand: how the storage stands, and its jobs.

``python -m traksense.db.maintain`` shows, for DATABASE_URL, how far the rollups are, what the
tables of telemetry take, what is closed or compressed, and what was purged last. ``--run JOB`` runs
a job first, as its schedule does; ``--json`` says all of it for programs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import errors as pg_errors

from traksense import bootstrap
from traksense.contracts.schedules import SCHEDULES
from traksense.db import queries, retention
from traksense.db.connection import Database
from traksense.db.engine import StorageEngine, engine_of
from traksense.db.rollups import SqlRollupStore
from traksense.domain.errors import ConfigurationError, DatabaseAway, PermanentError
from traksense.services.retention import Purge
from traksense.services.rollups import LevelProgress, lag
from traksense.settings.function import FunctionSettings

JOBS: Final = tuple(
    schedule.payload["job"] for schedule in SCHEDULES if schedule.function == "maintenance"
)
LAG_TO_WATCH: Final = timedelta(minutes=10)
"""From here on a level is called behind, as the health check does."""

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_PARTITION: Final = re.compile(r".*_(\d{4})(\d{2})(\d{2})?$")
_NOT_MIGRATED: Final = (
    pg_errors.UndefinedTable,
    pg_errors.UndefinedFunction,
    pg_errors.UndefinedObject,  # the roles are not there either
    pg_errors.InvalidParameterValue,
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of telemetry on plain PostgreSQL."""

    name: str
    partitions: int | None
    """None where it has none by design."""
    first: str | None
    """The period of its oldest partition, such as 2026-11 or 2026-11-20."""
    last: str | None
    rows: int
    """By the server's own estimate."""
    bytes: int
    """With indexes."""


@dataclass(frozen=True, slots=True)
class Status:
    """How the storage stands at a moment."""

    at: datetime
    engine: StorageEngine
    server_version: str
    database: str
    database_bytes: int
    levels: Sequence[LevelProgress]
    late_minutes: int | None
    """Minutes that wait to be computed anew; None where the engine notes them itself."""
    tables: Sequence[Table]
    """Empty where the engine's own figures say more."""
    purges: Sequence[Purge]
    details: Sequence[str]
    """What is closed or compressed, and the last purges, in lines."""

    def lags(self) -> dict[str, timedelta]:
        """How far each level is behind."""
        return {level.level: lag(level, self.at) for level in self.levels}

    def as_json(self) -> dict[str, Any]:
        """The same for programs; instants as text, spans in seconds."""
        lags = self.lags()
        return {
            **asdict(self),
            "levels": [
                {**asdict(level), "lag_s": lags[level.level].total_seconds()}
                for level in self.levels
            ],
        }


def status(database: Database, now: datetime) -> Status:
    """How the storage stands. Raises DatabaseAway, ConfigurationError."""
    statements = queries.load("rollups")
    try:
        engine = engine_of(database)
        with database.transaction("traksense_owner") as cursor:
            facts = cursor.execute(queries.load("maintenance")["server"]).fetchone()
            assert facts is not None  # a SELECT without FROM
            marks, tables = None, []
            if engine == "plain":
                marks = cursor.execute(statements["marks"]).fetchone()
                tables = cursor.execute(statements["storage"]).fetchall()
    except _NOT_MIGRATED as error:
        raise ConfigurationError(
            "this database is not a migrated one (run python -m traksense.db.migrate): "
            f"{error.diag.message_primary}"
        ) from error
    except pg_errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "DATABASE_URL needs a login that may act as traksense_owner: "
            f"{error.diag.message_primary}"
        ) from error
    version, name, size = facts
    return Status(
        at=now,
        engine=engine,
        server_version=version,
        database=name,
        database_bytes=size,
        levels=SqlRollupStore(database).progress(),
        late_minutes=None if marks is None else marks[0],
        tables=[_table(*row) for row in tables],
        purges=retention.SqlRetentionStore(database).last_purges(),
        details=retention.describe(database),
    )


def _table(
    name: str, count: int, first: str | None, last: str | None, rows: int, size: int
) -> Table:
    is_whole = first == name
    return Table(
        name=name,
        partitions=None if is_whole else count,
        first=None if is_whole else _period(first),
        last=None if is_whole else _period(last),
        rows=rows,
        bytes=size,
    )


def _period(partition: str | None) -> str | None:
    """``m_raw_20261120`` → ``2026-11-20``; a name of another form stays as it is."""
    match = _PARTITION.match(partition or "")
    return partition if match is None else "-".join(filter(None, match.groups()))


def lines(found: Status) -> Iterator[str]:
    """The status for people, in at most 100 columns."""
    yield (
        f"{found.database}: {found.engine}, PostgreSQL {found.server_version}, "
        f"{_size(found.database_bytes)}, at {_instant(found.at)}"
    )
    yield ""
    yield (
        f"{'rollups':<8} {'refreshed to':<21} {'lag':>17}  "
        f"{'last run':<21} {'took':>10} {'buckets':>12}"
    )
    for level in found.levels:
        yield _level(level, found.at)
    if found.late_minutes is not None:
        yield f"{found.late_minutes:,} late minutes wait for the next refresh"
    if found.tables:
        yield ""
        yield f"{'table':<14} {'partitions':>10} {'rows, about':>15} {'size':>11}  from … to"
    for table in found.tables:
        span = "" if table.first is None else f"{table.first} … {table.last}"
        count = "–" if table.partitions is None else table.partitions
        yield (
            f"{table.name:<14} {count:>10} {table.rows:>15,} {_size(table.bytes):>11}  {span}"
        ).rstrip()
    yield ""
    yield from found.details
    behind = {level: span for level, span in found.lags().items() if span > LAG_TO_WATCH}
    for name, late in behind.items():
        yield f"WARNING: rollups of {name} are {_duration(late)} behind"


def _level(level: LevelProgress, now: datetime) -> str:
    return (
        f"{level.level:<8} {_instant(level.refreshed):<21} {_duration(lag(level, now)):>17}  "
        f"{_instant(level.ran_at):<21} {level.took_ms:>7,} ms {level.buckets:>12,}"
    )


def _instant(at: datetime | None) -> str:
    return "never" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def _duration(span: timedelta) -> str:
    return str(timedelta(seconds=round(span.total_seconds())))


def _size(size: float) -> str:
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def _result(result: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """What a job did, one ``name: value`` after the other."""
    for name, value in result.items():
        if isinstance(value, Mapping):
            yield from _result(value, f"{prefix}{name} ")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}: {' '.join(map(str, value)) or '–'}"
        else:
            yield f"{prefix}{name}: {value}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 when the job that was asked for ran."""
    parser = argparse.ArgumentParser(
        prog="python -m traksense.db.maintain",
        description="Show how the storage of DATABASE_URL stands; with --run, run a job first.",
    )
    parser.add_argument("--run", choices=JOBS, metavar="JOB", help=f"one of {', '.join(JOBS)}")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    options = parser.parse_args(arguments)
    try:
        settings = FunctionSettings.from_environment()
        database = Database(settings.database_url, application_name="traksense-maintain")
        with closing(database):
            before = status(database, datetime.now(UTC))
            if not options.run:
                _show(before, None, is_json=options.json)
                return 0
            result = bootstrap.maintenance_of(settings, database).run(options.run)
            _show(status(database, datetime.now(UTC)), result, is_json=options.json)
    except (PermanentError, DatabaseAway, psycopg.Error) as error:
        print(f"maintain: {str(error).splitlines()[0]}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _show(found: Status, result: dict[str, Any] | None, *, is_json: bool) -> None:
    if is_json:
        answer = found.as_json() if result is None else {"ran": result, **found.as_json()}
        print(json.dumps(answer, default=_spell, indent=2, ensure_ascii=False))  # noqa: T201
        return
    if result is not None:
        print(", ".join(_result(result)), end="\n\n")  # noqa: T201
    print("\n".join(lines(found)))  # noqa: T201


def _spell(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


if __name__ == "__main__":
    sys.exit(main())
