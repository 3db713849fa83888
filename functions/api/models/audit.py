"""Answers about the audit log."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from functions.api.models.base import Answer, Utc


class AuditEntryAnswer(Answer):
    """A call of the API."""

    id: int
    at: Utc
    action: str
    status: int
    user_id: str | None
    email: str | None = Field(
        description="The caller's; of a refused login, the address that was tried."
    )
    role: str | None
    tenant: str | None = Field(description="Slug; null: all tenants, none, or one that is gone.")
    object_id: str | None = Field(description="What the path names.")
    filters: dict[str, Any] = Field(
        description="Names of what was given: query (values of ids and choices only), body."
    )
    record_count: int | None
    duration_ms: float
    ip: str | None
    user_agent: str | None
    request_id: str
