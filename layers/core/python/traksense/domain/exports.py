"""Exports: what may be asked for, the states that one goes through, and where its files lie.

::

    PENDING ──► PROCESSING ──► COMPLETED ──► EXPIRED
       │            │
       └────────────┴──► FAILED, CANCELLED

Every change of state is a conditional update: of two that try, one wins and the other sees that
it did not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal
from uuid import UUID

Agg = Literal["raw", "1m", "5m", "1h"]
Format = Literal["csv", "csv.gz", "parquet"]
Notification = Literal["pending", "sent", "refused", "unsent"]
"""What came of the e-mail that tells an export's end. ``refused``: its address takes none, for
good. ``unsent``: it could not be sent in time, and is not tried any more."""

KEEP: Final = timedelta(hours=24)
"""How long a finished export can be downloaded; its links are good as long."""
TOLD_WITHIN: Final = timedelta(hours=1)
"""So long after an export's end its e-mail is tried."""
MOST_CHUNKS: Final = 1_000
"""With at most 20 events a chunk (8, and 4 a retry), under the 25,000 of an execution's history."""
CHUNK_ROWS: Final = 2_000_000
"""Rows of a chunk, unless there would be more than ``MOST_CHUNKS``."""
MOST_CHUNK_ROWS: Final = 20_000_000
"""More than this is not read and written in a chunk's 300 s for sure."""
MOST_ROWS: Final = MOST_CHUNKS * MOST_CHUNK_ROWS
"""Of one export."""
MOST_RUNNING: Final = 3
"""Exports of a tenant that may be pending or running at once."""


class Status(StrEnum):
    """What an export is at."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self in (Status.PENDING, Status.PROCESSING)


class Failure(StrEnum):
    """Why an export failed: a code; the catalogues have its words as ``export.failed.<code>``."""

    TOO_LARGE = "too_large"
    TIMED_OUT = "timed_out"
    STORAGE_AWAY = "storage_away"
    DATABASE_AWAY = "database_away"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an export holds. Times in UTC, ``end`` exclusive."""

    device_id: UUID | None
    """None: every device of the tenant."""
    point_ids: tuple[UUID, ...] | None
    """None: every point of those devices."""
    start: datetime
    end: datetime
    agg: Agg
    format: Format
    for_spreadsheet: bool
    """CSV as the spreadsheet program of ``locale`` reads it, rather than RFC 4180."""
    locale: Literal["pt-BR", "en"]
    time_zone: str
    """The tenant's; a spreadsheet's times are shown in it."""

    def is_archive(self, chunk_count: int) -> bool:
        """Whether the chunks are entries of a ZIP: a Parquet file cannot be joined to another."""
        return self.format == "parquet" and chunk_count > 1


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of the state machine for an export: the input of each of its steps."""

    tenant_id: UUID
    export_id: UUID
    attempt: int
    """What an earlier attempt still does changes nothing."""

    @property
    def named(self) -> dict[str, str]:
        """The export, as a line of the log names it."""
        return {"export": str(self.export_id)}

    @property
    def prefix(self) -> str:
        """Under which everything of the export lies in the bucket, staging objects included."""
        return f"{self.tenant_id}/{self.export_id}/"

    @property
    def staging_prefix(self) -> str:
        """Under which the chunks' objects lie."""
        return f"{self.prefix}staging/"

    @property
    def execution_name(self) -> str:
        """Of the execution: one that was started twice is one execution."""
        return f"{self.export_id}-{self.attempt}"


MEDIA_TYPES: Final = {
    ".csv": "text/csv; charset=utf-8",
    ".csv.gz": "application/gzip",
    ".parquet": "application/vnd.apache.parquet",
    ".zip": "application/zip",
}
"""Of a finished file, by its suffix. Parquet of more than one chunk is a ZIP of files."""
