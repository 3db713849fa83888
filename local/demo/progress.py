"""What of the history is done: one small file under the home, so that a restart goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from local.home import read_json, write_json

MINUTE_S: Final = 60
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in Unix seconds, ``end`` exclusive."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Seconds; nothing when it ends before it starts."""
        return max(0, self.end - self.start)


@dataclass(slots=True)
class Progress:
    """Where the history ends, and which UTC days of it are stored."""

    path: Path
    until: int
    """Unix seconds: the full minute in which the platform first started."""
    days: set[date] = field(default_factory=set)
    finished: bool = False

    @classmethod
    def resume(cls, path: Path, now: float) -> Progress:
        """Go on where the last run stopped; the first run starts at ``now``.

        A file that is damaged starts the history anew, which stores nothing twice.
        """
        kept = read_json(path)
        try:
            return cls(
                path,
                int(kept["until"]),
                {date.fromisoformat(day) for day in kept["days"]},
                kept["finished"] is True,
            )
        except (KeyError, TypeError, ValueError):
            made = cls(path, int(now) // MINUTE_S * MINUTE_S)
            made.save()
            return made

    def save(self) -> None:
        """Write the file in one step. Raises OSError."""
        write_json(
            self.path,
            {
                "until": self.until,
                "days": sorted(day.isoformat() for day in self.days),
                "finished": self.finished,
            },
        )

    def done(self, day: date) -> None:
        """A day is stored."""
        self.days.add(day)
        self.save()

    def finish(self) -> None:
        """All of it is stored."""
        self.finished = True
        self.save()


def days_of(since: int, until: int) -> Iterator[tuple[date, Span]]:
    """The UTC days from ``since`` to ``until`` (Unix seconds), the newest first."""
    day = datetime.fromtimestamp(max(since, until - 1), UTC).date()
    while True:
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
        span = Span(max(midnight, since), min(midnight + DAY_S, until))
        if span.length == 0:
            return
        yield day, span
        day -= timedelta(days=1)
