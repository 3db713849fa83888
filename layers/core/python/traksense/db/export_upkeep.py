"""Exports of every tenant looked after, as ``traksense_owner``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.export_work import of_run
from traksense.domain.exports import TOLD_WITHIN, Failure, Run, Status
from traksense.services.export_upkeep import Finished


class SqlUpkeepStore:
    """Implements ``traksense.services.export_upkeep.UpkeepStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("export_upkeep")

    def expire(self, most: int) -> Sequence[Run]:
        """Mark finished exports whose time is over as expired; which those were."""
        return [Run(*row) for row in self._rows("expire_exports", most=most)]

    def running(self, older_than: timedelta, most: int) -> Sequence[Run]:
        """Exports that are pending or running, the oldest first."""
        rows = self._rows("running_exports", older_than=older_than, most=most)
        return [Run(*row) for row in rows]

    def begin_again(self, run: Run) -> Run | None:
        """Give a running export another attempt."""
        rows = self._rows("begin_export_again", **of_run(run))
        return Run(*rows[0]) if rows else None

    def fail(self, run: Run, failure: Failure) -> bool:
        """The export failed; False where it no longer ran with this attempt."""
        return bool(self._rows("fail_lost_export", **of_run(run), error=failure.value))

    def unmailed(self, older_than: timedelta, most: int) -> Sequence[tuple[Run, Status]]:
        """Exports that ended within ``TOLD_WITHIN`` and whose e-mail has had no end yet."""
        rows = self._rows(
            "unmailed_exports", older_than=older_than, told_within=TOLD_WITHIN, most=most
        )
        return [(Run(*row[:3]), Status(row[3])) for row in rows]

    def with_files(self, ended_before: timedelta, most: int) -> Sequence[Run]:
        """Exports that ended without a file to keep, whose files were not seen to be gone."""
        rows = self._rows("exports_with_files", ended_before=ended_before, most=most)
        return [Run(*row) for row in rows]

    def note_files_removed(self, run: Run) -> None:
        """Nothing lies in the bucket of it any more."""
        with self._database.transaction("traksense_owner") as cursor:
            cursor.execute(self._queries["note_export_files_removed"], of_run(run))

    def forget(self, after: timedelta, most: int) -> int:
        """Delete exports that ended long ago and have no files; how many."""
        with self._database.transaction("traksense_owner") as cursor:
            cursor.execute(self._queries["forget_exports"], {"after": after, "most": most})
            return cursor.rowcount

    def finished(self, after: Run | None, most: int) -> Sequence[Finished]:
        """Exports that can be downloaded, in the order of their ids."""
        rows = self._rows(
            "finished_exports", after=None if after is None else after.export_id, most=most
        )
        return [Finished(Run(*row[:3]), row[3]) for row in rows]

    def lose(self, run: Run) -> bool:
        """Mark a finished export whose file is gone as expired."""
        return bool(self._rows("lose_export", **of_run(run)))

    def _rows(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self._database.transaction("traksense_owner") as cursor:
            return cursor.execute(self._queries[name], parameters).fetchall()
