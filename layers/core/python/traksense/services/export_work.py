"""What the steps of an export share: what they are told, what they keep, and when they stop.

A step whose export no longer runs with its attempt raises ``ExportEnded``, wherever it notices.
The state machine does not retry that; its last step then removes the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from traksense.domain.errors import PermanentError
from traksense.domain.exports import Asked, Run


class ExportEnded(PermanentError):
    """The export was cancelled or has ended otherwise, or a later attempt has it."""


class ExportTooLarge(PermanentError):
    """More rows than one export may have."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of the file: these points in this order, each from a start to an end (exclusive)."""

    number: int
    point_ids: tuple[UUID, ...]
    starts: tuple[datetime, ...]
    ends: tuple[datetime, ...]
    planned_rows: int


@dataclass(frozen=True, slots=True)
class DoneChunk:
    """What became of a chunk."""

    number: int
    row_count: int
    byte_count: int
    """Of its staging object."""
    sha256: bytes
    """Of its data, without what a ZIP puts around it."""
    crc32: int
    """Of its data, as ``sha256``."""
    staging_key: str


@dataclass(frozen=True, slots=True)
class ChunkWork:
    """What a worker has to do."""

    asked: Asked
    chunk: Chunk
    chunk_count: int
    """Of the whole export."""
    is_done: bool
    """An earlier try of this attempt has done it."""


def entry_name(number: int) -> str:
    """The name of a chunk's file in an archive; people count from 1."""
    return f"part-{number + 1:04d}.parquet"


class ChunkStore(Protocol):
    """What a worker asks of the database. Every method raises DatabaseAway."""

    def chunk(self, run: Run, number: int) -> ChunkWork:
        """A chunk of a running export. Raises ExportEnded."""

    def note_progress(self, run: Run, number: int, rows: int) -> bool:
        """Note the rows written so far, in one round trip; False: another try has done the chunk,
        and this one is to stop. Raises ExportEnded.
        """

    def finish_chunk(self, run: Run, done: DoneChunk) -> bool:
        """Record a chunk's object, unless another try was first; whether this one is recorded.

        Who gets False deletes its object. Raises ExportEnded, and then the object goes as well.
        """


class RunCheck(Protocol):
    """Whether to go on."""

    def check(self, run: Run) -> None:
        """Raises ExportEnded where the export does not run with this attempt, DatabaseAway."""
