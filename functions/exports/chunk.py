"""The Lambda of an export's chunk: reads it and writes its staging object."""

from __future__ import annotations

from typing import Any, Final

from functions.exports.step import run_of
from functions.made import Made
from traksense import bootstrap
from traksense.observability import metrics
from traksense.services.export_chunk import ExportChunks

service: Final[Made[ExportChunks]] = Made(bootstrap.export_chunk)
"""The process's service."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Write the chunk that the event names; its rows, none where it was written before."""
    try:
        return {"rows": service.get().write(run_of(event), int(event["chunk"]))}
    finally:
        metrics.flush()
