"""A chunk of an export: read from the database, written into a staging object of its own.

Nothing is held that grows with the chunk: some slices that were read ahead, and a part that is
being uploaded. Every second the worker says how far it is and learns whether to go on. Of several
tries one is recorded, and each of the others removes what it wrote.
"""

from __future__ import annotations

import hashlib
import secrets
import time
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, Protocol, cast
from uuid import UUID

from traksense.domain import zip_stream
from traksense.domain.exports import Run
from traksense.services import export_csv
from traksense.services.export_rows import Columns, ExportedPoint, ExportRows, Lines
from traksense.services.export_slices import SLICE_ROWS, TEXT_SLICE_ROWS, Part, Slicer
from traksense.services.export_work import (
    ChunkStore,
    ChunkWork,
    DoneChunk,
    ExportEnded,
    entry_name,
)
from traksense.services.read_ahead import read_ahead

CHECK_EVERY_S: Final = 1.0
_READ_AHEAD: Final = 2
"""Slices: 10 MB."""


class StagedObject(Protocol):
    """An object that is being written."""

    def write(self, data: bytes) -> None:
        """Write on. Raises RetryableError."""

    def close(self, head: bytes = b"") -> None:
        """Make it an object, ``head`` in front of all that was written. Raises RetryableError."""

    def abandon(self) -> None:
        """Leave nothing of it. What fails here is removed with the export's other files."""


class StagingFiles(Protocol):
    """Where chunks are written."""

    def create(self, key: str, *, awaits_head: bool) -> StagedObject:
        """Begin an object; ``awaits_head``: what it begins with is known when it is closed."""

    def remove(self, key: str) -> None:
        """Remove an object. Raises RetryableError."""


class Encoder(Protocol):
    """Makes bytes of slices. Each is given what it wants: Lines or Columns."""

    def add(self, rows: Lines | Columns) -> bytes:
        """What to write of a slice."""

    def end(self) -> bytes:
        """What to write after the last one."""


@dataclass(slots=True)
class _Tally:
    """What was written."""

    rows: int = 0
    size: int = 0
    crc32: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self.crc32 = zlib.crc32(data, self.crc32)
        self.sha256.update(data)


class ExportChunks:
    """Writes chunks."""

    def __init__(
        self,
        store: ChunkStore,
        rows: ExportRows,
        files: StagingFiles,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._rows = rows
        self._files = files
        self._clock = clock

    def write(self, run: Run, number: int) -> int | None:
        """Write a chunk; its rows, or None where another try has done it.

        Raises ExportEnded, and RetryableError where another try may succeed.
        """
        work = self._store.chunk(run, number)
        if work.is_done:
            return None
        key = f"{run.staging_prefix}{run.attempt}-{number:04d}-{secrets.token_hex(8)}"
        staged = self._files.create(key, awaits_head=_is_zipped(work))
        try:
            tally = self._stream(run, work, staged)
            if tally is None:
                staged.abandon()
                return None
            head = _zip_header(work, tally)
            staged.close(head)
        except BaseException:
            staged.abandon()
            raise
        done = DoneChunk(
            number=number,
            row_count=tally.rows,
            byte_count=len(head) + tally.size,
            sha256=tally.sha256.digest(),
            crc32=tally.crc32,
            staging_key=key,
        )
        try:
            is_recorded = self._store.finish_chunk(run, done)
        except ExportEnded:
            self._files.remove(key)
            raise
        if not is_recorded:
            self._files.remove(key)
            return None
        return tally.rows

    def _stream(self, run: Run, work: ChunkWork, staged: StagedObject) -> _Tally | None:
        """Write all rows; None where another try has done the chunk meanwhile."""
        points = self._rows.points(run.tenant_id, work.chunk.point_ids)
        encoder, head = encoder_of(work, points)
        tally = _Tally()

        def put(data: bytes) -> None:
            if data:
                tally.add(data)
                staged.write(data)

        put(head)
        due = self._clock() + CHECK_EVERY_S
        with read_ahead(
            lambda: self._read(run.tenant_id, work, points), _READ_AHEAD, self._rows.release
        ) as ahead:
            for rows in ahead.each(CHECK_EVERY_S):
                if rows is not None:
                    put(encoder.add(rows))
                    tally.rows += rows.rows
                if self._clock() >= due:
                    if not self._store.note_progress(run, work.chunk.number, tally.rows):
                        return None
                    due = self._clock() + CHECK_EVERY_S
        put(encoder.end())
        return tally

    def _read(
        self, tenant_id: UUID, work: ChunkWork, points: Mapping[UUID, ExportedPoint]
    ) -> Generator[Lines | Columns]:
        """The slices of a chunk in their order; each statement begins where the last one ended."""
        asked, chunk = work.asked, work.chunk
        slicer = Slicer(
            [
                Part(point_id, start, end, _most(points[point_id]))
                for point_id, start, end in zip(
                    chunk.point_ids, chunk.starts, chunk.ends, strict=True
                )
                if point_id in points  # else it was erased since the export was planned
            ],
            chunk.planned_rows,
        )
        while batch := slicer.batch():
            found: Generator[Lines] | Generator[Columns]
            if asked.format == "parquet":
                found = self._rows.columns(tenant_id, asked.agg, batch, points)
            else:
                layout = export_csv.layout_of(asked)
                found = self._rows.lines(tenant_id, asked.agg, batch, points, layout)
            with closing(found):
                for rows in found:
                    if rows.rows:
                        yield rows
                    if not slicer.saw(rows.slice, rows.rows, rows.last):
                        break


def encoder_of(work: ChunkWork, points: Mapping[UUID, ExportedPoint]) -> tuple[Encoder, bytes]:
    """What encodes a chunk, and what it begins with."""
    asked = work.asked
    if asked.format == "parquet":
        # Imported for who writes Parquet alone: it takes half a second and 60 MB.
        from traksense.services.export_parquet import Parquet

        return cast(Encoder, Parquet(points, is_raw=asked.agg == "raw")), b""
    encoder = export_csv.Gzip() if asked.format == "csv.gz" else export_csv.Plain()
    if work.chunk.number:
        return cast(Encoder, encoder), b""
    columns = export_csv.RAW_COLUMNS if asked.agg == "raw" else export_csv.ROLLUP_COLUMNS
    return cast(Encoder, encoder), encoder.begin(export_csv.layout_of(asked).header(columns))


def _most(point: ExportedPoint) -> int:
    return SLICE_ROWS if point.type in ("num", "bool") else TEXT_SLICE_ROWS


def _is_zipped(work: ChunkWork) -> bool:
    return work.asked.is_archive(work.chunk_count)


def _zip_header(work: ChunkWork, tally: _Tally) -> bytes:
    if not _is_zipped(work):
        return b""
    # When the data ends is what all who put the archive together know.
    return zip_stream.header(entry_name(work.chunk.number), work.asked.end, tally.size, tally.crc32)
