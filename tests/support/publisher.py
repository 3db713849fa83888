"""A publisher in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from traksense.services.publisher import MAX_PAYLOAD_BYTES, PublishRefused


@dataclass(frozen=True)
class Published:
    """One message that the broker confirmed."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry_s: int | None


@dataclass
class FakePublisher:
    """Stands in for the IoT data plane. The contract tests hold it to the real one."""

    messages: list[Published] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """Raised by the next calls, one each."""
    before: Callable[[str], None] = field(default=lambda _topic: None)
    """Called with the topic before each message is taken."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
    ) -> None:
        """Take a message."""
        self.before(topic)
        with self.lock:
            if self.failures:
                raise self.failures.pop(0)
            if (
                len(payload) > MAX_PAYLOAD_BYTES
                or not 1 <= len(topic.encode()) <= 256
                or topic.count("/") > 7
                or topic.startswith("$")
                or any(wildcard in topic for wildcard in "+#")
                or qos not in (0, 1)
                or (expiry_s is not None and expiry_s < 1)
            ):
                raise PublishRefused(f"no such message is taken on {topic}")
            self.messages.append(Published(topic, payload, qos, retain, expiry_s))
