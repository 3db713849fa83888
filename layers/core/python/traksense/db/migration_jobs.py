"""A migration run's part in long work: it registers jobs, and keeps what needs them waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.job_files import JobError, JobFile
from traksense.db.release_jobs import SqlReleaseJobs
from traksense.services.release_jobs import JobsReport, ReleaseJobs

UNTIL_DONE = float("inf")


@dataclass(frozen=True, slots=True)
class Registered:
    """A job that the database knows."""

    label: str
    is_finished: bool
    checksum: str | None
    slices: int
    rows: int
    error: str | None


def registered(connection: psycopg.Connection[Any]) -> dict[int, Registered]:
    """Every job that any release registered, by number."""
    named = queries.load("release_jobs")
    with connection.transaction():
        connection.execute("SET LOCAL ROLE traksense_owner")
        there = connection.execute(named["is_there"]).fetchone()
        if there is None or not there[0]:
            return {}
        rows = connection.execute(named["list"]).fetchall()
    return {
        row[0]: Registered(
            f"{row[0]:04d}_{row[1]}", row[4] is not None, row[5], row[6], row[7], row[10]
        )
        for row in rows
    }


def unregistered(
    jobs: Sequence[JobFile], known: Mapping[int, Registered], newest: int
) -> list[JobFile]:
    """What is to be registered. ``newest``: number of the newest migration that is applied.

    Raises JobError for a job that was changed after it was finished, or that comes too late.
    """
    found: list[JobFile] = []
    for job in jobs:
        there = known.get(job.number)
        if there is None:
            if job.number < newest:
                raise JobError(
                    f"job {job.label} is older than the newest applied migration ({newest:04d}); "
                    "give it the next number"
                )
            found.append(job)
        elif there.is_finished and there.checksum != job.checksum:
            raise JobError(
                f"job {job.label} was changed after it was finished; restore it and put the change "
                "into a new one"
            )
    return found


def nobody_is_here(connection: psycopg.Connection[Any]) -> bool:
    """Whether the database has no tenant, so that neither data nor older code is in the way."""
    named = queries.load("release_jobs")
    with connection.transaction():
        connection.execute("SET LOCAL ROLE traksense_owner")
        row = connection.execute("SELECT pg_catalog.to_regclass('public.tenants')").fetchone()
        if row is None or row[0] is None:
            return True
        unused = connection.execute(named["is_unused"]).fetchone()
    return unused is not None and bool(unused[0])


def check_needs(who: str, needs: Iterable[int], known: Mapping[int, Registered]) -> None:
    """Raises JobError where a job that is needed is not finished, with what to do about it."""
    for number in sorted(needs):
        job = known.get(number)
        if job is None:
            raise JobError(
                f"{who} needs job {number:04d}, which this deployment would only register: deploy "
                "the release that brought it, let it finish, and then this one"
            )
        if not job.is_finished:
            trouble = f", and its last try failed: {job.error}" if job.error else ""
            raise JobError(
                f"{who} needs job {job.label}, which is not finished ({job.slices:,} slices, "
                f"{job.rows:,} rows so far{trouble}). Nothing was changed: the release before goes "
                "on with it each minute; see how far it is with python -m traksense.db.migrate "
                "--status, or do all of it with --jobs, and then deploy again"
            )


def register(connection: psycopg.Connection[Any], job: JobFile) -> None:
    """Let maintenance know of a job."""
    with connection.transaction():
        connection.execute("SET LOCAL ROLE traksense_owner")
        connection.execute(
            queries.load("release_jobs")["register"],
            {"number": job.number, "name": job.name, "rows": job.rows},
        )


def work_off(url: str, files: Sequence[JobFile], budget_s: float = UNTIL_DONE) -> JobsReport:
    """Do what is registered, with no limit to how long a statement takes. Raises DatabaseAway."""
    with closing(Database(url, application_name="traksense-jobs")) as database:
        store = SqlReleaseJobs(database, lambda: files, slice_timeout_ms=0, statement_timeout_ms=0)
        return ReleaseJobs(store).run(budget_s)
