"""Hours and days (UTC), and spans of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)


def bin_hour(at: datetime) -> datetime:
    """The hour that an instant is in."""
    return at.replace(minute=0, second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    """The day that an instant is in."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def hours_of(day: datetime) -> Iterator[datetime]:
    """The hours of a day."""
    return (day + n * HOUR for n in range(24))


def spans(hours: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """Hours as spans without a gap, each within one day: beginning and end."""
    found: list[tuple[datetime, datetime]] = []
    for hour in sorted(hours):
        if found and found[-1][1] == hour and hour != day_of(hour):
            found[-1] = (found[-1][0], hour + HOUR)
        else:
            found.append((hour, hour + HOUR))
    return found
