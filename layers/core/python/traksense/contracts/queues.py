"""The queues between the rules and the functions.

A queue's batching is its stage's choice. *busy* waits up to a second to fill a batch; *quiet*
does not wait, because with a window Lambda may hold a lone message for 20 s.
``max_receives × visibility`` is at least a day, so that a database away for a night loses
nothing: tests hold every queue to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Stage = Literal["busy", "quiet"]


@dataclass(frozen=True, slots=True)
class Batching:
    """How an event source gathers messages before it calls the function."""

    size: int
    """Most messages in one call. SQS also ends a batch at 6 MB."""
    window_s: int
    """Seconds to wait for more after the first message."""


MAX_BATCH_BYTES: Final = 6_000_000
"""Lambda's limit on an invocation's payload, less room for the event's envelope."""


REDRIVE_HOURS: Final = 24
"""How often a dead-letter queue is handed back to its queue (ADR 31)."""


@dataclass(frozen=True, slots=True)
class Queue:
    """An SQS queue with the dead-letter queue behind it."""

    name: str
    function: str
    """Name of the function that it feeds."""
    batching: dict[Stage, Batching]
    visibility_s: int
    """Seconds until a message that was not deleted is delivered again."""
    max_receives: int
    """Deliveries after which a message goes to the dead-letter queue."""
    retention_s: int = 14 * 24 * 3600
    max_concurrency: int = 5
    """Most concurrent calls; kept below the database's connection limit."""

    @property
    def dead_letter_name(self) -> str:
        """Name of the queue that takes what was delivered ``max_receives`` times in vain."""
        return f"{self.name}-dead"


INGEST: Final = Queue(
    name="ingest",
    function="ingest",
    batching={"busy": Batching(10_000, 1), "quiet": Batching(10, 0)},
    visibility_s=360,
    max_receives=300,
)

DEVICE_EVENTS: Final = Queue(
    name="device-events",
    function="device_events",
    batching={"busy": Batching(10, 0), "quiet": Batching(10, 0)},
    visibility_s=180,
    max_receives=500,
    max_concurrency=2,
)

QUEUES: Final = (INGEST, DEVICE_EVENTS)
"""Every queue of the platform."""
