"""One simulated device at work: its model, its connection, its commands and alarms."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from random import Random

from traksense.contracts.topics import Channel

from .commands import CommandDesk
from .connection import DeviceConnection, Network
from .endpoints import Device
from .faults import Fault, FaultInjector, Outgoing
from .history import telemetry_topic
from .models import Model, Severity
from .notices import alarm, event, state
from .tally import Kind, Message, Tally

ALARM_CHECK_S = 1.0


class Station:
    """A device with a connection. ``model`` is None for one that only replays.

    ``wake`` is called in the network thread when something waits for ``attend``.
    """

    def __init__(
        self,
        device: Device,
        model: Model | None,
        network: Network,
        tally: Tally,
        *,
        faults: frozenset[Fault],
        seed: object,
        give_up_s: float,
        wake: Callable[[], None],
    ) -> None:
        self.device = device
        self.random = Random(f"{seed}/faults/{device.thing_name}")
        self._model = model
        self._topic = (
            device.topic(Channel.TELEM) if model is None else telemetry_topic(device, model)
        )
        self._desk = CommandDesk(model)
        self._injector = FaultInjector(faults, self.random)
        self._inbox: SimpleQueue[bytes | bool] = SimpleQueue()
        self._acks: list[tuple[float, bytes]] = []
        self._alarms: dict[str, Severity] = {}
        self._alarms_due = 0.0
        self._last_ms = 0
        self._wake = wake
        self.connection = DeviceConnection(
            device,
            network,
            tally,
            on_command=self._deliver,
            on_connected=self._deliver,
            give_up_s=give_up_s,
        )

    def report(self) -> int:
        """Publish the telemetry of this instant; the number of messages that it was."""
        assert self._model is not None
        late = self._injector.lateness()
        # Two messages of one instant would be one reading: the clock always moves on.
        self._last_ms = max(int(time.time() * 1000), self._last_ms + 1)
        payloads = self._model.payloads(self._last_ms / 1000.0 - late)
        for payload in payloads:
            self.publish(Outgoing(payload))
        return len(payloads)

    def publish(self, outgoing: Outgoing) -> None:
        """Publish telemetry, with the faults that befall it."""
        self._put(self._injector.spread(outgoing))

    def release(self) -> None:
        """Publish what the fault injection still holds back."""
        self._put(self._injector.flush())

    def attend(self) -> float | None:
        """Do what has come up: connected, commands, alarms, acks, retries.

        Returns the Unix seconds of the next thing that is due, if one is.
        """
        now = time.time()
        self._open_inbox(now)
        self._acks.sort()
        while self._acks and self._acks[0][0] <= now:
            self._notify(Channel.ACK, self._acks.pop(0)[1])
        if self._model is not None and self.connection.ever_connected and now >= self._alarms_due:
            self._alarms_due = now + ALARM_CHECK_S
            self._check_alarms(self._model, now)
        self.connection.flush()
        return self._acks[0][0] if self._acks else None

    def say_goodbye(self) -> None:
        """Publish the retained state ``offline``, before a clean end."""
        if self.connection.connected:
            self._notify(Channel.STATE, state("offline", time.time()), retain=True)

    def _deliver(self, item: bytes | bool) -> None:
        self._inbox.put(item)
        self._wake()

    def _open_inbox(self, now: float) -> None:
        while True:
            try:
                item = self._inbox.get_nowait()
            except Empty:
                return
            if isinstance(item, bytes):
                answer = self._desk.receive(item, now)
                if answer is not None:
                    self._acks.append((answer.due, answer.payload))
            else:
                self._announce(item, now)

    def _announce(self, first: bool, now: float) -> None:
        self._notify(Channel.STATE, state("online", now), retain=True)
        template = self.device.template or "generic"
        self._notify(
            Channel.EVENT,
            event("boot" if first else "reconnected", now, {"model": template, "fw": "1.4.0"}),
        )
        if first and self._model is not None:
            for payload in self._model.greeting(now):
                self._put([Outgoing(payload)])

    def _check_alarms(self, model: Model, now: float) -> None:
        active = model.alarms(now)
        for code, severity in active.items():
            if code not in self._alarms:
                self._notify(Channel.ALARM, alarm(code, severity, True, now))
        for code, severity in self._alarms.items():
            if code not in active:
                self._notify(Channel.ALARM, alarm(code, severity, False, now))
        self._alarms = active

    def _put(self, outgoing: list[Outgoing]) -> None:
        for item in outgoing:
            self.connection.publish(
                Message(self._topic, item.payload, item.kind, readings=item.readings)
            )

    def _notify(self, channel: Channel, payload: bytes, *, retain: bool = False) -> None:
        self.connection.publish(
            Message(self.device.topic(channel), payload, Kind.NOTICE, retain=retain)
        )
