"""Long work of a release in PostgreSQL, as ``traksense_owner``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg import errors as pg_errors

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.job_files import JobFile
from traksense.domain.errors import DatabaseAway
from traksense.services.release_jobs import Advance, JobState, SliceFailed

SLICE_TIMEOUT_MS: Final = 30_000
STATEMENT_TIMEOUT_MS: Final = 600_000
"""Of a statement outside a transaction, such as an index of a day: within the function's time."""
_QUICK_S: Final = 1.0
_SLOW_S: Final = 4.0
"""A slice that takes less or longer gives the next one twice or half the rows: its locks, and what
a kill undoes, stay small."""

Cursor = psycopg.Cursor[tuple[Any, ...]]


class SqlReleaseJobs:
    """Implements ``traksense.services.release_jobs.JobStore``."""

    def __init__(
        self,
        database: Database,
        files: Callable[[], Sequence[JobFile]],
        *,
        slice_timeout_ms: int = SLICE_TIMEOUT_MS,
        statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``files``: this release's, for the database's engine. A time-out of 0 is none."""
        self._database = database
        self._files = files
        self._slice_timeout_ms = slice_timeout_ms
        self._statement_timeout_ms = statement_timeout_ms
        self._clock = clock
        self._queries = queries.load("release_jobs")

    def states(self) -> list[JobState]:
        """Every registered job, in order. None where the database knows of no such work yet."""
        files = {each.number: each for each in self._files()}
        with self._database.transaction("traksense_owner") as cursor:
            there = cursor.execute(self._queries["is_there"]).fetchone()
            if there is None or not there[0]:
                return []
            rows = cursor.execute(self._queries["list"]).fetchall()
        return [_state(files, *row) for row in rows]

    def advance(self, number: int) -> Advance | None:
        """Do the next slice of a job; None: somebody else is at it. Raises SliceFailed."""
        job = next(each for each in self._files() if each.number == number)
        with self._noted(job):
            return self._slice(job) if job.kind == "slices" else self._statement(job)

    def _slice(self, job: JobFile) -> Advance | None:
        with self._database.transaction(
            "traksense_owner", statement_timeout_ms=self._slice_timeout_ms
        ) as cursor:
            taken = self._take(cursor, job)
            if taken is None:
                return None
            before, most = taken
            started = self._clock()
            answer = cursor.execute(job.sql, {"position": before, "rows": most}).fetchone()
            took = self._clock() - started
            if answer is None or len(answer) != 2:
                raise SliceFailed("a slice must answer with one row of (rows, position)")
            rows, position = int(answer[0] or 0), answer[1]
            if position is not None and rows == 0 and str(position) == before:
                raise SliceFailed("a slice did nothing and stands where it stood")
            following = most * 2 if took < _QUICK_S else most // 2 if took > _SLOW_S else most
            self._advance(
                cursor,
                job,
                rows=rows,
                position=None if position is None else str(position),
                slice_rows=max(1, min(following, job.rows)),
                is_last=position is None,
            )
        return Advance(rows, is_last=position is None)

    def _statement(self, job: JobFile) -> Advance | None:
        """The transaction that has the job's row locked waits while the statement runs beside it.
        It holds no snapshot meanwhile, which an index that is made CONCURRENTLY would wait for.
        """
        with self._database.transaction("traksense_owner") as cursor:
            cursor.execute(self._queries["wait_idle"])
            taken = self._take(cursor, job)
            if taken is None:
                return None
            answer = cursor.execute(job.sql).fetchone()
            if answer is not None and answer[0] is None:
                return Advance(0, is_last=False, has_to_wait=True)
            if answer is not None:
                self._run(str(answer[0]))
            self._advance(cursor, job, rows=0, position=None, slice_rows=1, is_last=answer is None)
        return Advance(0, is_last=answer is None)

    def _run(self, statement: str) -> None:
        settings = {"statement_timeout": str(self._statement_timeout_ms)}
        if " CONCURRENTLY " in statement:
            # It waits for others, and nobody for it.
            settings["lock_timeout"] = "0"
        with self._database.session("traksense_owner", settings=settings) as own:
            own.execute(statement.encode())

    def _take(self, cursor: Cursor, job: JobFile) -> tuple[str | None, int] | None:
        row = cursor.execute(self._queries["take"], {"number": job.number}).fetchone()
        return None if row is None else (row[0], row[1])

    def _advance(
        self,
        cursor: Cursor,
        job: JobFile,
        *,
        rows: int,
        position: str | None,
        slice_rows: int,
        is_last: bool,
    ) -> None:
        cursor.execute(
            self._queries["advance"],
            {
                "number": job.number,
                "rows": rows,
                "position": position,
                "slice_rows": slice_rows,
                "checksum": job.checksum if is_last else None,
            },
        )

    @contextmanager
    def _noted(self, job: JobFile) -> Iterator[None]:
        """What goes wrong is noted beside the job; where the database is away, that shows then."""
        try:
            yield
        except (psycopg.Error, DatabaseAway, SliceFailed) as error:
            cause = error.__cause__ if isinstance(error, DatabaseAway) else error
            code, told = _told(cause or error)
            with self._database.transaction("traksense_owner") as cursor:
                cursor.execute(
                    self._queries["fail"],
                    {
                        "number": job.number,
                        "code": code,
                        "error": told,
                        "too_long": isinstance(cause, pg_errors.QueryCanceled),
                    },
                )
            raise SliceFailed(told) from error


def _told(error: BaseException) -> tuple[str | None, str]:
    """A code and the server's first line: its details would tell values of rows."""
    if isinstance(error, psycopg.Error):
        return error.sqlstate, error.diag.message_primary or type(error).__name__
    return None, str(error)


def _state(
    files: dict[int, JobFile],
    number: int,
    name: str,
    registered_at: Any,
    started_at: Any,
    finished_at: Any,
    _checksum: str | None,
    slices: int,
    rows: int,
    failures: int,
    code: str | None,
    error: str | None,
    next_try_at: Any,
) -> JobState:
    file = files.get(number)
    return JobState(
        number=number,
        label=f"{number:04d}_{name}",
        is_known=file is not None,
        needs=frozenset() if file is None else file.needs,
        registered_at=registered_at,
        started_at=started_at,
        finished_at=finished_at,
        slices=slices,
        rows=rows,
        failures=failures,
        error=None if error is None else f"{code}: {error}" if code else error,
        next_try_at=next_try_at,
    )
