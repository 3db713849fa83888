"""Answers about dead letters."""

from __future__ import annotations

from typing import Literal

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
