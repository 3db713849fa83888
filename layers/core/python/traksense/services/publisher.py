"""Publishing to a broker, as services see it."""

from __future__ import annotations

from typing import Final, Protocol

from traksense.domain.errors import PermanentError, RetryableError

MAX_PAYLOAD_BYTES: Final = 128 * 1024
"""Largest message that AWS IoT Core takes (service quotas, "Publish requests")."""


class PublisherAway(RetryableError):
    """The broker did not confirm the message. Whether it has it is not known."""


class PublishRefused(PermanentError):
    """The broker will never take this message: its topic, its size, or our own permission."""


class Publisher(Protocol):
    """Hands messages to the broker."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> None:
        """Publish, and return once the broker has the message.

        ``expiry_s``: seconds after which a message that waits for its receiver is dropped. An
        empty ``payload`` with ``retain`` takes the topic's retained message away. Raises
        PublisherAway where another try may succeed, PublishRefused where it never will.
        """
