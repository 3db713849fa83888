"""Answers about dead letters."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from functions.api.models.base import Answer, Utc


class DeadLetterAnswer(Answer):
    """A message that could not be accepted, whole or in part."""

    id: int
    received_at: Utc
    last_received_at: Utc
    occurrences: int
    tenant: str | None
    topic: str
    client_id: str | None
    reason: str
    detail: str
    payload: str
    payload_encoding: Literal["utf-8", "base64"]
    replayed_at: Utc | None = Field(description="When it was last put through again.")
    replays: int = Field(description="How often it was put through again.")


class ReplayedAnswer(Answer):
    """What became of one dead letter."""

    id: int
    outcome: Literal["published", "refused", "not_tried"]
    detail: str | None = Field(description="Why it was not published.")


class ReplayAnswer(Answer):
    """What a replay did, oldest dead letter first."""

    items: list[ReplayedAnswer]
    more: bool = Field(description="Whether the filter has further ones.")
