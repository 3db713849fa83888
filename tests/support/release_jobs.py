"""Releases of a test's own: a copy of ``sql/`` with more migrations and jobs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import psycopg

from traksense.db import job_files, queries
from traksense.db.connection import Database
from traksense.db.release_jobs import SqlReleaseJobs
from traksense.services.release_jobs import JobState, ReleaseJobs

FILL = """-- Gives each thing its name in capitals.
-- kind: slices
-- rows: {rows}
WITH batch AS (
    SELECT t.id FROM public.things t
    WHERE t.id > coalesce(%(position)s::bigint, 0) ORDER BY t.id LIMIT %(rows)s
), done AS (
    UPDATE public.things t SET loud = upper(t.name), touched = t.touched + 1
    FROM batch WHERE t.id = batch.id RETURNING t.id
)
SELECT count(*), CASE WHEN count(*) = %(rows)s THEN max(id) END FROM done
"""
THINGS = """
CREATE TABLE public.things (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, loud text,
    touched integer NOT NULL DEFAULT 0);
INSERT INTO public.things (name) SELECT 'thing ' || n FROM generate_series(1, {count}) n;
"""


class Release:
    """What ``sql/`` is in some release."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(shutil.copytree(queries.sql_directory(), folder / "sql"))
        self._databases: list[Database] = []

    def close(self) -> None:
        """Close this thread's connections."""
        for each in tuple(self._databases):
            each.close()

    def migration(self, name: str, text: str) -> None:
        (self.folder / "migrations" / f"{name}.sql").write_text(text)

    def job(self, name: str, text: str) -> Path:
        path = self.folder / "jobs" / f"{name}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def store(self, url: str, **changes: Any) -> SqlReleaseJobs:
        """The jobs of this release over a database."""
        self._databases.append(database := Database(url))
        return SqlReleaseJobs(database, lambda: job_files.discover("plain", self.folder), **changes)

    def jobs(self, url: str, **changes: Any) -> ReleaseJobs:
        return ReleaseJobs(self.store(url, **changes))


def of(jobs: ReleaseJobs | SqlReleaseJobs, number: int) -> JobState:
    """How far a job is."""
    return next(each for each in jobs.states() if each.number == number)


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description is not None else []


def add_tenant(url: str) -> None:
    """From now on somebody's data is here."""
    rows(url, "INSERT INTO public.tenants (slug, name) VALUES ('acme', 'Acme')")
