"""The last step of an export that failed, was cancelled or lost its turn."""

from __future__ import annotations

from typing import Any, Final

from functions.exports.step import run_of
from functions.made import Made
from traksense.contracts import metrics as m
from traksense.domain.exports import Status
from traksense.observability import metrics
from traksense.services.export_fail import ExportFail
from traksense.wiring import exports

service: Final[Made[ExportFail]] = Made(exports.fail)
"""The process's service."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """End the export; what it is at. Raises RetryableError."""
    try:
        status = service.get().fail(run_of(event), str(event["error"]["Error"]))
        if status in (Status.FAILED, Status.CANCELLED):
            metrics.count(m.EXPORTS, label=status.value.lower())
        return {"status": status}
    finally:
        metrics.flush()
