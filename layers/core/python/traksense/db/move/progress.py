"""What a move says while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Say = Callable[[str], None]


def say_on_screen(line: str) -> None:
    """One line, with the time, at once."""
    print(f"{datetime.now(UTC):%H:%M:%SZ}  {line}", flush=True)  # noqa: T201


class Rate:
    """How fast rows go, and how long the others will take."""

    def __init__(self, total: int) -> None:
        """``total``: rows that are to be done."""
        self._left = total
        self._done = 0
        self._started = time.monotonic()

    def add(self, rows: int) -> str:
        """So many more are done: rows a second, and the time that the others will take."""
        self._done += rows
        self._left = max(0, self._left - rows)
        took = max(time.monotonic() - self._started, 1e-6)
        rate = self._done / took
        if not self._left:
            return f"{rate:,.0f} rows/s"
        left = timedelta(seconds=round(self._left / max(rate, 1)))
        return f"{rate:,.0f} rows/s, about {left} left"


class Phase:
    """A part of the move, from its first line to its last."""

    def __init__(self, say: Say, name: str) -> None:
        self._say = say
        self._name = name
        self._started = time.monotonic()
        say(f"{name} …")

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._started

    def done(self, what: str) -> None:
        """It is over, with this result."""
        self._say(f"{self._name}: {what} in {self.seconds:.1f} s")
