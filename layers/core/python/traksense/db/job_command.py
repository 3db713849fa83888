"""Long work by hand: how far it is, and all of it at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import psycopg

from traksense.db import job_files, migration_jobs
from traksense.db.connection import Database
from traksense.db.engine import choose_engine
from traksense.db.job_files import JobFile
from traksense.db.release_jobs import SqlReleaseJobs
from traksense.domain.errors import DatabaseAway, PermanentError
from traksense.services.release_jobs import JobState
from traksense.settings.reading import Engine

_TOLD_EVERY_S = 10.0


def files_of(url: str, engine: Engine) -> tuple[JobFile, ...]:
    """This release's jobs for a database's engine. Raises DatabaseAway or PermanentError."""
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            return job_files.discover(choose_engine(connection, engine))
    except psycopg.OperationalError as error:
        raise DatabaseAway(str(error).strip()) from error


def show(url: str, files: Sequence[JobFile]) -> None:
    """Print a line for each job. Raises DatabaseAway or PermanentError."""
    for line in lines(states(url, files)):
        print(line)  # noqa: T201


def work(url: str, files: Sequence[JobFile]) -> int:
    """Do all of it, and print how far it is meanwhile; 1 where something is left.

    Raises DatabaseAway or PermanentError.
    """
    with _told():
        report = migration_jobs.work_off(url, files, _TOLD_EVERY_S)
        while report.left and report.slices:
            show(url, files)
            report = migration_jobs.work_off(url, files, _TOLD_EVERY_S)
    show(url, files)
    return 1 if report.left else 0


def states(url: str, files: Sequence[JobFile]) -> list[JobState]:
    """Every job that the database knows; none where it is not migrated. Raises DatabaseAway."""
    with closing(Database(url, application_name="traksense-jobs")) as database, _told():
        try:
            return SqlReleaseJobs(database, lambda: files).states()
        except psycopg.errors.InvalidParameterValue:
            return []  # not even the roles are there


def lines(found: list[JobState]) -> Iterator[str]:
    """How far each is, for people."""
    for job in found:
        told = f"job {job.state}"
        if job.finished_at is not None:
            told = f"job finished {job.finished_at:%Y-%m-%d %H:%M:%SZ}"
        if job.slices:
            told += f", {job.slices:,} slices, {job.rows:,} rows"
        if job.error is not None:
            told += f", {job.failures} times in a row: {job.error}"
        if not job.is_known:
            told += ", of another release"
        yield f"{job.label:<29} {told}"


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise PermanentError(
            "DATABASE_URL needs a login that may act as traksense_owner: "
            f"{error.diag.message_primary}"
        ) from error
