"""The step that makes one file of an export's chunks."""

from __future__ import annotations

from typing import Any, Final

from functions.exports.step import run_of
from functions.made import Made
from traksense.contracts import metrics as m
from traksense.observability import metrics
from traksense.services.export_finish import ExportFinish
from traksense.wiring import exports

service: Final[Made[ExportFinish]] = Made(exports.finish)
"""The process's service."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Join them; rows and bytes, where this try did. Raises ExportEnded, RetryableError."""
    try:
        file = service.get().finish(run_of(event))
        if file is None:
            return {}
        metrics.count(m.EXPORTS, label="completed")
        metrics.count(m.EXPORT_ROWS, file.row_count)
        return {"rows": file.row_count, "bytes": file.size}
    finally:
        metrics.flush()
