"""Files of long work: ``sql/jobs/NNNN_name.sql``, and ``sql/engine/<engine>/jobs/NNNN_name.sql``.

Their numbers are the migrations', in one order with them: a job is registered when all migrations
before it are applied. A file begins with a comment that says what it is for, among which are

``-- kind: slices`` or ``-- kind: statements``
    What its one statement answers. Of *slices*: one row, ``(rows, position)``; it has done so many
    rows, and the next slice begins at that position, a text of the job's own; NULL: nothing is
    left. It is given ``%(position)s``, NULL at first, and ``%(rows)s``, the most it may do; a per
    cent sign is doubled. Of *statements*: the next statement to run outside a transaction, such as
    one with CONCURRENTLY; no row: nothing is left; NULL: nothing to do now.
``-- rows: 5000``
    Of slices: the most rows of one.
``-- needs: 0030 0031``
    Jobs that have to be finished before; a migration may say so, too.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, LiteralString, cast, get_args

from traksense.db import queries
from traksense.db.engine import StorageEngine
from traksense.domain.errors import PermanentError

Kind = Literal["slices", "statements"]

FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_HEADER: Final = re.compile(r"^-- (kind|rows|needs): *(.+?) *$", re.MULTILINE)
_NUMBER: Final = re.compile(r"\d{4}")


class JobError(PermanentError):
    """Jobs on disk, and those of the database, do not fit; the message says which and how."""


@dataclass(frozen=True, slots=True)
class JobFile:
    """Long work of a release."""

    number: int
    name: str
    kind: Kind
    rows: int
    """Most of a slice; 1 for statements."""
    needs: frozenset[int]
    sql: LiteralString

    @property
    def label(self) -> str:
        """``0030_fill_names``."""
        return f"{self.number:04d}_{self.name}"

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def needs_of(path_name: str, sql: str) -> frozenset[int]:
    """Numbers of the jobs that a file needs. Raises JobError."""
    found: set[int] = set()
    for key, value in _HEADER.findall(sql):
        if key != "needs":
            continue
        for number in value.split():
            if not _NUMBER.fullmatch(number):
                raise JobError(f"{path_name} needs {number!r}, which is no job's number")
            found.add(int(number))
    return frozenset(found)


def discover(engine: StorageEngine, directory: Path | None = None) -> tuple[JobFile, ...]:
    """All jobs for an engine, in order. Raises JobError."""
    root = directory or queries.sql_directory()
    found: dict[int, JobFile] = {}
    for folder in (root / "jobs", root / "engine" / engine / "jobs"):
        for path in sorted(folder.glob("*.sql")):
            job = _read(path)
            if job.number in found:
                raise JobError(f"{path} has the number of {found[job.number].label}")
            found[job.number] = job
    return tuple(found[number] for number in sorted(found))


def _read(path: Path) -> JobFile:
    match = FILE.fullmatch(path.name)
    if match is None:
        raise JobError(f"{path} is not named NNNN_name.sql")
    text = path.read_text("utf-8")
    header = dict(_HEADER.findall(text))
    kind = header.get("kind")
    if kind not in get_args(Kind):
        raise JobError(f"{path} must say -- kind: slices or -- kind: statements")
    rows = header.get("rows", "") if kind == "slices" else "1"
    if not rows.isdecimal() or int(rows) < 1:
        raise JobError(f"{path} must say how many -- rows: a slice has at most")
    return JobFile(
        int(match[1]),
        match[2],
        cast(Kind, kind),
        int(rows),
        needs_of(path.name, text),
        text,  # a file of ours, as literal as a string of the program
    )
