"""What surrounds the equipment: the weather of its site and the working day.

Local time is São Paulo's, UTC−3 all the year (Brazil has had no daylight saving since 2019).
"""

from __future__ import annotations

from math import cos, pi
from typing import Final

from .noise import Noise

LOCAL_OFFSET_S: Final = -3 * 3600
_DAY: Final = 86_400.0

_WEEKDAY: Final = (
    .32, .30, .29, .29, .30, .36, .50, .70, .84, .90, .93, .92,
    .84, .86, .92, .94, .92, .86, .72, .58, .50, .45, .40, .35,
)  # fmt: skip
_SATURDAY: Final = (
    .33, .30, .29, .28, .28, .31, .38, .46, .55, .60, .62, .60,
    .54, .50, .48, .46, .45, .43, .41, .40, .38, .36, .34, .32,
)  # fmt: skip
_SUNDAY: Final = (
    .30, .28, .27, .26, .26, .27, .29, .32, .35, .37, .39, .40,
    .41, .41, .40, .39, .38, .38, .37, .37, .36, .35, .34, .32,
)  # fmt: skip

WEEK_LOAD: Final = (*_WEEKDAY * 5, *_SATURDAY, *_SUNDAY, _WEEKDAY[0])
"""Load (0 to 1) of a hospital at each full hour of the local week, from Monday 00:00."""


def hour_of_week(ts: float) -> float:
    """Local hours since Monday 00:00, in [0, 168)."""
    # 1970-01-01 was a Thursday: 72 hours into its week.
    return ((ts + LOCAL_OFFSET_S) / 3600.0 + 72.0) % 168.0


def working_load(ts: float) -> float:
    """Load profile of the working week, 0 to 1: nights and Sundays are quiet, not idle."""
    hour = hour_of_week(ts)
    whole = int(hour)
    here = WEEK_LOAD[whole]
    return here + (WEEK_LOAD[whole + 1] - here) * (hour - whole)


class Weather:
    """Outdoor temperature of one site: season, day cycle, passing fronts, gusts."""

    __slots__ = ("_noise",)

    def __init__(self, seed: object, tenant: str, site: str) -> None:
        self._noise = Noise(seed, "weather", tenant, site)

    def outdoor(self, ts: float) -> float:
        """Degrees Celsius, warmest about 15:00 local."""
        local = ts + LOCAL_OFFSET_S
        day = local / _DAY
        turn = 2.0 * pi * (day % 1.0)
        return (
            21.5
            + 2.6 * cos(2.0 * pi * (day - 20.0) / 365.25)
            + 4.6 * cos(turn - 2.0 * pi * 15.0 / 24.0)
            + 0.8 * cos(2.0 * turn - 4.0 * pi * 14.0 / 24.0)
            + 1.7 * self._noise.smooth(0, ts, 1.5 * _DAY)
            + 0.25 * self._noise.smooth(1, ts, 1800.0)
        )
