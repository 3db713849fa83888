"""The audit log."""

from __future__ import annotations

from tests.support.api_routes.entry import Entry

ENTRIES = (Entry("GET", "/api/audit", "ops"),)
