"""Is it up."""

from __future__ import annotations

from tests.support.api_routes.entry import Entry

ENTRIES = (
    Entry("GET", "/health", "public"),
    Entry("GET", "/health/deep", "ops"),
    Entry("GET", "/schema", "public"),
)
