"""The first step of an export: it is cut into chunks."""

from __future__ import annotations

from typing import Any, Final

from functions.exports.step import run_of
from functions.made import Made
from traksense.observability import metrics
from traksense.services.export_plan import ExportPlan
from traksense.wiring import exports

service: Final[Made[ExportPlan]] = Made(exports.plan)
"""The process's service."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """The numbers of the chunks. Raises ExportEnded, ExportTooLarge, DatabaseAway."""
    try:
        return {"chunks": service.get().plan(run_of(event))}
    finally:
        metrics.flush()
