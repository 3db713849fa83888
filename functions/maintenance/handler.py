"""The maintenance Lambda: one scheduled job per call."""

from __future__ import annotations

from functools import cache
from typing import Any

from traksense import bootstrap
from traksense.contracts import metrics as m
from traksense.observability import metrics
from traksense.services.maintenance import MaintenanceService


@cache
def _service() -> MaintenanceService:
    return bootstrap.maintenance()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Run the job that a schedule's payload names; what it did."""
    result = _service().run(str(event.get("job", "")))
    if result.get("offline"):
        metrics.count(m.STATE_CHANGES, result["offline"], label="offline")
    metrics.flush()
    return result
