"""One queue's bridge: from the broker to the function and back.

paho's thread receives; the thread that calls ``run`` calls the function, so that keep-alives go on
however long a batch takes. Only what the function took is acknowledged, and only after it
returned: a killed bridge loses nothing, and its unacknowledged messages come again.

Two things are not as in AWS, and cannot be. ``received_at`` is when the bridge got the message: one
that waited in the broker while the bridge was away looks younger than it is. And a retained copy is
skipped: like a rule, the bridge had its turn when the message was published, and the copy's age is
unknown, so it must not pass for news.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from local.handlers import Handler
from local.lambda_context import LambdaContext
from traksense.contracts import metrics as contract_metrics
from traksense.contracts.queues import Queue, Stage
from traksense.contracts.rules import RULES, Rule, project
from traksense.contracts.topics import (
    DeviceTopic,
    GatewayTopic,
    TopicError,
    matches,
    parse,
    presence_filter,
)
from traksense.domain.errors import RetryableError
from traksense.observability import log_context, metrics

from . import presence
from .dead_letters import DeadLetterFile
from .deliveries import Arrival, Deliveries, Delivery
from .event import failed_ids, sqs_event
from .queue import DeliveryPolicy, Message, MessageQueue
from .source import Packet

logger = logging.getLogger(__name__)

IDLE_S: Final = 1.0
"""The gauges are at most this old."""

MAX_HELD_BYTES: Final = 256_000_000
"""Messages held in memory; what comes beyond stays with the broker until there is room."""


TOPICS_KEPT: Final = 65_536
"""Topics whose reading is remembered: five a device."""


class Source(Protocol):
    """What the bridge needs of its connection to the broker."""

    def start(self) -> None:
        """Connect in the background."""

    def stop(self) -> None:
        """Send the acknowledgements and disconnect."""

    def acknowledge(self, packet_ids: Collection[int]) -> None:
        """Let the broker forget these packets."""

    def reconnect(self) -> None:
        """Have the broker send again all that is unacknowledged."""

    def check(self) -> None:
        """Raise what ended the connection's thread."""


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """What makes one bridge differ from another."""

    queue: Queue
    stage: Stage
    rules: tuple[Rule, ...] = RULES
    policy: DeliveryPolicy | None = None
    """None: the queue's own in that stage."""
    max_held_bytes: int = MAX_HELD_BYTES
    filters: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        filters: list[str] = []
        for rule in self.rules:
            if rule.queue != self.queue:
                continue
            if rule.topic_filter == presence_filter():
                # Nobody publishes presence here: it is read out of the broker's log.
                filters.extend(presence.LOG_FILTERS)
            else:
                filters.append(rule.topic_filter)
        object.__setattr__(self, "filters", tuple(filters))


class Bridge:
    """Feeds one function from one queue. ``attach`` its source before ``run``."""

    def __init__(
        self,
        settings: BridgeSettings,
        handler: Handler,
        dead_letters: DeadLetterFile,
        *,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._handler = handler
        self._dead_letters = dead_letters
        self._on_ready = on_ready
        policy = settings.policy or DeliveryPolicy.of(settings.queue, settings.stage)
        self._queue = MessageQueue(policy, time.monotonic)
        self._deliveries = Deliveries()
        self._presence = presence.PresenceLog(_now_ms)
        self._is_wanted = lru_cache(maxsize=TOPICS_KEPT)(self._matches_a_filter)
        # As unique as a UUID, which costs a system call each.
        self._id_prefix = str(uuid.uuid4())[:24]
        self._id_numbers = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._ready = False
        self._shed = 0
        self._source: Source | None = None

    def attach(self, source: Source) -> None:
        """Set where messages come from."""
        self._source = source

    def stop(self) -> None:
        """Have ``run`` return once the batch in hand is settled. Any thread may call it."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def run(self) -> None:
        """Take batches until ``stop``. Raises what ended the connection's thread."""
        source = self._source
        if source is None:
            raise RuntimeError("the bridge has no source")
        source.start()
        try:
            while not self._stopping:
                source.check()
                batch = self._next_batch()
                if batch:
                    self._deliver(source, batch)
                self._make_room(source)
                self._publish_gauges()
        finally:
            source.stop()

    # Called in the connection's thread.

    def connected(self, *, session_present: bool) -> None:
        """Take note that packets come again, or that the broker forgot them."""
        with self._changed:
            self._deliveries.connected(session_present=session_present)
            self._shed = 0

    def disconnected(self) -> None:
        """Keep acknowledgements for the next connection."""
        with self._changed:
            self._deliveries.disconnected()

    def subscribed(self) -> None:
        """Say once that the bridge is ready."""
        if not self._ready:
            self._ready = True
            self._on_ready()

    def receive(self, packet: Packet) -> None:
        """Queue a message, or acknowledge what is nothing to us."""
        with self._changed:
            if self._queue.held_bytes >= self._settings.max_held_bytes:
                self._shed += 1
                return
            arrival, delivery = self._deliveries.arrive(
                packet.packet_id,
                hash((packet.topic, packet.payload)),
                duplicate=packet.duplicate,
            )
            if arrival is Arrival.IN_HAND:
                return
            message = None if arrival is Arrival.FINISHED else self._message(packet, delivery)
            if message is not None:
                if self._queue.put(message):
                    self._changed.notify_all()
                return
            finished = self._deliveries.finish(delivery)
        if finished and self._source is not None:
            self._source.acknowledge([packet.packet_id])

    # Called in the thread of run.

    def _next_batch(self) -> list[Message]:
        with self._changed:
            wait_s = self._queue.ready_in()
            if (wait_s is None or wait_s > 0) and not self._stopping:
                self._changed.wait(IDLE_S if wait_s is None else min(wait_s, IDLE_S))
            return [] if self._stopping else self._queue.take()

    def _deliver(self, source: Source, batch: list[Message]) -> None:
        now_ms = _now_ms()
        for message in batch:
            message.first_received_ms = message.first_received_ms or now_ms
        started = time.perf_counter()
        failed = self._call(batch)
        took_ms = (time.perf_counter() - started) * 1000
        with self._changed:
            settled = self._queue.settle(batch, failed)
        buried = self._bury(settled.dead)
        with self._changed:
            packets = [
                message.delivery.packet_id
                for message in settled.done + buried
                if self._deliveries.finish(message.delivery)
            ]
        source.acknowledge(packets)
        logger.debug(
            "batch of %d in %.0f ms, %d go back",
            len(batch),
            took_ms,
            len(failed),
            extra={"queue": self._settings.queue.name},
        )

    def _call(self, batch: list[Message]) -> set[str]:
        """Call the function; ids of the messages that it did not take."""
        queue = self._settings.queue
        ids = [message.message_id for message in batch]
        context = LambdaContext(queue.function, queue.visibility_s)
        with log_context(request_id=context.aws_request_id, queue=queue.name):
            try:
                answer = self._handler(sqs_event(queue.name, batch), context)
            except RetryableError as error:
                logger.warning("%d messages go back to the queue: %s", len(batch), error)
                return set(ids)
            except Exception:
                logger.exception("the function failed: %d messages go back", len(batch))
                return set(ids)
            failed = failed_ids(answer, ids)
            if failed:
                logger.warning("%d of %d messages go back to the queue", len(failed), len(batch))
        return failed

    def _bury(self, dead: list[Message]) -> list[Message]:
        """Write messages to the dead letters; those that are written."""
        if not dead:
            return []
        try:
            self._dead_letters.add(dead, now_ms=_now_ms())
        except OSError as error:
            logger.exception("cannot write %d dead letters (%s): kept", len(dead), error.strerror)
            with self._changed:
                self._queue.postpone(dead)
            return []
        logger.error("gave up %d messages after their last delivery", len(dead))
        return dead

    def _make_room(self, source: Source) -> None:
        with self._changed:
            room = self._queue.held_bytes < self._settings.max_held_bytes // 2
            again = self._shed > 0 and room
            if again:
                self._shed = 0
        if again:
            source.reconnect()

    def _publish_gauges(self) -> None:
        with self._changed:
            depth = self._queue.depth + self._shed
        name = self._settings.queue.name
        metrics.gauge(contract_metrics.QUEUE_DEPTH, depth, label=name)
        metrics.gauge(contract_metrics.QUEUE_DEAD, self._dead_letters.count, label=name)

    def _matches_a_filter(self, topic: str) -> bool:
        return any(matches(topic_filter, topic) for topic_filter in self._settings.filters)

    def _message(self, packet: Packet, delivery: Delivery) -> Message | None:
        """The queued message that the rule makes of a packet; None where no rule wants it."""
        if packet.retained:
            return None
        now_ms = _now_ms()
        topic, payload = packet.topic, packet.payload
        if topic in presence.LOG_FILTERS:
            event = self._presence.read(payload.decode("utf-8", "replace"))
            if event is None:
                return None
            topic, payload = str(event.topic), event.payload
            client_id = presence.CLIENT_ID
        elif self._is_wanted(topic):
            client_id = publisher(topic)
        else:
            # A filter of an earlier version, still in the session.
            return None
        return Message(
            message_id=f"{self._id_prefix}{next(self._id_numbers):012x}",
            body=project(payload, topic, client_id, now_ms),
            sent_at_ms=now_ms,
            delivery=delivery,
        )


@lru_cache(maxsize=TOPICS_KEPT)
def publisher(topic: str) -> str:
    """Client id of who may publish to a topic: a local subscriber never learns who did.

    A device for its own topics, the MAC address for a gateway's; ``n/a``, as in AWS, for a topic
    that is nobody's.
    """
    try:
        owner = parse(topic)
    except TopicError:
        return presence.CLIENT_ID
    match owner:
        case DeviceTopic():
            return owner.thing_name
        case GatewayTopic():
            return owner.mac
        case _:
            return presence.CLIENT_ID


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
