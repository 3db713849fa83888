"""What runs by the clock: EventBridge Scheduler in AWS, a timer on one machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Schedule:
    """One recurring call of a function."""

    name: str
    function: str
    rate_minutes: int
    payload: dict[str, str]


OFFLINE_SWEEP: Final = Schedule(
    name="offline-sweep",
    function="maintenance",
    rate_minutes=1,
    payload={"job": "offline_sweep"},
)
COMMAND_TIMEOUTS: Final = Schedule(
    name="command-timeouts",
    function="maintenance",
    rate_minutes=1,
    payload={"job": "command_timeouts"},
)
PARTITIONS_AHEAD: Final = Schedule(
    name="partitions-ahead",
    function="maintenance",
    rate_minutes=60,
    payload={"job": "partitions_ahead"},
)

REFRESH_ROLLUPS: Final = Schedule(
    name="refresh-rollups",
    function="maintenance",
    rate_minutes=1,
    payload={"job": "refresh_rollups"},
)
CLOSE_DAYS: Final = Schedule(
    name="close-days",
    function="maintenance",
    rate_minutes=60,
    payload={"job": "close_days"},
)
RETENTION: Final = Schedule(
    name="retention",
    function="maintenance",
    rate_minutes=60,
    payload={"job": "retention"},
)

ERASE_TENANTS: Final = Schedule(
    name="erase-tenants",
    function="maintenance",
    rate_minutes=1,
    payload={"job": "erase_tenants"},
)
APPLY_TOMBSTONES: Final = Schedule(
    name="apply-tombstones",
    function="maintenance",
    rate_minutes=60,
    payload={"job": "apply_tombstones"},
)

SETTLE_EXPORTS: Final = Schedule(
    name="settle-exports",
    function="maintenance",
    rate_minutes=1,
    payload={"job": "settle_exports"},
)
CHECK_EXPORT_FILES: Final = Schedule(
    name="check-export-files",
    function="maintenance",
    rate_minutes=60,
    payload={"job": "check_export_files"},
)

RELEASE_JOBS: Final = Schedule(
    name="release-jobs",
    function="maintenance",
    rate_minutes=1,
    payload={"job": "release_jobs"},
)

SCHEDULES: Final = (
    OFFLINE_SWEEP,
    COMMAND_TIMEOUTS,
    CHECK_EXPORT_FILES,
    SETTLE_EXPORTS,
    PARTITIONS_AHEAD,
    REFRESH_ROLLUPS,
    CLOSE_DAYS,
    RETENTION,
    ERASE_TENANTS,
    APPLY_TOMBSTONES,
    RELEASE_JOBS,
)
"""Every schedule of the platform. On one machine they begin in this order, one after another: what
people see comes first, what may take minutes last."""
