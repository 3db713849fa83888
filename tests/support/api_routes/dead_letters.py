"""Dead letters."""

from __future__ import annotations

from tests.support.api_routes.entry import Entry

ENTRIES = (Entry("GET", "/api/dlq", "ops"),)
