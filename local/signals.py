"""Ctrl-C, SIGTERM and SIGHUP, as the supervisor takes them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Final

ASKS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequestedError(BaseException):
    """Raised in the main thread by the first signal while the platform is still starting.

    No Exception, like KeyboardInterrupt: nothing may take it for a failure of its own.
    """


class StopSignals:
    """Counts the signals that ask for the end.

    While ``starting`` is true the first one interrupts whatever the start is doing. Afterwards it
    is only noted. The second one means: at once.
    """

    def __init__(self) -> None:
        self._wake: Callable[[], None] | None = None
        self._count = 0
        self.starting = True

    def install(self) -> None:
        """Take the signals from now on."""
        for number in ASKS:
            signal.signal(number, self._take)

    def on_signal(self, wake: Callable[[], None]) -> None:
        """Have something called at each signal. It may do no more than put into a SimpleQueue."""
        self._wake = wake

    @property
    def asked(self) -> bool:
        """Whether the end was asked for."""
        return self._count > 0

    def insists(self) -> bool:
        """Whether it was asked for again."""
        return self._count > 1

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP and self._count:
            return  # a terminal that closes says so to everyone, after a Ctrl-C as well
        self._count += 1
        if self._wake is not None:
            self._wake()
        if self.starting and self._count == 1:
            raise StopRequestedError
