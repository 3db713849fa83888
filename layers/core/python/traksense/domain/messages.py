"""Messages as they come out of a queue, and dead letters as they are kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from .readings import Rejection

_MAX_DETAIL_CHARS: Final = 2000
_MAX_TOPIC_CHARS: Final = 1024
_MAX_CLIENT_CHARS: Final = 256


class Message(msgspec.Struct, frozen=True):
    """One device message with what the rule knew of it."""

    id: str
    """The queue's id of this message: what is answered when it has to come again."""
    payload: bytes
    topic: str
    client_id: str | None
    received_at_us: int
    """Arrival at the broker, microseconds since the Unix epoch."""


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that could not be accepted, whole or in part."""

    fingerprint: bytes
    received_at: datetime
    topic: str
    client_id: str | None
    reason: str
    detail: str
    errors: list[dict[str, Any]]
    payload: bytes
    tenant_id: UUID | None = None
    device_id: UUID | None = None


def storable(text: str) -> str:
    """The text without what PostgreSQL cannot hold: NUL and lone surrogates."""
    return text.replace("\x00", "�").encode("utf-8", "replace").decode("utf-8")


def dead_letter(
    message: Message,
    rejections: list[Rejection],
    received_at: datetime,
    tenant_id: UUID | None = None,
    device_id: UUID | None = None,
) -> DeadLetter:
    """One dead letter for a message, however many of its points were refused.

    ``reason`` is the message's own where there is one, else the most frequent of its points'.
    """
    whole = [rejection for rejection in rejections if rejection.point is None]
    counted = Counter(rejection.reason for rejection in whole or rejections)
    reason = counted.most_common(1)[0][0]
    detail = "; ".join(
        rejection.detail if rejection.point is None else f"{rejection.point}: {rejection.detail}"
        for rejection in rejections[:20]
    )
    if len(rejections) > 20:
        detail += f"; and {len(rejections) - 20} more"
    return DeadLetter(
        fingerprint=hashlib.sha256(
            message.topic.encode("utf-8", "replace") + b"\0" + message.payload
        ).digest(),
        received_at=received_at,
        topic=storable(message.topic[:_MAX_TOPIC_CHARS]),
        client_id=(
            None if message.client_id is None else storable(message.client_id[:_MAX_CLIENT_CHARS])
        ),
        reason=str(reason),
        detail=storable(detail[:_MAX_DETAIL_CHARS]),
        errors=[
            {
                "reason": str(rejection.reason),
                "point": None if rejection.point is None else storable(rejection.point[:64]),
                "msg": storable(rejection.detail[:300]),
            }
            for rejection in rejections[:100]
        ],
        payload=message.payload,
        tenant_id=tenant_id,
        device_id=device_id,
    )
