"""Counts what was published and what the broker has acknowledged."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Condition
from typing import Any


class Kind(StrEnum):
    """What a message is to the count."""

    TELEMETRY = "telemetry"
    GARBAGE = "garbage"
    """Sent on purpose to be rejected."""
    NOTICE = "notice"
    """State, event, alarm or ack."""


@dataclass(slots=True, eq=False)
class Message:
    """One message on its way; retried until it is acknowledged or given up."""

    topic: str
    payload: bytes
    kind: Kind
    retain: bool = False
    readings: int = 0
    born: float = field(default_factory=time.monotonic)
    """Monotonic seconds when it was made."""


@dataclass(slots=True)
class Count:
    """Messages of one kind."""

    published: int = 0
    acknowledged: int = 0
    failed: int = 0

    @property
    def outstanding(self) -> int:
        """Published, and neither acknowledged nor given up yet."""
        return self.published - self.acknowledged - self.failed


class Tally:
    """The count of a run. Safe to use from the sending and from the network thread."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._counts = {kind: Count() for kind in Kind}
        self._readings = 0
        self._readings_acknowledged = 0
        self._retried = self._unrouted = self._disconnects = 0
        self._reasons: Counter[str] = Counter()
        self._started = time.monotonic()
        self._closed = False

    def published(self, message: Message) -> None:
        """A message was handed over for the first time."""
        with self._changed:
            self._counts[message.kind].published += 1
            self._readings += message.readings

    def acknowledged(self, message: Message, *, routed: bool = True) -> None:
        """The broker has acknowledged it; ``routed`` is false when nobody was subscribed."""
        with self._changed:
            if self._closed:
                return
            self._counts[message.kind].acknowledged += 1
            self._readings_acknowledged += message.readings
            self._unrouted += not routed and message.kind is not Kind.NOTICE
            self._changed.notify_all()

    def failed(self, message: Message, reason: str) -> None:
        """It was refused or given up."""
        with self._changed:
            if self._closed:
                return
            self._counts[message.kind].failed += 1
            self._reasons[reason] += 1
            self._changed.notify_all()

    def retried(self) -> None:
        """An attempt ended without an answer, and another one follows."""
        with self._changed:
            self._retried += 1

    def disconnected(self) -> None:
        """A connection was lost, or dropped on purpose."""
        with self._changed:
            self._disconnects += 1

    def abandon(self, reason: str) -> None:
        """Give up everything that is still outstanding, and close the count."""
        with self._changed:
            self._closed = True
            for count in self._counts.values():
                left = count.outstanding
                if left:
                    count.failed += left
                    self._reasons[reason] += left
            self._changed.notify_all()

    @property
    def telemetry(self) -> Count:
        """The count of good telemetry."""
        return self._counts[Kind.TELEMETRY]

    @property
    def outstanding(self) -> int:
        """Messages of any kind that wait for their acknowledgement."""
        with self._changed:
            return self._outstanding()

    def wait_below(self, limit: int, timeout_s: float) -> bool:
        """Wait until fewer than ``limit`` messages are outstanding; False when it took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: self._outstanding() < limit, timeout_s)

    @property
    def complete(self) -> bool:
        """Whether everything published was acknowledged, telemetry, garbage and notices alike."""
        with self._changed:
            return all(c.acknowledged == c.published for c in self._counts.values())

    def seconds(self) -> float:
        """Seconds since the count began."""
        return time.monotonic() - self._started

    def line(self) -> str:
        """The count of the telemetry, as the last line of a run shows it."""
        count = self.telemetry
        return (
            f"published {count.published}, acknowledged {count.acknowledged}, failed {count.failed}"
        )

    def remarks(self) -> list[str]:
        """One line for each thing out of the ordinary."""
        garbage, notices = self._counts[Kind.GARBAGE], self._counts[Kind.NOTICE]
        lines = []
        if garbage.published:
            lines.append(f"garbage: {garbage.published} sent, {garbage.acknowledged} acknowledged")
        if notices.failed:
            lines.append(f"state, event, alarm and ack messages failed: {notices.failed}")
        if self._disconnects:
            lines.append(
                f"connections lost: {self._disconnects}, messages retried: {self._retried}"
            )
        if self._unrouted:
            lines.append(
                f"acknowledged although nobody was subscribed: {self._unrouted}; "
                "is the platform running?"
            )
        lines.extend(f"failed: {reason}: {times}" for reason, times in self._reasons.most_common())
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Everything counted, for machines."""
        garbage, notices = self._counts[Kind.GARBAGE], self._counts[Kind.NOTICE]
        telemetry = self.telemetry
        counted: dict[str, Any] = {
            "published": telemetry.published,
            "acknowledged": telemetry.acknowledged,
            "failed": telemetry.failed,
            "garbage": garbage.published,
            "garbage_acknowledged": garbage.acknowledged,
            "garbage_failed": garbage.failed,
            "notices": notices.published,
            "notices_failed": notices.failed,
            "retried": self._retried,
            "disconnects": self._disconnects,
            "unrouted": self._unrouted,
            "reasons": dict(self._reasons),
            "seconds": round(self.seconds(), 3),
        }
        if self._readings:
            # Only a replay knows how many readings a message holds.
            counted["readings"] = self._readings
            counted["readings_acknowledged"] = self._readings_acknowledged
        return counted

    def _outstanding(self) -> int:
        return sum(count.outstanding for count in self._counts.values())
