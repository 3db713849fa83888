"""Entries of the audit log as CSV (RFC 4180, UTF-8, with a header line)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Final

from functions.api.models.audit import AuditEntryAnswer

CSV: Final = "text/csv"
CONTENT_TYPE: Final = "text/csv; charset=utf-8; header=present"
CURSOR_HEADER: Final = "X-Next-Cursor"

_COLUMNS: Final = tuple(AuditEntryAnswer.model_fields)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def encode(entries: Sequence[AuditEntryAnswer]) -> bytes:
    """A line an entry; filters are JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for entry in entries:
        values = entry.model_dump(mode="json")
        writer.writerow([_cell(values[name]) for name in _COLUMNS])
    return text.getvalue().encode("utf-8")


def _cell(value: object) -> object:
    """A user agent is whatever a caller sent: no spreadsheet shall take it for a formula (OWASP,
    "CSV injection").
    """
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
