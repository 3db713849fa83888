"""Instants as RFC 3339 text; many of them quickly: a day is spelled once, a minute once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

_MINUTE_US: Final = 60_000_000
_DAY_MINUTES: Final = 1440
_EPOCH: Final = date(1970, 1, 1)
_MINUTES: Final = tuple(f"T{m // 60:02}:{m % 60:02}:" for m in range(_DAY_MINUTES))
_WHOLE_MINUTES: Final = tuple(f"{minute}00Z" for minute in _MINUTES)
_SECONDS: Final = tuple(f"{second:02}" for second in range(60))


def rfc3339(moment: datetime) -> str:
    """One instant in UTC with ``Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def stamps(instants: Sequence[int]) -> list[str]:
    """Microseconds since the Unix epoch as UTC with ``Z``; a fraction only where it is not 0."""
    written: list[str] = []
    known: int | None = None
    prefix = ""
    for us in instants:
        minute, rest = divmod(us, _MINUTE_US)
        if minute != known:
            known = minute
            prefix = _day(minute // _DAY_MINUTES) + _MINUTES[minute % _DAY_MINUTES]
        second, fraction = divmod(rest, 1_000_000)
        end = f".{fraction:06}Z" if fraction else "Z"
        written.append(prefix + _SECONDS[second] + end)
    return written


def minute_stamps(instants: Sequence[int]) -> list[str]:
    """As ``stamps``, at a fifth of the time, for instants that are known to be whole minutes."""
    minutes = [us // _MINUTE_US for us in instants]
    spelled = {day: _day(day) for day in {minute // _DAY_MINUTES for minute in minutes}}
    return [spelled[m // _DAY_MINUTES] + _WHOLE_MINUTES[m % _DAY_MINUTES] for m in minutes]


def _day(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()
