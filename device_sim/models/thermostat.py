"""A thermostat with hysteresis, as a function of time: the compressor's on/off cycles."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Final, NamedTuple

from .noise import Noise

_CURVE: Final = 1.6
_FLOOR: Final = exp(-_CURVE)


class Phase(NamedTuple):
    """Where in its cycle the compressor is."""

    on: bool
    since_s: float
    """Seconds since it last switched."""
    warmth: float
    """1 at the upper switching point, 0 at the lower one."""


class Thermostat:
    """Cycles of about ``period_s``, unequal in length, whose on-share follows the demand.

    The quantity starts each cycle at the upper switching point, is driven to the lower one
    while the compressor runs, and drifts back: a saw-tooth of exponential pieces, continuous
    over the cycles.
    """

    __slots__ = ("_duty", "_end", "_noise", "_on_s", "_period", "_start", "_stream")

    def __init__(
        self, noise: Noise, stream: int, period_s: float, duty: Callable[[float], float]
    ) -> None:
        self._noise, self._stream, self._period, self._duty = noise, stream, period_s, duty
        self._start = self._end = self._on_s = 0.0

    def at(self, ts: float) -> Phase:
        """The phase at ``ts`` (Unix seconds)."""
        if not self._start <= ts < self._end:
            self._locate(ts)
        elapsed = ts - self._start
        if elapsed < self._on_s:
            fall = exp(-_CURVE * elapsed / self._on_s)
            return Phase(True, elapsed, (fall - _FLOOR) / (1.0 - _FLOOR))
        off = elapsed - self._on_s
        rise = exp(-_CURVE * off / (self._end - self._start - self._on_s))
        return Phase(False, off, 1.0 - (rise - _FLOOR) / (1.0 - _FLOOR))

    def _locate(self, ts: float) -> None:
        slot = int(ts // self._period)
        if ts < self._begin(slot):
            slot -= 1
        self._start, self._end = self._begin(slot), self._begin(slot + 1)
        duty = min(0.95, max(0.05, self._duty(self._start)))
        self._on_s = duty * (self._end - self._start)

    def _begin(self, slot: int) -> float:
        return self._period * (slot + 0.3 * self._noise.uniform(self._stream, slot))
