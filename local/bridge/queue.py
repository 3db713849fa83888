"""Batching and redelivery of one queue: a state machine without I/O, clock injected.

It behaves like SQS in front of Lambda, with one difference that is meant: SQS delivers a failed
message again after the queue's visibility timeout, here the wait doubles from 1 s to 30 s, so that
a platform on one machine catches up soon after its database does. The patience is the same: a
message is given up only after ``max_receives`` deliveries *and* ``max_receives × visibility_s``
seconds, which is at least a day. Counts are of this process: a restarted one begins again.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from traksense.contracts.queues import MAX_BATCH_BYTES, Queue, Stage

from .deliveries import Delivery

Clock = Callable[[], float]
"""Seconds that only ever grow, such as ``time.monotonic``."""

RECORD_OVERHEAD: Final = 640
"""Bytes of an event's record beside its body, rounded up; ``event`` has a test on it."""


@dataclass(slots=True, eq=False)
class Message:
    """One message of a queue on its way through this process."""

    message_id: str
    """Stays the same over the message's redeliveries."""
    body: str
    sent_at_ms: int
    """When it arrived, in milliseconds since the Unix epoch."""
    delivery: Delivery
    receives: int = 0
    first_received_ms: int = 0
    arrived: float = field(default=0.0, init=False)
    size: int = field(init=False)
    """Bytes that it takes in the event, its body being a string inside JSON."""

    def __post_init__(self) -> None:
        body = self.body
        self.size = len(body) + body.count('"') + body.count("\\") + RECORD_OVERHEAD


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How a queue gathers, repeats and gives up. Times in seconds."""

    batch_size: int
    window_s: float
    max_bytes: int
    give_up_receives: int
    give_up_after_s: float
    first_delay_s: float = 1.0
    longest_delay_s: float = 30.0

    @classmethod
    def of(cls, queue: Queue, stage: Stage) -> DeliveryPolicy:
        """The policy of a queue of the contracts in a stage."""
        batching = queue.batching[stage]
        return cls(
            batch_size=batching.size,
            window_s=batching.window_s,
            max_bytes=MAX_BATCH_BYTES,
            give_up_receives=queue.max_receives,
            give_up_after_s=queue.max_receives * queue.visibility_s,
        )

    def delay_s(self, receives: int) -> float:
        """Seconds until the delivery after number ``receives``."""
        return min(self.longest_delay_s, self.first_delay_s * 2.0 ** min(receives - 1, 30))


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch: the rest of it is waiting for another delivery."""

    done: list[Message]
    dead: list[Message]


class MessageQueue:
    """Messages of one queue: fresh, in hand, or waiting for another delivery. Not thread-safe."""

    def __init__(self, policy: DeliveryPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._fresh: deque[Message] = deque()
        self._fresh_bytes = 0
        self._waiting: list[tuple[float, int, Message]] = []
        self._order = count()
        self._in_hand = 0
        self._bytes = 0
        self._last_was_fresh = False
        self._outage = False

    @property
    def depth(self) -> int:
        """Messages taken from the broker and not yet settled."""
        return len(self._fresh) + len(self._waiting) + self._in_hand

    @property
    def held_bytes(self) -> int:
        """Size of these messages."""
        return self._bytes

    def put(self, message: Message) -> bool:
        """Add a message that was never delivered. True: the next batch may be ready sooner."""
        message.arrived = self._clock()
        was_empty, was_full = not self._fresh, self._is_full()
        self._fresh.append(message)
        self._fresh_bytes += message.size
        self._bytes += message.size
        return was_empty or (not was_full and self._is_full())

    def ready_in(self) -> float | None:
        """Seconds until ``take`` has a batch (0: now); None while there is no message at all."""
        moments = []
        if self._fresh:
            moments.append(self._fresh_ready_at())
        if self._waiting:
            moments.append(self._waiting[0][0])
        return max(0.0, min(moments) - self._clock()) if moments else None

    def take(self) -> list[Message]:
        """The next batch, empty when none is ready.

        Fresh messages and redeliveries never share a batch, so that a message on which the
        function fails does not drag new ones along; where both are ready they take turns.
        """
        now = self._clock()
        fresh = bool(self._fresh) and self._fresh_ready_at() <= now
        again = bool(self._waiting) and self._waiting[0][0] <= now
        if not fresh and not again:
            return []
        self._last_was_fresh = fresh and not (again and self._last_was_fresh)
        batch = self._take_fresh() if self._last_was_fresh else self._take_due(now)
        self._in_hand += len(batch)
        for message in batch:
            message.receives += 1
        return batch

    def settle(self, batch: list[Message], failed: Collection[str]) -> Settled:
        """Take note of what the function answered; ``failed`` holds message ids.

        Messages that failed wait for another delivery, or come back as dead when their time is
        up. The first success after a batch of new messages failed as a whole ends an outage:
        everything that waits is due at once.
        """
        now = self._clock()
        policy = self._policy
        settled = Settled([], [])
        was_fresh = bool(batch) and batch[0].receives == 1
        for message in batch:
            if message.message_id not in failed:
                settled.done.append(message)
            elif (
                message.receives >= policy.give_up_receives
                and now - message.arrived >= policy.give_up_after_s
            ):
                settled.dead.append(message)
            else:
                self._wait(message, now + policy.delay_s(message.receives))
        self._in_hand -= len(batch)
        self._bytes -= sum(message.size for message in settled.done)
        self._bytes -= sum(message.size for message in settled.dead)
        if settled.done and self._outage:
            self._outage = False
            self._hasten(now)
        elif was_fresh and not settled.done:
            self._outage = True
        return settled

    def postpone(self, messages: Iterable[Message]) -> None:
        """Keep messages that could not be written to the dead letters; they are tried again."""
        due = self._clock() + self._policy.longest_delay_s
        for message in messages:
            self._bytes += message.size
            self._wait(message, due)

    def _is_full(self) -> bool:
        return (
            len(self._fresh) >= self._policy.batch_size
            or self._fresh_bytes >= self._policy.max_bytes
        )

    def _fresh_ready_at(self) -> float:
        first = self._fresh[0].arrived
        return first if self._is_full() else first + self._policy.window_s

    def _take_fresh(self) -> list[Message]:
        batch: list[Message] = []
        size = 0
        while self._fresh and len(batch) < self._policy.batch_size:
            one = self._fresh[0].size
            if batch and size + one > self._policy.max_bytes:
                break
            batch.append(self._fresh.popleft())
            size += one
        self._fresh_bytes -= size
        return batch

    def _take_due(self, now: float) -> list[Message]:
        batch: list[Message] = []
        size = 0
        while self._waiting and self._waiting[0][0] <= now and len(batch) < self._policy.batch_size:
            one = self._waiting[0][2].size
            if batch and size + one > self._policy.max_bytes:
                break
            batch.append(heapq.heappop(self._waiting)[2])
            size += one
        return batch

    def _wait(self, message: Message, due: float) -> None:
        heapq.heappush(self._waiting, (due, next(self._order), message))

    def _hasten(self, now: float) -> None:
        # The old order stays: what came first is delivered first.
        self._waiting = [(min(due, now), order, message) for due, order, message in self._waiting]
        heapq.heapify(self._waiting)
