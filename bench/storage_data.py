"""Readings as equipment gives them: two decimals, setpoints, duty cycles, plateaus, noise.

Values come as JSON texts, made a stretch at a time: 30 million of them take half a minute.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any, Final

from bench import fleet
from traksense.contracts import rules
from traksense.contracts.topics import Channel, device_topic

STEP: Final = timedelta(seconds=10)
"""Each device reports all its points so often."""
LOST: Final = 500
"""One message in so many never arrives, as on a real network."""

_NOISE_LENGTH: Final = 1 << 15
_NOISE: Final = tuple(map(random.Random(7).gauss, [0.0] * _NOISE_LENGTH, [1.0] * _NOISE_LENGTH))

Values = Callable[[int], list[str]]
"""``values(n)``: the next so many values of a point, as JSON."""


class _Signal:
    """What the kinds are made of. Each call goes on where the one before it ended."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._walked = 0.0
        self._at = 0
        self._period = self.random.randint(80, 260)
        self._on = self.random.uniform(0.3, 0.7)
        self._plateau = 0.0
        self._left = 0

    def noise(self, n: int) -> Sequence[float]:
        """White, of deviation 1."""
        start = self.random.randrange(_NOISE_LENGTH)
        repeats = (start + n) // _NOISE_LENGTH + 1
        return (_NOISE * repeats)[start : start + n]

    def walk(self, n: int, step: float) -> list[float]:
        """Slow, around 0: what loads and weather do."""
        walked = list(
            accumulate(self.noise(n), lambda at, e: at * 0.9995 + e * step, initial=self._walked)
        )
        self._walked = walked[-1]
        return walked[1:]

    def duty(self, n: int) -> list[bool]:
        """A compressor's: on and off, each cycle a little other than the one before."""
        states: list[bool] = []
        while len(states) < n:
            if self._at >= self._period:
                self._at = 0
                self._period = max(20, round(self._period * self.random.uniform(0.93, 1.07)))
                self._period = min(self._period, 400)
            switch = round(self._period * self._on)
            is_on = self._at < switch
            run = min((switch if is_on else self._period) - self._at, n - len(states))
            states += [is_on] * run
            self._at += run
        return states

    def plateaus(self, n: int, low: float, high: float, unit: float) -> list[float]:
        """What a person or a controller sets, and leaves for an hour or a day."""
        values: list[float] = []
        while len(values) < n:
            if self._left == 0:
                steps = round((high - low) / unit)
                self._plateau = low + unit * self.random.randint(0, steps)
                self._left = self.random.randint(200, 5_000)
            run = min(self._left, n - len(values))
            values += [self._plateau] * run
            self._left -= run
        return values


def _texts(values: Sequence[float]) -> list[str]:
    return ["%.2f" % value for value in values]  # noqa: UP031 - the quickest of all ways


def _temperature(signal: _Signal) -> Values:
    setpoint, level = signal.random.uniform(4, 24), 0.0

    def values(n: int) -> list[str]:
        nonlocal level
        made = []
        for is_on, slow, noise in zip(
            signal.duty(n), signal.walk(n, 0.01), signal.noise(n), strict=True
        ):
            level += ((-1.2 if is_on else 1.2) - level) * 0.02
            made.append(setpoint + level + slow + noise * 0.04)
        return _texts(made)

    return values


def _setpoint(signal: _Signal) -> Values:
    return lambda n: _texts(signal.plateaus(n, 4, 24, 0.5))


def _power(signal: _Signal) -> Values:
    level = signal.random.uniform(5, 60)
    return lambda n: _texts(
        [
            level * (1 + noise * 0.01) + slow if is_on else 0.35
            for is_on, slow, noise in zip(
                signal.duty(n), signal.walk(n, 0.02), signal.noise(n), strict=True
            )
        ]
    )


def _counter(signal: _Signal) -> Values:
    level, total = signal.random.uniform(5, 60), signal.random.uniform(1e4, 9e5)

    def values(n: int) -> list[str]:
        nonlocal total
        each = [
            (level * (1 + noise * 0.02) if is_on else 0.35) / 360
            for is_on, noise in zip(signal.duty(n), signal.noise(n), strict=True)
        ]
        totals = list(accumulate(each, initial=total))
        total = totals[-1]
        return _texts(totals[1:])

    return values


def _pressure(signal: _Signal) -> Values:
    high, low = signal.random.uniform(12, 18), signal.random.uniform(3, 6)
    return lambda n: _texts(
        [
            (high if is_on else low) + slow + noise * 0.03
            for is_on, slow, noise in zip(
                signal.duty(n), signal.walk(n, 0.005), signal.noise(n), strict=True
            )
        ]
    )


def _humidity(signal: _Signal) -> Values:
    level = signal.random.uniform(40, 70)
    return lambda n: _texts(
        [
            level + slow + noise * 0.1
            for slow, noise in zip(signal.walk(n, 0.03), signal.noise(n), strict=True)
        ]
    )


def _valve(signal: _Signal) -> Values:
    return lambda n: _texts(signal.plateaus(n, 0, 100, 5))


def _flow(signal: _Signal) -> Values:
    level = signal.random.uniform(20, 90)
    return lambda n: _texts(
        [
            max(0.0, level * (1 + slow) + noise * 0.4)
            for slow, noise in zip(signal.walk(n, 0.001), signal.noise(n), strict=True)
        ]
    )


def _running(signal: _Signal) -> Values:
    return lambda n: ["true" if is_on else "false" for is_on in signal.duty(n)]


STATES: Final = ("RUN", "STOP", "DEFROST", "ALARM")


def _state(signal: _Signal) -> Values:
    return lambda n: [f'"{STATES[round(value)]}"' for value in signal.plateaus(n, 0, 3, 1)]


_NUMBERS: Final[tuple[tuple[str, Callable[[_Signal], Values]], ...]] = (
    ("°C", _temperature),
    ("°C", _setpoint),
    ("kW", _power),
    ("kWh", _counter),
    ("bar", _pressure),
    ("°C", _temperature),
    ("%", _humidity),
    ("%", _valve),
    ("A", _power),
    ("m³/h", _flow),
)
_EVERY: Final = 12
"""Of so many points the last but one is a boolean; the last is one more number or a state."""


class Source:
    """A device as it reports: names, types and units of its points, and their values."""

    def __init__(self, name: str, points: int, *, jitter_ms: int = 0, first_kind: int = 0) -> None:
        """``jitter_ms``: how far its clock strays from the grid. ``first_kind``: of the cycle."""
        self.name = name
        self.points: list[tuple[str, str, str | None]] = []
        """(name, type, unit) by position."""
        self._values: list[Values] = []
        self._jitter_ms = jitter_ms
        self._random = random.Random(name)
        for position in range(points):
            type_, unit, make = _kind(position + first_kind)
            self.points.append((f"p{position}", type_, unit))
            self._values.append(make(_Signal(self._random.randrange(1 << 30))))

    def messages(
        self, start: datetime, steps: int, only: int | None = None
    ) -> Iterator[tuple[datetime, str]]:
        """So many reports from ``start`` on as (instant, payload); ``only`` its first points."""
        points = self.points[:only]
        template = '{"schema":"v1","ts":"%s","points":[' + ",".join(map(_template, points)) + "]}"
        columns = [values(steps) for values in self._values[:only]]
        for step, row in enumerate(zip(*columns, strict=True)):
            at = start + STEP * step
            if self._random.randrange(LOST) == 0:
                continue
            if self._jitter_ms:
                at += timedelta(milliseconds=self._random.randint(0, self._jitter_ms))
            stamp = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
            yield at, template % (stamp, *row)

    def record(self, at: datetime, payload: str) -> dict[str, Any]:
        """The SQS record of a message that arrived when it was stamped."""
        arrived_ms = int(at.timestamp() * 1000) + 200
        topic = device_topic("acme", "plant", self.name, Channel.TELEM)
        body = rules.project(payload.encode(), str(topic), topic.thing_name, arrived_ms)
        return fleet.record(f"{self.name}-{arrived_ms}", body, arrived_ms)


def _kind(position: int) -> tuple[str, str | None, Callable[[_Signal], Values]]:
    place = position % _EVERY
    if place == _EVERY - 2:
        return "bool", None, _running
    if place == _EVERY - 1 and position % (2 * _EVERY) == 2 * _EVERY - 1:
        return "enum", None, _state
    unit, make = _NUMBERS[place % len(_NUMBERS)]
    return "num", unit, make


def _template(point: tuple[str, str, str | None]) -> str:
    name, type_, unit = point
    if type_ == "num":
        return f'{{"name":"{name}","v":%s,"u":"{unit}"}}'.replace('%"', '%%"')
    return f'{{"name":"{name}","t":"{type_}","v":%s}}'
