"""The platform's stores in memory. They pass the same contract suite as the SQL ones do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from tests.support.fleet import CHILLER_POINTS, GATEWAY_MAC
from traksense.domain.connectivity import Connectivity, apply
from traksense.domain.directory import Device, Point
from traksense.domain.errors import DatabaseAway
from traksense.domain.messages import DeadLetter
from traksense.domain.readings import Value, from_microseconds
from traksense.services.acceptance import TS_BITS, TS_MASK, Accepted
from traksense.services.device_events import (
    AckKey,
    EventBatch,
    EventsWritten,
    Flips,
    StoredAck,
    StoredAlarm,
    StoredEvent,
    UnknownCommands,
)
from traksense.services.directory import DeviceKey
from traksense.services.ingest import DirectoryOutdated, RowsRefused, Written

TOUCH_EVERY = timedelta(seconds=10)
MAX_REPORTED_CHARS = 16_384


@dataclass
class Kept:
    """A dead letter and how often its message arrived."""

    letter: DeadLetter
    last_received_at: Any
    occurrences: int = 1


@dataclass
class InMemoryPlatform:
    """What the database would hold, and the ways in which it can fail."""

    devices: dict[str, Device] = field(default_factory=dict)
    """By thing name."""
    macs: dict[str, Device] = field(default_factory=dict)
    states: dict[UUID, Connectivity] = field(default_factory=dict)
    reported: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    readings: dict[tuple[int, int], tuple[Value, bytes | None]] = field(default_factory=dict)
    letters: dict[bytes, Kept] = field(default_factory=dict)
    events: dict[tuple[UUID, str], StoredEvent] = field(default_factory=dict)
    alarms: dict[tuple[Any, ...], StoredAlarm] = field(default_factory=dict)
    commands: dict[AckKey, StoredAck | None] = field(default_factory=dict)
    """Commands that were sent, with their first ack."""

    failures: list[Exception] = field(default_factory=list)
    """Raised by the next calls, one each, whichever they are."""
    is_away: bool = False
    refuses: Callable[[Value], bool] = field(default=lambda _: False)
    loads: int = 0
    writes: int = 0

    def add(self, device: Device, mac: str | None = None) -> None:
        """Make a device."""
        self.devices[f"{device.tenant}_{device.name}"] = device
        self.states[device.device_id] = Connectivity()
        self.reported[device.device_id] = {}
        if mac is not None:
            self.macs[mac] = device

    def remove(self, thing: str) -> None:
        """Erase a device; its readings stay until their partition goes."""
        device = self.devices.pop(thing)
        self.states.pop(device.device_id)
        self.reported.pop(device.device_id)
        self.macs = {mac: each for mac, each in self.macs.items() if each is not device}
        for name, other in self.devices.items():
            children = {
                code: child
                for code, child in other.children.items()
                if child.device_id != device.device_id
            }
            self.devices[name] = msgspec.structs.replace(other, children=children)

    def _fail_if_told_to(self) -> None:
        if self.is_away:
            raise DatabaseAway("nobody is there")
        if self.failures:
            raise self.failures.pop(0)

    def load(
        self, devices: Collection[DeviceKey], macs: Collection[str]
    ) -> tuple[dict[DeviceKey, Device], dict[str, Device]]:
        """As DirectoryLoader."""
        self.loads += 1
        self._fail_if_told_to()
        found: dict[DeviceKey, Device] = {}
        for tenant, site, name in devices:
            device = self.devices.get(f"{tenant}_{name}")
            if device is not None and site in (device.site, ""):
                found[tenant, site, name] = device
        return found, {mac: self.macs[mac] for mac in macs if mac in self.macs}

    def _require(self, wanted: Collection[UUID]) -> None:
        gone = sum(device_id not in self.states for device_id in wanted)
        if gone:
            raise DirectoryOutdated(f"{gone} devices were removed")

    def _touch(self, heard: dict[UUID, tuple[int, bool]]) -> int:
        came_online = 0
        for device_id, (at_us, is_fresh) in heard.items():
            at, state = from_microseconds(at_us), self.states[device_id]
            comes = is_fresh and not state.is_online
            comes = comes and (state.state_at is None or at > state.state_at)
            is_later = state.last_seen is None or at > state.last_seen + TOUCH_EVERY
            if not (comes or is_later):
                continue
            came_online += comes
            self.states[device_id] = msgspec.structs.replace(
                state,
                last_seen=max(state.last_seen or at, at),
                is_online=state.is_online or comes,
                state_at=(
                    max(state.state_at or at, at) if comes or state.is_online else state.state_at
                ),
            )
        return came_online

    def _keep(self, letters: dict[bytes, DeadLetter]) -> None:
        for fingerprint, letter in letters.items():
            kept = self.letters.get(fingerprint)
            if kept is None:
                self.letters[fingerprint] = Kept(letter, letter.received_at)
            elif letter.received_at > kept.last_received_at:
                kept.last_received_at = letter.received_at
                kept.occurrences += 1


class InMemoryReadingStore:
    """As SqlReadingStore."""

    def __init__(self, platform: InMemoryPlatform) -> None:
        self._platform = platform

    def write(self, accepted: Accepted) -> Written:
        """Everything or nothing."""
        platform = self._platform
        platform.writes += 1
        platform._fail_if_told_to()
        if any(platform.refuses(value) for value in accepted.rows.values()):
            raise RowsRefused("a value that the database does not take")
        platform._require(accepted.heard)
        came_online = platform._touch(accepted.heard)
        before = len(platform.readings)
        for key, value in accepted.rows.items():
            stored = (key >> TS_BITS, key & TS_MASK)
            platform.readings.setdefault(stored, (value, accepted.meta.get(key)))
        for device_id, facts in accepted.reported.items():
            merged = {**platform.reported.get(device_id, {}), **facts}
            if len(msgspec.json.encode(merged)) <= MAX_REPORTED_CHARS:
                platform.reported[device_id] = merged
        platform._keep(accepted.dead_letters)
        stored_now = len(platform.readings) - before
        return Written(stored_now, len(accepted.rows) - stored_now, came_online)


class InMemoryEventStore:
    """As SqlEventStore."""

    def __init__(self, platform: InMemoryPlatform) -> None:
        self._platform = platform

    def write(self, batch: EventBatch) -> EventsWritten:
        """Everything or nothing."""
        platform = self._platform
        platform.writes += 1
        platform._fail_if_told_to()
        if any(platform.refuses(event.event_type) for event in batch.events):
            raise RowsRefused("an event that the database does not take")
        platform._require({*batch.heard, *(device_id for device_id, _ in batch.evidence)})
        settled = self._record(batch.acks)
        before = dict(platform.states)
        for device_id, evidence in batch.evidence:
            platform.states[device_id] = apply(platform.states[device_id], evidence)
        flipped = [
            state.is_online
            for device_id, state in platform.states.items()
            if state.is_online != before[device_id].is_online
        ]
        came_online = platform._touch(batch.heard)
        for event in batch.events:
            platform.events.setdefault((event.device_id, event.event_id), event)
        for alarm in batch.alarms:
            key = (alarm.device_id, alarm.code, alarm.ts, alarm.active)
            platform.alarms.setdefault(key, alarm)
        platform._keep(batch.dead_letters)
        flips = Flips(sum(flipped) + came_online, len(flipped) - sum(flipped))
        return EventsWritten(flips, settled)

    def _record(self, acks: list[StoredAck]) -> Counter[str]:
        commands = self._platform.commands
        strangers = {(ack.device_id, ack.cmd_id) for ack in acks} - commands.keys()
        if strangers:
            raise UnknownCommands(frozenset(strangers))
        settled: Counter[str] = Counter()
        for ack in acks:
            key = (ack.device_id, ack.cmd_id)
            if commands[key] is None:
                commands[key] = ack
                settled["acked" if ack.ok else "error"] += 1
        return settled


def device(
    tenant_id: UUID,
    tenant: str,
    name: str,
    points: dict[str, Point],
    *,
    adapter: str | None = None,
    children: dict[str, Device] | None = None,
) -> Device:
    """A device at the only site."""
    return Device(
        uuid4(), tenant_id, tenant, "plant", name, adapter, timedelta(minutes=5), points,
        children or {},
    )  # fmt: skip


def platform() -> InMemoryPlatform:
    """The devices of ``fleet.seed`` that the tests speak of, in memory."""
    made = InMemoryPlatform()
    numbers = iter(range(1, 1000))

    def points(kinds: dict[str, tuple[str, str | None, list[str] | None]]) -> dict[str, Point]:
        return {
            name: Point(
                next(numbers),
                msgspec.convert(kind, Any),
                unit,
                None if values is None else frozenset(values),
                True,
            )
            for name, (kind, unit, values) in kinds.items()
        }

    for tenant in ("acme", "globex"):
        tenant_id = uuid4()
        for name in ("chiller-1", "chiller-2"):
            made.add(device(tenant_id, tenant, name, points(CHILLER_POINTS)))
        je02 = {"status": ("enum", None, ["RUN", "STOP", "FAULT"]), "var0": ("num", "°C", None)}
        made.add(device(tenant_id, tenant, "je02-1", points(je02), adapter="je02_v1"))
        if tenant == "acme":
            meters = {
                code: device(tenant_id, tenant, f"meter-{code}", points({"value": KWH}))
                for code in ("D01", "D02")
            }
            by_name = {meter.name: meter for meter in meters.values()}
            gateway = device(
                tenant_id, tenant, "tds-1", {}, adapter="tds_v1", children={**by_name, **meters}
            )
            sensor = device(
                tenant_id,
                tenant,
                "sensor-1",
                points({"A_celsius": ("num", "°C", None), "A_percent_rh": ("num", "%", None)}),
            )
            khomp = device(
                tenant_id,
                tenant,
                "khomp-1",
                {},
                adapter="senml",
                children={"4b686f6d70107115": sensor, "sensor-1": sensor},
            )
            for each in (*meters.values(), sensor, khomp):
                made.add(each)
            made.add(gateway, GATEWAY_MAC)
    return made


KWH: tuple[str, str | None, list[str] | None] = ("num", "kWh", None)
