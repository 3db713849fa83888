"""Exports put straight into the database, and staging objects in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from traksense.domain.errors import RetryableError
from traksense.domain.exports import Run


class FilesAway(RetryableError):
    """What the fake raises where it was told to."""


@dataclass
class MemoryFiles:
    """A fake of ``StagingFiles``."""

    objects: dict[str, bytes] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    """Keys of what was begun, and neither closed nor abandoned."""
    fails_after: int | None = None
    """Bytes of an object after which writing fails."""

    def create(self, key: str, *, awaits_head: bool) -> MemoryObject:
        self.open.add(key)
        return MemoryObject(self, key, awaits_head)

    def remove(self, key: str) -> None:
        self.objects.pop(key, None)


@dataclass
class MemoryObject:
    """A fake of ``StagedObject``."""

    files: MemoryFiles
    key: str
    awaits_head: bool
    data: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes) -> None:
        self.data += data
        if self.files.fails_after is not None and len(self.data) > self.files.fails_after:
            raise FilesAway("as the test wants it")

    def close(self, head: bytes = b"") -> None:
        if head and not self.awaits_head:
            raise ValueError("the beginning of this object was sent already")
        self.files.objects[self.key] = head + bytes(self.data)
        self.files.open.discard(self.key)

    def abandon(self) -> None:
        self.files.open.discard(self.key)


@dataclass(frozen=True)
class PlannedChunk:
    """Points in the order of the file, each between two instants."""

    parts: Sequence[tuple[UUID, datetime, datetime]]
    planned_rows: int = 0


def running_export(
    url: str,
    tenant_id: UUID,
    chunks: Sequence[PlannedChunk],
    *,
    start: datetime,
    end: datetime,
    agg: str = "raw",
    format_: str = "csv",
    for_spreadsheet: bool = False,
    locale: str = "en",
    time_zone: str = "America/Sao_Paulo",
) -> Run:
    """An export that is being processed, with these chunks."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "INSERT INTO public.exports (tenant_id, requested_by, email, locale, range_from,"
            " range_to, agg, format, for_spreadsheet, time_zone, status, started_at)"
            " VALUES (%s, 'sub', 'ana@acme.example', %s, %s, %s, %s, %s, %s, %s, 'PROCESSING',"
            " now()) RETURNING id, attempt",
            (tenant_id, locale, start, end, agg, format_, for_spreadsheet, time_zone),
        ).fetchone()
        assert row is not None
        run = Run(tenant_id, *row)
        for number, chunk in enumerate(chunks):
            points, starts, ends = (
                ([*column] for column in zip(*chunk.parts, strict=True))
                if (chunk.parts)
                else ([], [], [])
            )
            connection.execute(
                "INSERT INTO public.export_chunks (tenant_id, export_id, number, attempt,"
                " point_ids, starts, ends, planned_rows)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                (tenant_id, run.export_id, number, run.attempt, points, starts, ends,
                 chunk.planned_rows),
            )  # fmt: skip
    return run


def chunk_row(url: str, run: Run, number: int = 0) -> dict[str, Any]:
    """What is recorded of a chunk."""
    names = "rows_so_far, row_count, byte_count, sha256, crc32, staging_key, done_at"
    with psycopg.connect(url) as connection:
        row = connection.execute(
            f"SELECT {names} FROM public.export_chunks"
            " WHERE export_id = %s AND number = %s".encode(),
            (run.export_id, number),
        ).fetchone()
    assert row is not None
    return dict(zip(names.split(", "), row, strict=True))
