"""What maintenance asks for in one way and each storage engine does in its own.

Which engine it is, the database is asked at the first use: wiring a function connects to nothing.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from traksense.db.engine import EngineOf
from traksense.db.rollups import SqlRollupStore
from traksense.db.timescale.rollups import TimescaleRollupStore
from traksense.services.compression import Compression, CompressionReport
from traksense.services.rollups import LevelProgress, RollupStore, Slice
from traksense.services.segments import CloseReport, Segments


class RollupStoreByEngine:
    """Implements ``traksense.services.rollups.RollupStore``."""

    def __init__(
        self, engine: EngineOf, plain: SqlRollupStore, timescale: TimescaleRollupStore
    ) -> None:
        self._engine = engine
        self._plain = plain
        self._timescale = timescale

    def _store(self) -> RollupStore:
        return self._timescale if self._engine() == "timescale" else self._plain

    def seal(self, wall_clock: datetime, most: timedelta) -> bool | None:
        """Close the minutes that are over, at most so far past what is refreshed."""
        return self._store().seal(wall_clock, most)

    def refresh(self, most: timedelta) -> Slice | None:
        """Compute what is sealed, and what came late; None: another refresh is at work."""
        return self._store().refresh(most)

    def ensure_partitions(self, first: date, last: date) -> int:
        """Make the missing month partitions, where there are such; how many that were."""
        return self._store().ensure_partitions(first, last)

    def progress(self) -> list[LevelProgress]:
        """How far each level is."""
        return self._store().progress()


class ClosingByEngine:
    """Implements ``traksense.services.maintenance.ClosesDays``."""

    def __init__(self, engine: EngineOf, plain: Segments, timescale: Compression) -> None:
        self._engine = engine
        self._plain = plain
        self._timescale = timescale

    def close(self) -> CloseReport | CompressionReport:
        """Make days that are over small. Raises DatabaseAway."""
        return self._timescale.close() if self._engine() == "timescale" else self._plain.close()
