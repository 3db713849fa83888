"""The end of an export's execution, in PostgreSQL: its file is there, or it failed."""

from __future__ import annotations

from typing import Any

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.export_work import SqlExportWork, asked_of, ended, of_run
from traksense.domain.errors import RetryableError
from traksense.domain.exports import KEEP, Failure, Run, Status
from traksense.services.export_fail import Standing
from traksense.services.export_finish import FinishedFile, FinishWork
from traksense.services.export_work import DoneChunk


class ChunksMissing(RetryableError):
    """Not every chunk is done."""


class SqlFinishStore:
    """Implements ``FinishStore`` and ``FailStore`` of ``traksense.services``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._work = SqlExportWork(database)
        self._queries = queries.load("export_finish")

    def check(self, run: Run) -> None:
        """Raises ExportEnded where the export does not run with this attempt."""
        self._work.check(run)

    def work(self, run: Run) -> FinishWork:
        """What is to be joined. Raises ExportEnded and ChunksMissing."""
        with self._database.transaction("traksense_app", run.tenant_id) as cursor:
            row = cursor.execute(self._queries["export_to_finish"], of_run(run)).fetchone()
            if row is None:
                raise ended(run)
            found = cursor.execute(self._queries["chunks_to_join"], of_run(run)).fetchall()
        slug, device, file_key = row[9:]
        if file_key is None and (not found or any(chunk[-1] is None for chunk in found)):
            raise ChunksMissing(f"export {run.export_id} has chunks that are not done")
        return FinishWork(
            asked=asked_of(row[:9]),
            tenant=slug,
            device=device,
            chunks=() if file_key is not None else tuple(DoneChunk(*chunk) for chunk in found),
            is_finished=file_key,
        )

    def complete(self, run: Run, file: FinishedFile) -> None:
        """The export is done. Raises ExportEnded where it no longer ran."""
        done = self._changed(
            "complete_export",
            run,
            keep=KEEP,
            record_count=file.row_count,
            file_size=file.size,
            file_key=file.key,
            file_name=file.name,
            sha256=file.sha256,
            crc32=file.crc32,
        )
        if not done:
            raise ended(run)

    def fail(self, run: Run, failure: Failure) -> bool:
        """The export failed; False where it no longer ran with this attempt."""
        return self._changed("fail_export", run, error=failure.value)

    def standing(self, run: Run) -> Standing | None:
        """What the export is at; None where there is none any more."""
        with self._database.transaction("traksense_app", run.tenant_id) as cursor:
            row = cursor.execute(self._queries["standing_export"], of_run(run)).fetchone()
        return None if row is None else Standing(Status(row[0]), row[1], row[2])

    def _changed(self, name: str, run: Run, **parameters: Any) -> bool:
        with self._database.transaction("traksense_app", run.tenant_id) as cursor:
            cursor.execute(self._queries[name], {**of_run(run), **parameters})
            return cursor.fetchone() is not None
