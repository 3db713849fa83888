"""An export cut into chunks, in PostgreSQL: only how many there are leaves it."""

from __future__ import annotations

from typing import Final

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.export_work import ended, of_run
from traksense.domain.exports import CHUNK_ROWS, MOST_CHUNKS, Run
from traksense.services.export_plan import too_large

_TIMEOUT_MS: Final = 240_000
"""Of the statement that counts: the function has 300 s."""
_MOST_AN_HOUR: Final = {"raw": 2**62, "1m": 60, "5m": 12, "1h": 1}
"""Rows of a point."""


class SqlPlanStore:
    """Implements ``traksense.services.export_plan.PlanStore``."""

    def __init__(self, database: Database, chunk_rows: int = CHUNK_ROWS) -> None:
        """``chunk_rows``: about how many rows a chunk has."""
        self._database = database
        self._chunk_rows = chunk_rows
        self._queries = queries.load("export_plan")

    def begin(self, run: Run) -> None:
        """The export runs from now on. Raises ExportEnded."""
        with self._database.transaction("traksense_app", run.tenant_id) as cursor:
            if cursor.execute(self._queries["begin_export"], of_run(run)).fetchone() is None:
                raise ended(run)

    def plan(self, run: Run, most_rows: int) -> tuple[int, int]:
        """Cut it into chunks; how many, and their rows. Raises ExportEnded, ExportTooLarge."""
        with self._database.transaction(
            "traksense_app", run.tenant_id, statement_timeout_ms=_TIMEOUT_MS
        ) as cursor:
            cursor.execute(self._queries["lock_plan"], of_run(run))
            row = cursor.execute(self._queries["export_to_plan"], of_run(run)).fetchone()
            if row is None:
                raise ended(run)
            *asked, chunks, rows = row
            if chunks:
                return int(chunks), int(rows)
            cursor.execute(self._queries["forget_plan"], of_run(run))
            names = ("device_id", "point_ids", "range_from", "range_to", "agg")
            parameters = {
                **of_run(run),
                **dict(zip(names, asked, strict=True)),
                "most_an_hour": _MOST_AN_HOUR[asked[-1]],
                "chunk_rows": self._chunk_rows,
                "most_chunks": MOST_CHUNKS,
            }
            planned = cursor.execute(self._queries["plan_export"], parameters).fetchall()
            if not planned:
                cursor.execute(self._queries["plan_nothing"], of_run(run))
                planned = [(0,)]
            total = sum(int(each) for (each,) in planned)
            if total > most_rows:
                raise too_large(run, total, most_rows)
            noted = cursor.execute(self._queries["note_plan"], {**of_run(run), "rows": total})
            if noted.fetchone() is None:
                raise ended(run)
            return len(planned), total
