"""Maintenance by hand: how the storage stands, and its jobs.

``python -m traksense.db.maintain`` shows, for DATABASE_URL, how far the rollups are and what the
tables of telemetry take. ``--run JOB`` runs a job first, as its schedule does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

from traksense import bootstrap
from traksense.contracts.schedules import SCHEDULES
from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.rollups import SqlRollupStore
from traksense.domain.errors import DatabaseAway, PermanentError
from traksense.services.rollups import LevelProgress, lag
from traksense.settings import FunctionSettings

JOBS: Final = tuple(
    schedule.payload["job"] for schedule in SCHEDULES if schedule.function == "maintenance"
)
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def describe(database: Database, now: datetime) -> Iterator[str]:
    """The state of the storage, line by line. Raises DatabaseAway."""
    yield (
        f"{'rollups':<14} {'refreshed to':<21} {'lag':>9} "
        f"{'last run':<21} {'took':>8} {'buckets':>9}"
    )
    for level in SqlRollupStore(database).progress():
        yield _level(level, now)
    statements = queries.load("rollups")
    with database.transaction("traksense_owner") as cursor:
        marks = cursor.execute(statements["marks"]).fetchone()
        tables = cursor.execute(statements["storage"]).fetchall()
    yield f"{0 if marks is None else marks[0]} late minutes wait for the next refresh"
    yield ""
    yield f"{'table':<14} {'partitions':>10} {'rows, about':>13} {'size':>10}  from … to"
    for name, partitions, first, last, rows, size in tables:
        span = "" if first in (None, name) else f"{first} … {last}"
        count = "–" if first == name else partitions
        yield f"{name:<14} {count:>10} {rows:>13,} {_size(size):>10}  {span}".rstrip()


def _level(level: LevelProgress, now: datetime) -> str:
    return (
        f"{level.level:<14} {_instant(level.refreshed):<21} {_duration(lag(level, now)):>9} "
        f"{_instant(level.ran_at):<21} {level.took_ms:>5} ms {level.buckets:>9,}"
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 when the job that was asked for ran."""
    parser = argparse.ArgumentParser(
        prog="python -m traksense.db.maintain",
        description="Show how the storage of DATABASE_URL stands; with --run, run a job first.",
    )
    parser.add_argument("--run", choices=JOBS, metavar="JOB", help=f"one of {', '.join(JOBS)}")
    options = parser.parse_args(arguments)
    try:
        settings = FunctionSettings.from_environment()
        database = Database(settings.database_url, application_name="traksense-maintain")
        with closing(database):
            if options.run:
                result = bootstrap.maintenance_of(settings, database).run(options.run)
                print(", ".join(f"{name}: {value}" for name, value in result.items()))  # noqa: T201
            print("\n".join(describe(database, datetime.now(UTC))))  # noqa: T201
    except (PermanentError, DatabaseAway) as error:
        print(f"maintain: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
