"""The platform itself, for operators."""

from __future__ import annotations

from tests.support.api_routes.entry import Entry

ENTRIES = (
    Entry("GET", "/api/ops/cache", "ops"),
    Entry("POST", "/api/ops/cache/clear", "ops"),
)
