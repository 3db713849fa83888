"""The maintenance Lambda: one scheduled job per call."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from functions.made import Made
from traksense import bootstrap
from traksense.contracts import metrics as m
from traksense.domain.errors import RetryableError
from traksense.observability import metrics
from traksense.services.maintenance import DatabaseFigures, MaintenanceService

service: Final[Made[MaintenanceService]] = Made(bootstrap.maintenance)
"""The process's service."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Run the job that a schedule's payload names; what it did."""
    job = str(event.get("job", ""))
    try:
        if job == "refresh_rollups":
            return _refresh_rollups()
        try:
            result = service.get().run(job)
        except Exception:
            metrics.count(m.JOB_FAILURES, label=job)
            raise
        if job == "offline_sweep":  # the one that comes each minute whatever there is to do
            with suppress(RetryableError):  # the job is done; the next minute measures again
                _show_database(service.get().database_figures())
        if "waiting" in result:
            metrics.gauge(m.DAYS_TO_CLOSE, result["waiting"])
        if job == "release_jobs" and (result["left"] or result["finished"]):
            metrics.gauge(m.RELEASE_JOBS_LEFT, result["left"])
            metrics.gauge(m.RELEASE_JOBS_FAILING, result["failing"])
        if job == "settle_exports":
            _count_exports(result)
        if job == "check_export_files" and result["lost_files"]:
            metrics.count(m.EXPORTS, result["lost_files"], label="expired")
        if result.get("timed_out"):
            metrics.count(m.COMMANDS_SETTLED, result["timed_out"], label="timeout")
        if result.get("offline"):
            metrics.count(m.STATE_CHANGES, result["offline"], label="offline")
        return result
    finally:
        metrics.flush()


def _count_exports(result: dict[str, Any]) -> None:
    for outcome in ("expired", "failed"):
        if result[outcome]:
            metrics.count(m.EXPORTS, result[outcome], label=outcome)
    if result["begun_again"]:
        metrics.count(m.EXPORTS_LOST, result["begun_again"])


def _refresh_rollups() -> dict[str, Any]:
    try:
        with metrics.timed(m.ROLLUP_DURATION):
            result = service.get().run("refresh_rollups")
    except Exception:
        metrics.count(m.ROLLUP_FAILURES)
        with suppress(RetryableError):  # the failure itself is what has to be told
            _show_lag(service.get().rollup_lag_s())
        raise
    metrics.count(m.ROLLUP_BUCKETS, result["buckets"])
    _show_lag(result["lag_s"])
    return result


def _show_database(figures: DatabaseFigures) -> None:
    metrics.gauge(m.DATABASE_BYTES, figures.size_bytes)
    metrics.gauge(m.DATABASE_CONNECTIONS, figures.connections)
    metrics.gauge(m.DATABASE_CONNECTIONS_LEFT, figures.connections_left)
    metrics.gauge(m.TRANSACTION_AGE, figures.transaction_age)


def _show_lag(lag_s: dict[str, float]) -> None:
    for level, seconds in lag_s.items():
        metrics.gauge(m.ROLLUP_LAG, seconds, label=level)
