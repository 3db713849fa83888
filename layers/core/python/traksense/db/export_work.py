"""What the steps of an export ask of PostgreSQL, as ``traksense_app`` in the tenant's sight."""

from __future__ import annotations

from typing import Any

from traksense.db import queries
from traksense.db.connection import Database
from traksense.domain.exports import Asked, Run
from traksense.services.export_work import Chunk, ChunkWork, DoneChunk, ExportEnded

_CHECK_TIMEOUT_MS = 5_000


class SqlExportWork:
    """Implements ``traksense.services.export_work.ChunkStore`` and ``RunCheck``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("export_work")

    def check(self, run: Run) -> None:
        """Raises ExportEnded where the export does not run with this attempt."""
        (runs,) = self._at_once("check_export", run)
        if not runs:
            raise ended(run)

    def chunk(self, run: Run, number: int) -> ChunkWork:
        """A chunk of a running export. Raises ExportEnded."""
        with self._database.transaction("traksense_app", run.tenant_id) as cursor:
            row = cursor.execute(
                self._queries["export_chunk"], {**of_run(run), "number": number}
            ).fetchone()
        if row is None:
            raise ended(run)
        points, starts, ends, planned, count, is_done = row[9:]
        return ChunkWork(
            asked=asked_of(row[:9]),
            chunk=Chunk(number, tuple(points), tuple(starts), tuple(ends), planned),
            chunk_count=count,
            is_done=is_done,
        )

    def note_progress(self, run: Run, number: int, rows: int) -> bool:
        """Note the rows written so far; False: another try has done the chunk."""
        runs, noted = self._at_once("note_chunk_progress", run, number=number, rows=rows)
        if not runs:
            raise ended(run)
        return bool(noted)

    def finish_chunk(self, run: Run, done: DoneChunk) -> bool:
        """Record a chunk's object; False: another try was first."""
        runs, noted = self._at_once(
            "finish_chunk",
            run,
            is_durable=True,
            number=done.number,
            row_count=done.row_count,
            byte_count=done.byte_count,
            sha256=done.sha256,
            crc32=done.crc32,
            staging_key=done.staging_key,
        )
        if not runs:
            raise ended(run)
        return bool(noted)

    def _at_once(
        self, name: str, run: Run, *, is_durable: bool = False, **parameters: Any
    ) -> tuple[Any, ...]:
        rows = self._database.at_once(
            "traksense_app",
            run.tenant_id,
            self._queries[name],
            {**of_run(run), **parameters},
            is_durable=is_durable,
            timeout_ms=_CHECK_TIMEOUT_MS,
        )
        return rows[0]


def ended(run: Run) -> ExportEnded:
    """Says which export it was that has ended."""
    return ExportEnded(f"export {run.export_id} does not run as attempt {run.attempt}")


def asked_of(row: tuple[Any, ...]) -> Asked:
    """What was asked for, of the first nine columns of the queries that answer it."""
    device_id, point_ids, start, end, agg, format_, for_spreadsheet, locale, time_zone = row
    return Asked(
        device_id=device_id,
        point_ids=None if point_ids is None else tuple(point_ids),
        start=start,
        end=end,
        agg=agg,
        format=format_,
        for_spreadsheet=for_spreadsheet,
        locale=locale,
        time_zone=time_zone,
    )


def of_run(run: Run) -> dict[str, Any]:
    """What every query about a run is told."""
    return {"tenant_id": run.tenant_id, "export_id": run.export_id, "attempt": run.attempt}
