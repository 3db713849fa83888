"""What has to be done by the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Protocol

from traksense.domain.errors import Invalid

PARTITION_DAYS_AHEAD: Final = 7
"""Days made ahead: a schedule that fails for less than a week is not noticed by any device."""

_log = logging.getLogger(__name__)


class MaintenanceStore(Protocol):
    """What the jobs ask of the database. Every method raises DatabaseAway."""

    def sweep_offline(self, now: datetime) -> int:
        """Mark the devices silent for too long as offline; how many that were."""

    def ensure_partitions(self, first: date, last: date) -> int:
        """Make the missing day partitions from one UTC day to another; how many that were."""


class MaintenanceService:
    """Runs one job by its name, as a schedule's payload gives it."""

    def __init__(
        self,
        store: MaintenanceStore,
        raw_retention: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._raw_retention = raw_retention
        self._now = now
        self._jobs: dict[str, Callable[[], dict[str, Any]]] = {
            "offline_sweep": self._offline_sweep,
            "partitions_ahead": self._partitions_ahead,
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

    def _partitions_ahead(self) -> dict[str, Any]:
        today = self._now().astimezone(UTC).date()
        made = self._store.ensure_partitions(
            today - self._raw_retention - timedelta(days=1),
            today + timedelta(days=PARTITION_DAYS_AHEAD),
        )
        return {"made": made}
