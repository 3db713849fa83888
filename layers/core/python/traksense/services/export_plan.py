"""The first step of an export: it runs now, and is cut into chunks."""

from __future__ import annotations

import logging
from typing import Protocol

from traksense.domain.exports import MOST_ROWS, Run
from traksense.services.export_work import ExportTooLarge

_log = logging.getLogger(__name__)


class PlanStore(Protocol):
    """What planning asks of the database. Every method raises DatabaseAway and ExportEnded."""

    def begin(self, run: Run) -> None:
        """The export runs from now on, if this attempt is its own."""

    def plan(self, run: Run, most_rows: int) -> tuple[int, int]:
        """Cut it into chunks, unless an earlier try of this attempt did; how many there are, and
        how many rows they are estimated to have. Raises ExportTooLarge.
        """


class ExportPlan:
    """Cuts exports into chunks. Only numbers leave the database."""

    def __init__(self, store: PlanStore, most_rows: int = MOST_ROWS) -> None:
        self._store = store
        self._most_rows = most_rows

    def plan(self, run: Run) -> list[int]:
        """The numbers of the chunks. Raises ExportEnded, ExportTooLarge, DatabaseAway."""
        self._store.begin(run)
        chunks, rows = self._store.plan(run, self._most_rows)
        _log.info("export planned", extra={
            **run.named, "chunks": chunks, "rows": rows})  # fmt: skip
        return list(range(chunks))


def too_large(run: Run, rows: int, most: int) -> ExportTooLarge:
    """Says how large."""
    return ExportTooLarge(f"export {run.export_id} has about {rows} rows, more than {most}")
