"""What has to be done by the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Protocol

from traksense.domain.errors import Invalid
from traksense.services.compression import CompressionReport
from traksense.services.export_upkeep import ExportUpkeep
from traksense.services.messages import Messages
from traksense.services.release_jobs import ReleaseJobs
from traksense.services.retention import Retention
from traksense.services.rollups import Rollups
from traksense.services.segments import CloseReport
from traksense.services.tenant_erasure import TenantErasure

PARTITION_DAYS_AHEAD: Final = 7
"""Days made ahead: a schedule that fails for less than a week is not noticed by any device."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DatabaseFigures:
    """How large and how busy the database's server is."""

    size_bytes: int
    connections: int
    connections_left: int
    transaction_age: int
    """Transactions since the oldest row that is not frozen; at two billion writing stops."""


class MaintenanceStore(Protocol):
    """What the jobs ask of the database. Every method raises DatabaseAway."""

    def figures(self) -> DatabaseFigures:
        """How large and how busy the server is."""

    def sweep_offline(self, now: datetime) -> int:
        """Mark the devices silent for too long as offline; how many that were."""

    def time_out_commands(self, now: datetime) -> int:
        """Settle the commands that no ack came for in time; how many that were."""

    def ensure_partitions(self, first: date, last: date) -> int:
        """Make the missing day partitions from one UTC day to another; how many that were."""


class ClosesDays(Protocol):
    """Makes the readings of days that are over small, as its storage engine does."""

    def close(self) -> CloseReport | CompressionReport:
        """Close what can be closed. Raises DatabaseAway."""


class MaintenanceService:
    """Runs one job by its name, as a schedule's payload gives it."""

    def __init__(
        self,
        store: MaintenanceStore,
        raw_retention: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        rollups: Rollups | None = None,
        segments: ClosesDays | None = None,
        retention: Retention | None = None,
        messages: Messages | None = None,
        erasure: Callable[[], TenantErasure] | None = None,
        exports: Callable[[], ExportUpkeep] | None = None,
        release_jobs: ReleaseJobs | None = None,
    ) -> None:
        """The parts that nothing here may touch are None.

        ``erasure`` and ``exports`` are made when they are first run: they alone stand on more
        than the database.
        """
        self._store = store
        self._raw_retention = raw_retention
        self._now = now
        self._rollups = rollups
        self._segments = segments
        self._retention = retention
        self._messages = messages
        self._erasure = erasure
        self._exports = exports
        self._releases = release_jobs
        self._jobs: dict[str, Callable[[], dict[str, Any]]] = {
            "offline_sweep": self._offline_sweep,
            "command_timeouts": self._command_timeouts,
            "partitions_ahead": self._partitions_ahead,
            "refresh_rollups": self._refresh_rollups,
            "close_days": self._close_days,
            "retention": self._run_retention,
            "erase_tenants": self._erase_tenants,
            "apply_tombstones": self._apply_tombstones,
            "settle_exports": self._settle_exports,
            "check_export_files": self._check_export_files,
            "release_jobs": self._release_jobs,
        }

    @property
    def jobs(self) -> frozenset[str]:
        """Names of the jobs there are."""
        return frozenset(self._jobs)

    def run(self, job: str) -> dict[str, Any]:
        """Run a job; what it did. Raises Invalid for an unknown one, DatabaseAway."""
        if job not in self._jobs:
            raise Invalid(f"there is no job {job!r}: it is one of {', '.join(sorted(self._jobs))}")
        return {"job": job, **self._jobs[job]()}

    def _offline_sweep(self) -> dict[str, Any]:
        swept = self._store.sweep_offline(self._now())
        if swept:
            _log.info("%d devices went offline after their silence", swept)
        return {"offline": swept}

    def _command_timeouts(self) -> dict[str, Any]:
        timed_out = self._store.time_out_commands(self._now())
        if timed_out:
            _log.info("%d commands timed out", timed_out)
        return {"timed_out": timed_out}

    def _partitions_ahead(self) -> dict[str, Any]:
        today = self._now().astimezone(UTC).date()
        first = today - self._raw_retention - timedelta(days=1)
        last = today + timedelta(days=PARTITION_DAYS_AHEAD)
        made = {"made": self._store.ensure_partitions(first, last)}
        if self._rollups is not None:
            made["made_for_rollups"] = self._rollups.ensure_partitions(first, last)
        return made

    def database_figures(self) -> DatabaseFigures:
        """How large and how busy the database's server is. Raises DatabaseAway."""
        return self._store.figures()

    def rollup_lag_s(self) -> dict[str, float]:
        """Seconds by level that the rollups are behind; empty where nothing here refreshes them.

        Raises DatabaseAway.
        """
        return {} if self._rollups is None else self._rollups.lag_s()

    def _refresh_rollups(self) -> dict[str, Any]:
        if self._rollups is None:
            raise Invalid("there is nothing here that refreshes rollups")
        report = self._rollups.refresh()
        if not report.complete:
            _log.info("the rollups are not complete yet: %s", report)
        return asdict(report)

    def _close_days(self) -> dict[str, Any]:
        if self._segments is None:
            raise Invalid("there is nothing here that closes days")
        closed = asdict(self._segments.close())
        if self._messages is not None:
            packed = self._messages.pack()
            closed["packed_days"] = [day.isoformat() for day in packed.days]
            closed["packed_messages"] = packed.messages
            closed["complete"] = closed["complete"] and packed.left == 0
        return closed

    def _tenant_erasure(self) -> TenantErasure:
        if self._erasure is None:
            raise Invalid("there is nothing here that erases tenants")
        return self._erasure()

    def _erase_tenants(self) -> dict[str, Any]:
        return asdict(self._tenant_erasure().run())

    def _apply_tombstones(self) -> dict[str, Any]:
        return {"buried_again": self._tenant_erasure().apply_tombstones()}

    def _export_upkeep(self) -> ExportUpkeep:
        if self._exports is None:
            raise Invalid("there is nothing here that looks after exports")
        return self._exports()

    def _settle_exports(self) -> dict[str, Any]:
        return asdict(self._export_upkeep().settle())

    def _check_export_files(self) -> dict[str, Any]:
        return {"lost_files": self._export_upkeep().check_files()}

    def _release_jobs(self) -> dict[str, Any]:
        if self._releases is None:
            raise Invalid("there is nothing here that does the work of releases")
        return asdict(self._releases.run())

    def _run_retention(self) -> dict[str, Any]:
        if self._retention is None:
            raise Invalid("there is nothing here that runs retention")
        return asdict(self._retention.run())
