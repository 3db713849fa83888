"""A vaccine refrigerator: kept between 2 and 8 °C, in spite of its door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import exp
from typing import Any, ClassVar, Final, NamedTuple

from .base import CommandRefusedError, Identity, Model, Point, Severity, Value
from .chiller import number_param
from .noise import Relaxation
from .normalised import Telemetry
from .surroundings import working_load
from .thermostat import Thermostat

_SETPOINT: Final = 4.8
_SETPOINT_RANGE: Final = (3.0, 7.0)
_HYSTERESIS: Final = 0.6
_ROOM_PULL: Final = 15.0
"""How many degrees warmer the inside would get with the door left open."""
_OPEN_TAU_S: Final = 900.0
_RECOVERY_TAU_S: Final = 420.0
_SLOT_S: Final = 600
_SLOTS_FELT: Final = 6
"""An opening is forgotten after an hour: exp(−3,600/420) is nothing."""
_LOW, _HIGH = 2.0, 8.0


class _Opening(NamedTuple):
    start: float
    end: float


class VaccineFridge(Model):
    """Thermostat cycles, door openings in working hours, now and then one too long."""

    code: ClassVar[str] = "vaccine-fridge"
    POINTS: ClassVar[tuple[Point, ...]] = (
        Point("temp", "num", "°C", 2, low=0, high=16),
        Point("door_open", "bool"),
        Point("humidity", "num", "%", 1, low=15, high=95),
        Point("compressor_on", "bool"),
    )

    def __init__(self, identity: Identity, only: Iterable[str] | None = None) -> None:
        super().__init__(identity)
        kept = None if only is None else frozenset(only)
        self._telemetry = Telemetry(
            (p for p in self.POINTS if kept is None or p.name in kept), "fridge_sim"
        )
        self._thermostat = Thermostat(
            self.noise, 1, 1260.0, lambda ts: 0.3 + 0.012 * (self.weather.outdoor(ts) - 18.0)
        )
        self._setpoint = Relaxation(_SETPOINT, 1800.0)
        self._slot: int | None = None
        self._openings: tuple[_Opening, ...] = ()

    def at(self, ts: float) -> dict[str, Value]:
        """See Model.at."""
        noise, second = self.noise, int(ts)
        phase = self._thermostat.at(ts)
        warm, is_open = self._door(ts)
        temp = self._inside(ts, phase.warmth, warm)
        humidity = 42.0 + 6.0 * phase.warmth + 5.0 * min(6.0, warm)
        return {
            "temp": round(temp + 0.03 * noise.gauss(10, second), 2),
            "door_open": is_open,
            "humidity": round(humidity + 2.5 * noise.smooth(11, ts, 7200) + 0.3
                              * noise.gauss(12, second), 1),
            "compressor_on": phase.on,
        }  # fmt: skip

    def payloads(self, ts: float) -> list[bytes]:
        """See Model.payloads."""
        return [self._telemetry.message(ts, self.at(ts))]

    def alarms(self, ts: float) -> dict[str, Severity]:
        """See Model.alarms."""
        temp = self._inside(ts, self._thermostat.at(ts).warmth, self._door(ts)[0])
        if temp > _HIGH:
            return {"temp_high": "critical"}
        if temp < _LOW:
            return {"temp_low": "critical"}
        return {}

    def execute(self, op: str, params: Mapping[str, Any], ts: float) -> None:
        """``set_setpoint`` (``value`` in °C)."""
        if op != "set_setpoint":
            raise CommandRefusedError("unknown_op")
        self._setpoint.aim(number_param(params, "value", *_SETPOINT_RANGE), ts)

    def _inside(self, ts: float, warmth: float, door: float) -> float:
        drift = 0.15 * self.noise.smooth(13, ts, 4 * 86_400.0)
        return self._setpoint.at(ts) + _HYSTERESIS * (2.0 * warmth - 1.0) + door + drift

    def _door(self, ts: float) -> tuple[float, bool]:
        """Degrees that openings have added, and whether the door is open now."""
        slot = int(ts // _SLOT_S)
        if slot != self._slot:
            recent = (self._opening(s) for s in range(slot - _SLOTS_FELT, slot + 1))
            self._slot, self._openings = slot, tuple(o for o in recent if o is not None)
        warm, is_open = 0.0, False
        for start, end in self._openings:
            if ts < start:
                continue
            if ts < end:
                is_open = True
                warm += _ROOM_PULL * (1.0 - exp((start - ts) / _OPEN_TAU_S))
            else:
                peak = _ROOM_PULL * (1.0 - exp((start - end) / _OPEN_TAU_S))
                warm += peak * exp((end - ts) / _RECOVERY_TAU_S)
        return warm, is_open

    def _opening(self, slot: int) -> _Opening | None:
        noise, begin = self.noise, float(slot * _SLOT_S)
        quiet_hours_load = 0.3
        chance = 0.04 + 0.8 * max(0.0, working_load(begin) - quiet_hours_load)
        if noise.uniform(2, slot) >= chance:
            return None
        start = begin + 200.0 * noise.uniform(3, slot)
        length = 8.0 + 60.0 * noise.uniform(4, slot) ** 2
        if noise.uniform(5, slot) < 0.008:
            length = 180.0 + 200.0 * noise.uniform(6, slot)  # somebody forgot to close it
        return _Opening(start, start + length)
