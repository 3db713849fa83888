"""What a live fleet and a replay have in common: open, keep going, report, close."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event

from .station import Station
from .tally import Tally

PROGRESS_EVERY_S = 5.0
CHILD_PROGRESS_EVERY_S = 60.0
CONNECTS_PER_S = 100.0
"""How fast a fleet connects at its start."""
GRACE_S = 4.0
"""How long the end waits for acknowledgements after a stop was asked for."""


class NotConnectedError(RuntimeError):
    """No device reached the broker; the message says why."""


class Control:
    """Stop and wake-up signals of a run. ``stop`` may be called from a signal handler."""

    def __init__(self) -> None:
        self._wake = Event()
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether an end was asked for."""
        return self._stopping

    def stop(self) -> None:
        """Ask for the end."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """Something waits to be attended to."""
        self._wake.set()

    def sleep(self, seconds: float) -> bool:
        """Sleep for ``seconds`` or until woken; whether it was woken."""
        woken = self._wake.wait(max(0.0, seconds))
        if woken:
            self._wake.clear()
        return woken


class Progress:
    """Prints a line every few seconds."""

    def __init__(
        self, tally: Tally, stations: Sequence[Station], write: Callable[[str], None],
        every_s: float,
    ) -> None:  # fmt: skip
        self._tally, self._stations, self._write, self._every_s = tally, stations, write, every_s
        self._last = time.monotonic()
        self._last_published = 0

    def tick(self) -> None:
        """Print the line if it is time."""
        now = time.monotonic()
        elapsed = now - self._last
        if elapsed < self._every_s:
            return
        published = self._tally.telemetry.published
        rate = (published - self._last_published) / elapsed
        self._last, self._last_published = now, published
        connected = sum(station.connection.connected for station in self._stations)
        self._write(
            f"{self._tally.seconds():.0f} s: {self._tally.line()}, {rate:.0f} messages/s, "
            f"connected {connected} of {len(self._stations)}"
        )


def connect(stations: Sequence[Station], control: Control, *, timeout_s: float | None) -> None:
    """Start all connections, spread over time, and wait until one of them is up.

    With ``timeout_s`` None it waits for ever. Raises NotConnectedError when none came up in time.
    """
    began = time.monotonic()
    waiting = list(reversed(stations))
    while not control.stopping:
        elapsed = time.monotonic() - began
        while waiting and (len(stations) - len(waiting)) / CONNECTS_PER_S <= elapsed:
            waiting.pop().connection.start()
        attend(stations)
        if not waiting and any(station.connection.ever_connected for station in stations):
            return
        if timeout_s is not None and elapsed > timeout_s + len(stations) / CONNECTS_PER_S:
            raise NotConnectedError(
                stations[0].connection.last_error or "the broker does not answer"
            )
        control.sleep(0.05)


def attend(stations: Sequence[Station]) -> float:
    """Attend to every station; seconds until the next thing is due, at most 0.1."""
    now = time.time()
    dues = (station.attend() for station in stations)
    return min([0.1, *(due - now for due in dues if due is not None)])


def finish(stations: Sequence[Station], tally: Tally, control: Control, wait_s: float) -> None:
    """Wait for the acknowledgements, publish the states, disconnect cleanly.

    What is not acknowledged after ``wait_s``, or GRACE_S after a stop was asked for, is given
    up and counted as failed.
    """
    for station in stations:
        station.release()
    _drain(stations, tally, control, wait_s)
    for station in stations:
        station.say_goodbye()
    _drain(stations, tally, control, GRACE_S)
    tally.abandon("not acknowledged before the end")
    for station in stations:
        station.connection.leave()
    for station in stations:
        station.connection.wait_stopped(2.0)


def _drain(stations: Sequence[Station], tally: Tally, control: Control, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while tally.outstanding:
        if control.stopping:
            deadline = min(deadline, time.monotonic() + GRACE_S)
            if not any(station.connection.connected for station in stations):
                return
        if time.monotonic() >= deadline:
            return
        attend(stations)
        tally.wait_below(1, 0.05)
