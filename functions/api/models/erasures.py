"""Answers about the erasure of a tenant."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from functions.api.models.base import Answer, Utc
from traksense.domain.erasure import Step


class ErasureAnswer(Answer):
    """An erasure that is going on; once it is ``done``, the proof of it."""

    tenant_id: UUID
    slug: str
    step: Step = Field(description="What is being done; they come in this order.")
    requested_at: Utc
    step_since: Utc
    finished_at: Utc | None
    trouble: str | None = Field(description="What could not be reached and is tried again.")
    is_again: bool = Field(
        description="The database had been restored from before the erasure, and it was done anew."
    )
    counts: dict[str, int] = Field(description="How much was deleted, by kind.")
