"""Which readings of a message may be stored: names, types, units, times. No I/O.

The loop here runs once for every reading that the platform ever takes in, so it binds names
once, builds one integer key a reading and makes no object it does not need.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from traksense.contracts import topics
from traksense.domain import units
from traksense.domain.directory import Device
from traksense.domain.messages import DeadLetter, Message
from traksense.domain.readings import (
    POINT_TYPES,
    PYTHON_TYPES,
    Decoded,
    Reading,
    Rejection,
    Snapshot,
    Value,
    from_microseconds,
)
from traksense.domain.readings import TS_BITS as TS_BITS  # what a key of Accepted is made of
from traksense.domain.readings import TS_MASK as TS_MASK
from traksense.domain.reasons import Reason
from traksense.services import refusals

FUTURE_TOLERANCE: Final = timedelta(minutes=15)
_MAX_REPORTED_BYTES: Final = 4096

Decode = Callable[[bytes, "str | None", int], Decoded]
"""``decode(payload, adapter, received_at_us)``: see ``traksense.vendors``."""
TakeSnapshot = Callable[[bytes], "Snapshot | None"]
"""``snapshot(payload)``: see ``traksense.vendors``."""

_JSON_SPACE: Final = b" \t\r\n"

_encode = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)


class Accepted(msgspec.Struct):
    """What a run of messages comes down to: everything that one transaction writes."""

    rows: dict[int, Value] = {}
    """Key (see TS_BITS) to value. Within a batch the first reading of a key wins."""
    meta: dict[int, bytes] = {}
    """Key of a message's first reading to the message's meta, as JSON."""
    heard: dict[UUID, tuple[int, bool]] = {}
    """Device to its newest arrival in microseconds, and whether that is recent."""
    reported: dict[UUID, dict[str, Any]] = {}
    dead_letters: dict[bytes, DeadLetter] = {}
    messages: list[tuple[UUID, Message]] = []
    """Messages to be kept as they came, with the device of their topic."""
    unknown: set[str] = set()
    """Topics whose device lacked a name that a message used."""
    repeated: int = 0
    """Readings that were in the batch twice."""
    reasons: Counter[str] = msgspec.field(default_factory=Counter)


class Acceptance:
    """Decides message by message, and gathers into an Accepted."""

    def __init__(
        self, decode: Decode, raw_retention: timedelta, snapshot: TakeSnapshot = lambda _: None
    ) -> None:
        """``snapshot`` finds the messages that can be taken as they are, which is twice as fast."""
        self._decode = decode
        self._snapshot = snapshot
        self._retention_us = raw_retention // timedelta(microseconds=1)
        self._future_us = FUTURE_TOLERANCE // timedelta(microseconds=1)

    def take(self, into: Accepted, message: Message, device: Device | None, now_us: int) -> None:
        """Add one message's readings, or the reasons why not, to ``into``. Never raises."""
        try:
            self._take(into, message, device, now_us)
        except Exception as error:  # noqa: BLE001 - nothing a device sends may stop its batch
            _log.exception("a message on %s could not be judged", message.topic)
            fault = Rejection(Reason.ADAPTER_ERROR, f"acceptance: {type(error).__name__}")
            self.refuse(into, message, [fault], device)

    def _take(self, into: Accepted, message: Message, device: Device | None, now_us: int) -> None:
        if device is None:
            self.refuse(into, message, [self._nobody(message)], None)
            return
        if device.is_retired:
            self.refuse(into, message, [refusals.retired(device)], device)
            return
        snapshot = self._snapshot(message.payload)
        if snapshot is not None and self._take_whole(into, message, device, snapshot, now_us):
            return
        adapter = "tds_v1" if message.topic.startswith(topics.TDS_ROOT) else device.adapter
        decoded = self._decode(message.payload, adapter, message.received_at_us)
        rejections = decoded.rejections
        if decoded.mac is not None and not message.topic.endswith(
            f"/{decoded.mac}/{topics.TDS_SUFFIX}"
        ):
            mismatch = self._mac_mismatch(message.topic, decoded.mac)
            if mismatch is not None:
                self.refuse(into, message, [mismatch], device)
                return
        self._hear(into, device, message.received_at_us, now_us)
        if device.keep_raw:
            self._keep(into, message, device, now_us)
        if decoded.readings:
            refused = self._take_readings(into, message, device, decoded, now_us)
            if refused:
                rejections = rejections + refused
        if decoded.metadata or decoded.meta:
            self._report(into, device, decoded.metadata_child, {**decoded.meta, **decoded.metadata})
        for child, facts in decoded.more_metadata:
            self._report(into, device, child, facts)
        if rejections:
            self.refuse(into, message, rejections, device)

    def _take_whole(
        self, into: Accepted, message: Message, device: Device, snapshot: Snapshot, now_us: int
    ) -> bool:
        """Add a message in which nothing is amiss; whether it is one. If not, nothing is added."""
        rows, before = into.rows, len(into.rows)
        if not self._add_rows(rows, snapshot, device, self._range(message, now_us)):
            while len(rows) > before:
                rows.popitem()
            return False
        self._hear(into, device, message.received_at_us, now_us)
        if device.keep_raw:
            self._keep(into, message, device, now_us)
        if snapshot.meta:
            if snapshot.points:
                first = device.points[snapshot.points[0].point]
                into.meta[first.key | snapshot.ts_us] = _encode(snapshot.meta)
            self._report(into, device, None, snapshot.meta)
        return True

    def _add_rows(
        self, rows: dict[int, Value], snapshot: Snapshot, device: Device, within: tuple[int, int]
    ) -> bool:
        """Add a snapshot's values; whether nothing is amiss. If not, some of them may be added."""
        ts_us, before = snapshot.ts_us, len(rows)
        if not within[0] <= ts_us <= within[1]:
            return False
        points = device.points
        for each in snapshot.points:
            point = points.get(each.point)
            if point is None or not point.is_contracted:
                return False
            value, kind = each.value, point.type
            if POINT_TYPES[each.declared] != kind or type(value) is not PYTHON_TYPES[kind]:
                return False
            if point.enum_values is not None and value not in point.enum_values:
                return False
            unit = each.unit
            if unit and unit != point.unit and kind == "num":
                try:
                    value = units.convert(float(value), unit, point.unit)
                except (units.UnitMismatch, ValueError):
                    return False
            rows.setdefault(point.key | ts_us, value)
        return len(rows) - before == len(snapshot.points)  # less: one is a repeat

    def _range(self, message: Message, now_us: int) -> tuple[int, int]:
        """The first and the last instant that a reading of the message may have.

        Within what a key can hold, and neither after the broker's clock nor after ours, lest one
        that jumps ahead lets readings of years to come in.
        """
        return (
            max(now_us - self._retention_us, 0),
            min(message.received_at_us, now_us) + self._future_us,
        )

    def _take_readings(
        self, into: Accepted, message: Message, device: Device, decoded: Decoded, now_us: int
    ) -> list[Rejection]:
        refused: list[Rejection] = []
        rows = into.rows
        oldest, newest = self._range(message, now_us)
        points = device.points
        first_key: int | None = None
        child: str | None = None
        for reading in decoded.readings:
            if reading.child != child:
                child = reading.child
                owner = device if child is None else device.children.get(child, None)
                if owner is None:
                    owner = self._fallback(device, message)
                if owner is None:
                    refused.append(self._unknown_child(into, message, reading))
                    child = None
                    points = device.points
                    continue
                if owner.is_retired:
                    refused.append(refusals.retired(owner, child))
                    child = None
                    points = device.points
                    continue
                points = owner.points
                if owner is not device:
                    self._hear(into, owner, message.received_at_us, now_us)
            point = points.get(reading.point)
            if reading.alias is not None and reading.alias in points:
                point = points[reading.alias]
            value = reading.value
            ts_us = reading.ts_us
            if (
                point is None
                or reading.type != point.type
                or not oldest <= ts_us <= newest
                or (point.enum_values is not None and value not in point.enum_values)
                or not point.is_contracted
            ):
                if point is None:
                    into.unknown.add(message.topic)
                refused.append(self._why(reading, point, oldest, newest))
                continue
            if reading.unit is not None and reading.unit != point.unit:
                try:
                    value = units.convert(float(value), reading.unit, point.unit)
                except (units.UnitMismatch, ValueError) as error:
                    refused.append(Rejection(Reason.UNIT_MISMATCH, str(error), reading.point))
                    continue
            key = point.key | ts_us
            if key in rows:
                into.repeated += 1
                continue
            rows[key] = value
            if first_key is None:
                first_key = key
        if first_key is not None and decoded.meta:
            into.meta[first_key] = _encode(decoded.meta)
        return refused

    def _fallback(self, device: Device, message: Message) -> Device | None:
        """A SenML base name that is no child's is the device's own; a meter's code is not.

        A SenML pack is an array, a message with meters in it an object.
        """
        return device if message.payload.lstrip(_JSON_SPACE).startswith(b"[") else None

    def _unknown_child(self, into: Accepted, message: Message, reading: Reading) -> Rejection:
        into.unknown.add(message.topic)
        return Rejection(
            Reason.UNKNOWN_DEVICE,
            f"the gateway has no device with the code {(reading.child or '')[:64]!r}",
            reading.child,
        )

    def _why(self, reading: Reading, point: Any, oldest: int, newest: int) -> Rejection:
        name = reading.point
        if point is None:
            return Rejection(Reason.UNKNOWN_POINT, f"the device has no point {name[:64]!r}", name)
        if not point.is_contracted:
            return Rejection(Reason.NOT_CONTRACTED, "the point is not contracted", name)
        if reading.type != point.type:
            return Rejection(
                Reason.WRONG_TYPE, f"came as {reading.type}, the point is {point.type}", name
            )
        if reading.ts_us > newest:
            return Rejection(
                Reason.TS_IN_FUTURE,
                f"{from_microseconds(reading.ts_us).isoformat()} is more than 15 minutes "
                "after the message arrived",
                name,
            )
        if reading.ts_us < oldest:
            return Rejection(
                Reason.TS_TOO_OLD,
                f"{from_microseconds(reading.ts_us).isoformat()} is older than raw readings "
                f"are kept (since {from_microseconds(oldest).isoformat()})",
                name,
            )
        return Rejection(
            Reason.BAD_ENUM_VALUE,
            f"{str(reading.value)[:64]!r} is not one of "
            f"{', '.join(sorted(point.enum_values))[:200]}",
            name,
        )

    def _hear(self, into: Accepted, device: Device, received_at_us: int, now_us: int) -> None:
        at_us = min(received_at_us, now_us)  # a clock ahead must not keep a dead device online
        known = into.heard.get(device.device_id)
        if known is None or at_us > known[0]:
            recent = timedelta(microseconds=now_us - at_us) < device.offline_after
            into.heard[device.device_id] = (at_us, recent)

    def _keep(self, into: Accepted, message: Message, device: Device, now_us: int) -> None:
        """Keep a message as it came, for as long as readings are kept."""
        if now_us - self._retention_us <= message.received_at_us <= now_us + self._future_us:
            into.messages.append((device.device_id, message))

    def _report(
        self, into: Accepted, device: Device, child: str | None, facts: Mapping[str, Any]
    ) -> None:
        """Gather what a device says of itself; a child that is none is the device's own."""
        about = device if child is None else device.children.get(child, device)
        merged = {**into.reported.get(about.device_id, {}), **facts}
        if len(_encode(merged)) <= _MAX_REPORTED_BYTES:
            into.reported[about.device_id] = merged

    def _mac_mismatch(self, topic: str, claimed: str) -> Rejection | None:
        parsed = topics.parse(topic)  # it led to a device, so it parses
        if isinstance(parsed, topics.GatewayTopic) and parsed.mac != claimed:
            return Rejection(
                Reason.MAC_MISMATCH, f"the topic's MAC is {parsed.mac}, the payload's {claimed}"
            )
        return None

    def _nobody(self, message: Message) -> Rejection:
        try:
            parsed = topics.parse(message.topic)
        except topics.TopicError as error:
            return Rejection(Reason.BAD_TOPIC, str(error))
        if isinstance(parsed, topics.GatewayTopic):
            return Rejection(Reason.UNKNOWN_GATEWAY, f"no gateway has the MAC {parsed.mac}")
        return Rejection(Reason.UNKNOWN_DEVICE, f"no device has the topic {message.topic}")

    def refuse(
        self, into: Accepted, message: Message, rejections: list[Rejection], device: Device | None
    ) -> None:
        """Keep a message as a dead letter."""
        refusals.keep(into.dead_letters, into.reasons, message, rejections, device)
