"""Messages as devices sent them: those of a day that is over are packed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, Protocol

BUDGET_S: Final = 120.0
"""A run begins no further day after so long: the schedule calls again within the hour."""

_log = logging.getLogger(__name__)


class DayBusy(Exception):
    """A day's messages are being read or added to just now."""


class MessageStore(Protocol):
    """What packing asks of the database. Every method raises DatabaseAway."""

    def unpacked_days(self, close_after: timedelta) -> list[date]:
        """Days that ended so long ago and have messages that are not packed, oldest first."""

    def pack(self, day: date) -> int:
        """Pack the messages of a day; how many there are. Raises DayBusy."""


@dataclass(slots=True)
class PackReport:
    """What a run did."""

    days: list[date] = field(default_factory=list)
    """Days whose messages were packed."""
    messages: int = 0
    left: int = 0
    """Days that are left to the next run."""


class Messages:
    """Packs."""

    def __init__(
        self,
        store: MessageStore,
        close_after: timedelta,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """``timer`` gives seconds that only ever grow."""
        self._store = store
        self._close_after = close_after
        self._timer = timer

    def pack(self) -> PackReport:
        """Pack day by day until all are done or time is over. Raises DatabaseAway."""
        report = PackReport()
        ends = self._timer() + BUDGET_S
        days = self._store.unpacked_days(self._close_after)
        for day in days:
            if self._timer() >= ends:
                break
            try:
                report.messages += self._store.pack(day)
            except DayBusy as error:
                _log.info("the messages of %s stay as they are for now: %s", day, error)
                continue
            report.days.append(day)
        report.left = len(days) - len(report.days)
        return report
