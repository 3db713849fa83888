"""A live fleet: every device reports in its turn, at a rate for all of them together."""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence
from random import Random

from .faults import DROP_EVERY_S, DROP_S, Fault
from .session import Control, Progress, attend, finish
from .station import Station
from .tally import Tally

MAX_LAG_S = 1.0
"""A sender that has fallen behind by more than this skips what it missed."""


class Dropper:
    """Cuts a random connection now and then, and lets it come back."""

    def __init__(self, stations: Sequence[Station], random: Random, every_s: float) -> None:
        self._stations, self._random, self._every_s = stations, random, every_s
        self._next = time.monotonic() + self._gap()
        self._away: list[tuple[float, int]] = []

    def tick(self) -> None:
        """Drop and resume what is due."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self._gap()
            index = self._random.randrange(len(self._stations))
            connection = self._stations[index].connection
            if connection.connected:
                connection.drop()
                heapq.heappush(self._away, (now + self._random.uniform(*DROP_S), index))
        self._resume(now)

    def recall(self) -> None:
        """Bring every dropped connection back, before the end."""
        while self._away:
            self._resume(float("inf"))
            time.sleep(0.01)

    def _resume(self, now: float) -> None:
        waiting = []
        while self._away and self._away[0][0] <= now:
            due, index = heapq.heappop(self._away)
            connection = self._stations[index].connection
            if connection.stopped:
                connection.resume()
            else:
                waiting.append((due, index))
        for item in waiting:
            heapq.heappush(self._away, item)

    def _gap(self) -> float:
        return self._every_s * self._random.uniform(0.5, 1.5)


def run(
    stations: Sequence[Station],
    tally: Tally,
    control: Control,
    progress: Progress,
    *,
    rate: float,
    duration_s: float | None,
    faults: frozenset[Fault],
    random: Random,
    drain_s: float,
) -> None:
    """Publish at ``rate`` messages/s over all stations until the time is up or a stop is asked.

    The stations must have been connected.
    """
    interval = len(stations) / rate
    began = time.monotonic()
    end = float("inf") if duration_s is None else began + duration_s
    turns = [(began + random.random() * interval, index) for index in range(len(stations))]
    heapq.heapify(turns)
    dropper = Dropper(stations, random, DROP_EVERY_S) if Fault.DISCONNECT in faults else None
    wait = 0.0
    while not control.stopping and (now := time.monotonic()) < end:
        attended = now
        wait = attend(stations)
        if dropper is not None:
            dropper.tick()
        progress.tick()
        # Attending to all costs more than one report: many reports to one round of it.
        while not control.stopping and (now := time.monotonic()) < min(end, attended + wait):
            due, index = turns[0]
            if due > now:
                if control.sleep(min(due, end, attended + wait) - now):
                    break
                continue
            sent = stations[index].report() if stations[index].connection.ever_connected else 1
            heapq.heapreplace(turns, (max(due + sent * interval, now - MAX_LAG_S), index))
    if dropper is not None:
        dropper.recall()
    finish(stations, tally, control, drain_s)
