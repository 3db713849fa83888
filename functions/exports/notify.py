"""The step after a finished export: its e-mail."""

from __future__ import annotations

from typing import Any, Final

from functions.exports.step import run_of
from functions.made import Made
from traksense import bootstrap
from traksense.observability import metrics
from traksense.services.export_mail import ExportMail

service: Final[Made[ExportMail]] = Made(bootstrap.export_mail)
"""The process's service."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Mail that the export is there; whether this call did. Raises MailAway, DatabaseAway."""
    try:
        return {"mailed": service.get().completed(run_of(event))}
    finally:
        metrics.flush()
