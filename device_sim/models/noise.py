"""Reproducible randomness as a function of time: noise, slow drift, episodes.

Nothing here keeps a running state. What happens at an instant follows from the key and the
instant alone, so a model may be asked about any time in any order and answers the same.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import exp
from random import Random
from typing import Final

_SIZE: Final = 4096
_SHIFT: Final = 20  # 32-bit hash to an index below _SIZE


class Noise:
    """Random functions of (stream, slot) for one key, from tables drawn once."""

    __slots__ = ("_gauss", "_uniform")

    def __init__(self, *key: object) -> None:
        # A text seed goes through SHA-512 in random.Random: equal in every process.
        random = Random("/".join(str(part) for part in key))
        self._uniform = [random.random() for _ in range(_SIZE)]
        self._gauss = [max(-3.0, min(3.0, random.gauss(0.0, 1.0))) for _ in range(_SIZE)]

    def uniform(self, stream: int, slot: int) -> float:
        """A number in [0, 1)."""
        h = ((slot + stream * 0x9E3779B1) * 0x85EBCA6B) & 0xFFFFFFFF
        h = ((h ^ (h >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
        return self._uniform[h >> _SHIFT]

    def gauss(self, stream: int, slot: int) -> float:
        """A number of the standard normal distribution, cut at three deviations."""
        h = ((slot + stream * 0x9E3779B1) * 0x85EBCA6B) & 0xFFFFFFFF
        h = ((h ^ (h >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
        return self._gauss[h >> _SHIFT]

    def smooth(self, stream: int, ts: float, period_s: float) -> float:
        """A continuous wander of about ±2 that takes ``period_s`` to forget its value."""
        x = ts / period_s
        slot = int(x)
        f = x - slot
        here = self.gauss(stream, slot)
        return here + (self.gauss(stream, slot + 1) - here) * f * f * (3.0 - 2.0 * f)


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of time in which something is the matter."""

    start: float
    end: float

    def active(self, ts: float) -> bool:
        """Whether ``ts`` (Unix seconds) is in it."""
        return self.start <= ts < self.end


class Episodes:
    """At most one episode in each slot of ``every_s`` seconds, wholly inside its slot."""

    __slots__ = ("_chance", "_episode", "_every", "_longest", "_noise", "_shortest", "_slot",
                 "_stream")  # fmt: skip

    def __init__(
        self, noise: Noise, stream: int, every_s: float, chance: float,
        shortest_s: float, longest_s: float,
    ) -> None:  # fmt: skip
        if longest_s > every_s / 2:
            raise ValueError("an episode must leave half of its slot to recover in")
        self._noise, self._stream, self._every, self._chance = noise, stream, every_s, chance
        self._shortest, self._longest = shortest_s, longest_s
        self._slot: int | None = None
        self._episode: Episode | None = None

    def near(self, ts: float) -> Episode | None:
        """The episode of the slot that ``ts`` is in, whether past, present or to come."""
        slot = int(ts // self._every)
        if slot != self._slot:
            self._slot, self._episode = slot, self._of(slot)
        return self._episode

    def active(self, ts: float) -> Episode | None:
        """The episode that ``ts`` is in, if any."""
        episode = self.near(ts)
        return episode if episode is not None and episode.active(ts) else None

    def _of(self, slot: int) -> Episode | None:
        noise, stream = self._noise, self._stream
        if noise.uniform(stream, slot * 3) >= self._chance:
            return None
        length = self._shortest + (self._longest - self._shortest) * noise.uniform(
            stream, slot * 3 + 1
        )
        # In the first half, so that what it disturbed has settled when the slot ends.
        start = slot * self._every + noise.uniform(stream, slot * 3 + 2) * self._every / 2
        return Episode(start, start + length)


class Relaxation:
    """A quantity that approaches its target exponentially after each change of the target."""

    __slots__ = ("_from", "_since", "_target", "_tau")

    def __init__(self, value: float, tau_s: float) -> None:
        self._from, self._target, self._since, self._tau = value, value, 0.0, tau_s

    def at(self, ts: float) -> float:
        """Its value; before the last change, the value that it had then."""
        if self._from == self._target:
            return self._target
        if ts <= self._since:
            return self._from
        return self._target + (self._from - self._target) * exp((self._since - ts) / self._tau)

    def aim(self, target: float, ts: float) -> None:
        """Make for another value from ``ts`` on."""
        self._from, self._target, self._since = self.at(ts), target, ts


class Switch:
    """An on/off state that commands change; knows what it was at any past instant."""

    __slots__ = ("_states", "_times")

    def __init__(self, on: bool) -> None:
        self._times: list[float] = []
        self._states: list[bool] = [on]

    def at(self, ts: float) -> bool:
        """Its state at ``ts``."""
        return self._states[bisect_right(self._times, ts)] if self._times else self._states[0]

    def set(self, on: bool, ts: float) -> None:
        """Change it at ``ts``."""
        self._times.append(ts)
        self._states.append(on)
