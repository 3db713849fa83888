"""Compression on TimescaleDB: chunks that are over become columns, late rows join them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

BUDGET_S: Final = 240.0
"""A run begins no further chunk after so long: the schedule calls again within the hour."""
ROLLUPS_AFTER: Final = {
    "1m": timedelta(days=7),
    "5m": timedelta(days=7),
    "1h": timedelta(days=14),
}
"""How long after its end a chunk of each level is compressed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DueChunk:
    """A chunk that holds rows and should not."""

    name: str
    is_compressed: bool
    """Whether most of it is in columns, and the rows are late ones."""


class CompressionStore(Protocol):
    """What compression asks of the database. Every method raises DatabaseAway."""

    def due(self, level: str, before: datetime) -> list[DueChunk]:
        """Chunks of a level that ended by then and hold rows, whole ones first."""

    def compress(self, chunk: str) -> bool:
        """Turn a chunk's rows into columns; False while somebody holds on to it."""


@dataclass(slots=True)
class CompressionReport:
    """What a run did."""

    compressed: int = 0
    """Chunks that became columns."""
    recompressed: int = 0
    """Chunks whose late rows joined the columns."""
    waiting: int = 0
    """Days of readings that are due and could not be compressed."""
    complete: bool = True
    """False: something is left to the next run."""


class Compression:
    """Compresses what is over."""

    def __init__(
        self,
        store: CompressionStore,
        close_after: timedelta = timedelta(days=2),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """``close_after``: how long after its end a day of readings is compressed."""
        self._store = store
        self._after = {"raw": close_after, **ROLLUPS_AFTER}
        self._now = now
        self._timer = timer

    def close(self) -> CompressionReport:
        """Compress what is due until it is done or time is over. Raises DatabaseAway."""
        report = CompressionReport()
        ends = self._timer() + BUDGET_S
        for level, after in self._after.items():
            for chunk in self._store.due(level, self._now() - after):
                if self._timer() < ends and self._store.compress(chunk.name):
                    report.recompressed += chunk.is_compressed
                    report.compressed += not chunk.is_compressed
                    _log.info("%s is in columns now", chunk.name)
                else:
                    report.complete = False
                    report.waiting += level == "raw" and not chunk.is_compressed
        return report
