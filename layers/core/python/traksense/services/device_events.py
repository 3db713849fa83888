"""State, event, alarm, ack and presence: what devices and the broker say beside telemetry."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from traksense.contracts import topics
from traksense.contracts.topics import Channel, DeviceTopic, PresenceTopic
from traksense.domain import connectivity, device_messages
from traksense.domain.directory import Device
from traksense.domain.errors import RetryableError
from traksense.domain.messages import DeadLetter, Message
from traksense.domain.readings import Rejection, from_microseconds, to_microseconds
from traksense.domain.reasons import Reason
from traksense.services import refusals
from traksense.services.acceptance import FUTURE_TOLERANCE
from traksense.services.directory import Directory
from traksense.services.ingest import DirectoryOutdated, RowsRefused

_log = logging.getLogger(__name__)
_MICROSECOND: Final = timedelta(microseconds=1)


class StoredEvent(msgspec.Struct, frozen=True):
    """An event as it is kept; ``event_id`` is the device's own or made from the message."""

    tenant_id: UUID
    device_id: UUID
    event_id: str
    event_type: str
    ts: datetime
    data: dict[str, Any]
    received_at: datetime


class StoredAlarm(msgspec.Struct, frozen=True):
    """An alarm's beginning or end, as it is kept."""

    tenant_id: UUID
    device_id: UUID
    code: str
    severity: str
    active: bool
    ts: datetime
    message: str | None
    received_at: datetime


class StoredAck(msgspec.Struct, frozen=True):
    """What a device says of a command of its own."""

    device_id: UUID
    cmd_id: str
    ok: bool
    received_at: datetime
    ts_exec: datetime | None
    """None also where the device's clock is too wrong to be believed."""
    err: str | None


AckKey = tuple[UUID, str]
"""Device and ``cmd_id``."""


class EventBatch(msgspec.Struct):
    """What one transaction writes."""

    evidence: list[tuple[UUID, connectivity.Evidence]] = []
    """Device and what is known of its connection, in the order of arrival."""
    heard: dict[UUID, tuple[int, bool]] = {}
    """Device to its newest arrival in microseconds, and whether that is recent."""
    events: list[StoredEvent] = []
    alarms: list[StoredAlarm] = []
    acks: list[StoredAck] = []
    """In the order of arrival."""
    strangers: frozenset[AckKey] = frozenset()
    """Acks that the store said are of no command of their device."""
    dead_letters: dict[bytes, DeadLetter] = {}
    reasons: Counter[str] = msgspec.field(default_factory=Counter)


class Flips(msgspec.Struct, frozen=True):
    """How many devices changed in the eyes of a person."""

    online: int = 0
    offline: int = 0


class EventsWritten(msgspec.Struct, frozen=True):
    """What a transaction did."""

    flips: Flips = Flips()
    settled: Counter[str] = msgspec.field(default_factory=Counter)
    """Commands whose first ack came, by what it made of them: acked, error or late."""


class UnknownCommands(Exception):
    """Acks of commands that their devices were never sent; nothing was written."""

    def __init__(self, acks: frozenset[AckKey]) -> None:
        super().__init__(f"{len(acks)} acks are of no command of their device")
        self.acks = acks


class EventStore(Protocol):
    """Where device events go."""

    def write(self, batch: EventBatch) -> EventsWritten:
        """Everything in one transaction.

        Raises DatabaseAway when another try may succeed, RowsRefused when it never will, and, with
        nothing written, DirectoryOutdated when a device is not there any more, and UnknownCommands.
        """


class EventsResult(msgspec.Struct):
    """What became of a batch."""

    failed: list[str] = []
    flips: Flips = Flips()
    settled: Counter[str] = msgspec.field(default_factory=Counter)
    reasons: Counter[str] = msgspec.field(default_factory=Counter)


class DeviceEventsService:
    """Takes batches of messages of every channel but telemetry."""

    def __init__(
        self,
        directory: Directory,
        store: EventStore,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._directory = directory
        self._store = store
        self._now_us = now_us

    def take(self, messages: Sequence[Message]) -> EventsResult:
        """Store what can be stored, keep the rest as dead letters, name what must come again."""
        result = EventsResult()
        try:
            self._directory.refresh(message.topic for message in messages)
            self._store_all(messages, result)
        except RetryableError as error:
            _log.warning("%d messages go back to the queue: %s", len(messages), error)
            result.failed = [message.id for message in messages]
        return result

    def _store_all(self, messages: Sequence[Message], result: EventsResult) -> None:
        strangers: frozenset[AckKey] = frozenset()
        is_reread = False
        while True:
            try:
                self._write(self._gather(messages, strangers), result)
            except DirectoryOutdated as error:
                if is_reread:
                    raise
                _log.info("%s: reading the directory anew", error)
                self._directory.reread(message.topic for message in messages)
                is_reread = True
            except UnknownCommands as error:
                if error.acks <= strangers:
                    raise
                # At least one more is refused each time: no more goes than messages.
                strangers |= error.acks
            except RowsRefused as error:
                self._isolate(messages, result, error)
                return
            else:
                return

    def _isolate(
        self, messages: Sequence[Message], result: EventsResult, error: RowsRefused
    ) -> None:
        """Take the messages of a batch that the database refuses one by one."""
        if len(messages) > 1:
            for message in messages:
                self._store_all([message], result)
            return
        (message,) = messages
        _log.error("the database refused a message on %s: %s", message.topic, error)
        alone = EventBatch()
        rejection = Rejection(Reason.STORAGE_REFUSED, str(error))
        self._refuse(alone, message, rejection, self._directory.find(message.topic))
        try:
            self._write(alone, result)
        except RowsRefused as again:
            # Its neighbours are stored; this one's last resort is the queue's own dead letters.
            _log.error("it cannot be kept as a dead letter either: %s", again)
            result.failed.append(message.id)

    def _write(self, batch: EventBatch, result: EventsResult) -> None:
        written = self._store.write(batch)
        flips = written.flips
        result.flips = Flips(
            result.flips.online + flips.online, result.flips.offline + flips.offline
        )
        result.settled.update(written.settled)
        result.reasons.update(batch.reasons)

    def _gather(
        self, messages: Sequence[Message], strangers: frozenset[AckKey] = frozenset()
    ) -> EventBatch:
        batch = EventBatch(strangers=strangers)
        # By arrival, whatever order the queue gave: state is ordered by it.
        for message in sorted(messages, key=lambda each: each.received_at_us):
            try:
                self._decide(batch, message)
            except Exception as error:  # noqa: BLE001 - nothing a device sends may stop its batch
                _log.exception("a message on %s could not be judged", message.topic)
                fault = Rejection(Reason.ADAPTER_ERROR, f"device events: {type(error).__name__}")
                self._refuse(batch, message, fault, self._directory.find(message.topic))
        return batch

    def _arrival(self, message: Message) -> datetime:
        """When a message arrived, never in our future: a clock that had jumped ahead and came
        back would leave states behind that nothing is newer than.
        """
        return from_microseconds(min(message.received_at_us, self._now_us()))

    def _decide(self, batch: EventBatch, message: Message) -> None:
        try:
            topic = topics.parse(message.topic)
        except topics.TopicError as error:
            self._refuse(batch, message, Rejection(Reason.BAD_TOPIC, str(error)), None)
            return
        device = self._directory.find(message.topic)
        if isinstance(topic, PresenceTopic):
            # A client that is no device (the platform's own, an operator's tool) is no error.
            if device is not None:
                self._presence(batch, message, topic, device)
            return
        if device is None or not isinstance(topic, DeviceTopic):
            rejection = Rejection(Reason.UNKNOWN_DEVICE, f"no device has the topic {message.topic}")
            self._refuse(batch, message, rejection, None)
            return
        if device.is_retired:
            self._refuse(batch, message, refusals.retired(device), device)
            return
        take = _CHANNELS.get(topic.channel)
        if take is None:
            rejection = Rejection(Reason.BAD_TOPIC, f"no device event comes on {topic.channel}")
            self._refuse(batch, message, rejection, device)
            return
        refused = take(self, batch, message, device)
        if refused is not None:
            self._refuse(batch, message, refused, device)
        if topic.channel is not Channel.STATE:
            self._hear(batch, message, device)

    def _state(self, batch: EventBatch, message: Message, device: Device) -> Rejection | None:
        state = device_messages.decode(message.payload, device_messages.State)
        if isinstance(state, Rejection):
            return state
        at = self._arrival(message)
        if state.status == "online":
            batch.evidence.append((device.device_id, connectivity.SaidOnline(at)))
        else:
            self._went_offline(batch, device, connectivity.SaidOffline(at, state.ts))
        return None

    def _presence(
        self, batch: EventBatch, message: Message, topic: PresenceTopic, device: Device
    ) -> None:
        presence = device_messages.decode(message.payload, device_messages.Presence)
        if isinstance(presence, Rejection):
            self._refuse(batch, message, presence, device)
            return
        at = self._arrival(message)
        session, version = presence.session_identifier, presence.version_number
        if topic.connected:
            connected = connectivity.Connected(at, session, version)
            batch.evidence.append((device.device_id, connected))
            return
        replaced = presence.disconnect_reason == "DUPLICATE_CLIENTID"
        ended = connectivity.Disconnected(at, session, version, replaced)
        if replaced:
            batch.evidence.append((device.device_id, ended))
        else:
            self._went_offline(batch, device, ended)

    def _went_offline(
        self,
        batch: EventBatch,
        device: Device,
        evidence: connectivity.SaidOffline | connectivity.Disconnected,
    ) -> None:
        """A gateway takes its children along: nobody else speaks for them."""
        batch.evidence.append((device.device_id, evidence))
        children = {child.device_id for child in device.children.values()}
        batch.evidence.extend(
            (child, connectivity.SaidOffline(evidence.at)) for child in sorted(children)
        )

    def _event(self, batch: EventBatch, message: Message, device: Device) -> Rejection | None:
        event = device_messages.decode(message.payload, device_messages.Event)
        if isinstance(event, Rejection):
            return event
        wrong = self._wrong_time(event.ts, message)
        if wrong is not None:
            return wrong
        batch.events.append(
            StoredEvent(
                device.tenant_id,
                device.device_id,
                event.event_id or hashlib.sha256(message.payload).hexdigest(),
                event.event_type,
                event.ts,
                event.data,
                from_microseconds(message.received_at_us),
            )
        )
        return None

    def _alarm(self, batch: EventBatch, message: Message, device: Device) -> Rejection | None:
        alarm = device_messages.decode(message.payload, device_messages.Alarm)
        if isinstance(alarm, Rejection):
            return alarm
        wrong = self._wrong_time(alarm.ts, message)
        if wrong is not None:
            return wrong
        batch.alarms.append(
            StoredAlarm(
                device.tenant_id,
                device.device_id,
                alarm.code,
                alarm.severity,
                alarm.active,
                alarm.ts,
                alarm.message,
                from_microseconds(message.received_at_us),
            )
        )
        return None

    def _ack(self, batch: EventBatch, message: Message, device: Device) -> Rejection | None:
        ack = device_messages.decode(message.payload, device_messages.Ack)
        if isinstance(ack, Rejection):
            return ack
        if (device.device_id, ack.cmd_id) in batch.strangers:
            return Rejection(
                Reason.UNKNOWN_COMMAND, f"{device.name} was sent no command {ack.cmd_id[:64]!r}"
            )
        # That the command was done counts, whatever the device takes the time to be.
        is_credible = ack.ts_exec is not None and self._wrong_time(ack.ts_exec, message) is None
        batch.acks.append(
            StoredAck(
                device.device_id,
                ack.cmd_id,
                ack.ok,
                self._arrival(message),
                ack.ts_exec if is_credible else None,
                ack.err,
            )
        )
        return None

    def _wrong_time(self, ts: datetime, message: Message) -> Rejection | None:
        ts_us = to_microseconds(ts)
        if ts_us < 0:
            return Rejection(
                Reason.BAD_TIMESTAMP, f"{ts.isoformat()} is before any device was made"
            )
        if ts_us - FUTURE_TOLERANCE // _MICROSECOND <= message.received_at_us:
            return None
        return Rejection(
            Reason.TS_IN_FUTURE,
            f"{ts.isoformat()} is more than 15 minutes after the message arrived",
        )

    def _hear(self, batch: EventBatch, message: Message, device: Device) -> None:
        now_us = self._now_us()
        at_us = min(message.received_at_us, now_us)
        known = batch.heard.get(device.device_id)
        if known is None or at_us > known[0]:
            recent = now_us - at_us < device.offline_after.total_seconds() * 1e6
            batch.heard[device.device_id] = (at_us, recent)

    def _refuse(
        self, batch: EventBatch, message: Message, rejection: Rejection, device: Device | None
    ) -> None:
        refusals.keep(batch.dead_letters, batch.reasons, message, [rejection], device)


_CHANNELS = {
    Channel.STATE: DeviceEventsService._state,
    Channel.EVENT: DeviceEventsService._event,
    Channel.ALARM: DeviceEventsService._alarm,
    Channel.ACK: DeviceEventsService._ack,
}
