"""Replays a recording through one device, as fast as asked, with a bounded pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterable
from random import Random
from typing import Final

from .faults import Fault, Outgoing
from .fleet import Dropper
from .session import Control, Progress, attend, finish
from .station import Station
from .tally import Kind, Tally

WINDOW: Final = 500
"""Messages on their way at once."""
DROP_EVERY_S: Final = 2.0
"""Mean time between dropped connections, where that fault is asked for."""
_ATTEND_EVERY_S: Final = 0.02


class Pace:
    """When the next message may go."""

    def __init__(self, speed: float | None, rate: float | None) -> None:
        """``speed`` times as fast as recorded, None for as fast as it goes; at most ``rate``/s."""
        self._speed, self._interval = speed, 1.0 / rate if rate else 0.0
        self._began: float | None = None
        self._first_us = 0
        self._sent = 0

    def due(self, ts_us: int) -> float:
        """Monotonic seconds at which the message of ``ts_us`` is to go."""
        if self._began is None:
            self._began, self._first_us = time.monotonic(), ts_us
        due = self._began + self._sent * self._interval
        self._sent += 1
        if self._speed is not None:
            due = max(due, self._began + (ts_us - self._first_us) / 1e6 / self._speed)
        return due


def run(
    station: Station,
    tally: Tally,
    control: Control,
    progress: Progress,
    messages: Iterable[tuple[int, int, bytes]],
    *,
    pace: Pace,
    duration_s: float | None,
    faults: frozenset[Fault],
    random: Random,
    drain_s: float,
) -> None:
    """Publish the messages in their order; ``messages`` as ``recording.messages`` makes them.

    The station must have been connected. Ends early when the duration is over or a stop is
    asked for.
    """
    stations = (station,)
    end = float("inf") if duration_s is None else time.monotonic() + duration_s
    dropper = Dropper(stations, random, DROP_EVERY_S) if Fault.DISCONNECT in faults else None
    attend_at = 0.0

    def look_after() -> None:
        nonlocal attend_at
        attend_at = time.monotonic() + _ATTEND_EVERY_S
        attend(stations)
        if dropper is not None:
            dropper.tick()
        progress.tick()

    def ended() -> bool:
        return control.stopping or time.monotonic() >= end

    for ts_us, readings, payload in messages:
        due = min(pace.due(ts_us), end)
        while not ended() and (left := due - time.monotonic()) > 0:
            control.sleep(min(left, 0.05))
            look_after()
        while not ended() and not tally.wait_below(WINDOW, _ATTEND_EVERY_S):
            look_after()
        if ended():
            break
        station.publish(Outgoing(payload, Kind.TELEMETRY, readings))
        if time.monotonic() >= attend_at:
            look_after()
    if dropper is not None:
        dropper.recall()
    finish(stations, tally, control, drain_s)
