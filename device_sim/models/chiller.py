"""A water chiller with one compressor on R-134a, and its plain sister with one point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import exp
from typing import Any, ClassVar, Final

from .base import CommandRefusedError, Identity, Model, Point, SensorFault, Severity, Value
from .noise import Episodes, Relaxation, Switch
from .normalised import Telemetry
from .surroundings import working_load
from .thermostat import Thermostat

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_SETPOINT: Final = 7.0
_SETPOINT_RANGE: Final = (5.0, 12.0)
_HYSTERESIS: Final = 0.8
_STANDING_WATER: Final = 19.0
"""Where the water drifts to, in °C, while nothing cools it."""
_WARM_UP_S: Final = 2400.0
_COOL_DOWN_S: Final = 900.0
_LEAK_ALARM: Final = 0.15


def saturation_pressure(celsius: float) -> float:
    """Gauge pressure of R-134a at saturation, in bar; within 3% from −5 to 60 °C."""
    return 2.93 * exp(0.0312 * celsius) - 1.0


def number_param(params: Mapping[str, Any], name: str, low: float, high: float) -> float:
    """A number within bounds from a command's parameters. Raises CommandRefusedError."""
    value = params.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise CommandRefusedError(f"bad_params: {name} must be a number from {low:g} to {high:g}")
    return float(value)


class Chiller(Model):
    """Supply water between the thermostat's points, pressures and current that follow it."""

    code: ClassVar[str] = "chiller-v1"
    POINTS: ClassVar[tuple[Point, ...]] = (
        Point("temp_agua_saida", "num", "°C", 1, low=-40, high=25),
        Point("temp_agua_retorno", "num", "°C", 1, low=0, high=32),
        Point("pressao_alta", "num", "bar", 1, low=0, high=20),
        Point("pressao_baixa", "num", "bar", 2, low=0, high=8),
        Point("corrente", "num", "A", 1, low=0, high=120),
        Point("compressor_1_on", "bool"),
        Point("modo", "enum", enum_values=("OFF", "COOL", "DEFROST")),
        Point("potencia_kw", "num", "kW", 1, low=0, high=80),
        Point("alarme", "bool"),
    )

    def __init__(self, identity: Identity, only: Iterable[str] | None = None) -> None:
        super().__init__(identity)
        kept = None if only is None else frozenset(only)
        self._telemetry = Telemetry(
            (p for p in self.POINTS if kept is None or p.name in kept), "chiller_sim"
        )
        noise = self.noise
        self._thermostat = Thermostat(noise, 1, 1500.0, lambda ts: 0.15 + 0.75 * self.demand(ts))
        self._trips = Episodes(noise, 2, 3 * _DAY, 0.5, 600, 2400)
        self._defrosts = Episodes(noise, 3, _DAY / 2, 1.0, 300, 480)
        self._leaks = Episodes(noise, 4, 20 * _DAY, 0.3, 4 * _DAY, 9 * _DAY)
        self._sensor = SensorFault(noise, -40.0)
        self._setpoint = Relaxation(_SETPOINT, _COOL_DOWN_S)
        self._running = Switch(True)
        self._standing = Relaxation(0.0, _WARM_UP_S)
        self._trip_resets: dict[float, float] = {}

    def demand(self, ts: float) -> float:
        """Cooling demand, 0 to 1, from the working day and the weather."""
        demand = 0.5 * working_load(ts) + 0.026 * (self.weather.outdoor(ts) - 16.0)
        return min(1.0, max(0.1, demand))

    def at(self, ts: float) -> dict[str, Value]:
        """See Model.at."""
        noise, second = self.noise, int(ts)
        outdoor = self.weather.outdoor(ts)
        demand = min(1.0, max(0.1, 0.5 * working_load(ts) + 0.026 * (outdoor - 16.0)))
        phase = self._thermostat.at(ts)
        tripped, trip_warmth = self._trip(ts)
        running = self._running.at(ts)
        defrosting = self._defrosts.active(ts) is not None
        leak = self._leak(ts)
        compressor = phase.on and running and not tripped and not defrosting

        water = self._water(ts, phase.warmth, trip_warmth)
        supply = water + 0.04 * noise.gauss(10, second) + 0.12 * noise.smooth(11, ts, 3 * _DAY)
        back = water + 1.0 + 4.6 * demand + 0.06 * noise.gauss(12, second)

        rest = saturation_pressure(0.5 * (outdoor + water))
        settled = exp(-phase.since_s / (40.0 if compressor else 110.0))
        hot, cold = saturation_pressure(outdoor + 14.0), saturation_pressure(water - 6.0)
        aim_high, aim_low = (hot, cold) if compressor else (rest, rest)
        from_high, from_low = (rest, rest) if compressor else (hot, cold)
        high = aim_high + (from_high - aim_high) * settled + 0.05 * noise.gauss(13, second)
        low = aim_low + (from_low - aim_low) * settled + 0.02 * noise.gauss(14, second)
        low *= 1.0 - leak

        current = 0.6
        if compressor:
            current = (34.0 + 16.0 * demand + 0.55 * (outdoor - 20.0)) * (1.0 + 0.4 * leak)
            current += 0.5 * noise.gauss(15, second)
        power = 1.7320508 * 0.38 * current * 0.87

        mode = "COOL"
        if tripped or not running:
            mode = "OFF"
        elif defrosting:
            mode = "DEFROST"
        return {
            "temp_agua_saida": self._read_sensor(ts, supply),
            "temp_agua_retorno": round(back, 1),
            "pressao_alta": round(max(0.0, high), 1),
            "pressao_baixa": round(max(0.0, low), 2),
            "corrente": round(current, 1),
            "compressor_1_on": compressor,
            "modo": mode,
            "potencia_kw": round(power, 1),
            "alarme": tripped or leak > _LEAK_ALARM or self._sensor.active(ts),
        }

    def payloads(self, ts: float) -> list[bytes]:
        """See Model.payloads."""
        return [self._telemetry.message(ts, self.at(ts))]

    def alarms(self, ts: float) -> dict[str, Severity]:
        """See Model.alarms."""
        active: dict[str, Severity] = {}
        if self._trip(ts)[0]:
            active["compressor_trip"] = "critical"
        if self._leak(ts) > _LEAK_ALARM:
            active["low_pressure"] = "high"
        if self._sensor.active(ts):
            active["sensor_fault"] = "medium"
        return active

    def execute(self, op: str, params: Mapping[str, Any], ts: float) -> None:
        """``reset_fault``, ``set_setpoint`` (``value`` in °C), ``start``, ``stop``."""
        if op == "reset_fault":
            trip = self._trips.active(ts)
            if trip is not None:
                self._trip_resets.setdefault(trip.start, ts)
        elif op == "set_setpoint":
            self._setpoint.aim(number_param(params, "value", *_SETPOINT_RANGE), ts)
        elif op in ("start", "stop"):
            self._running.set(op == "start", ts)
            self._standing.aim(0.0 if op == "start" else 1.0, ts)
        else:
            raise CommandRefusedError("unknown_op")

    def _water(self, ts: float, warmth: float, trip_warmth: float) -> float:
        setpoint = self._setpoint.at(ts)
        water = setpoint + _HYSTERESIS * (2.0 * warmth - 1.0)
        standing = max(trip_warmth, self._standing.at(ts))
        if standing:
            water += standing * (_STANDING_WATER - setpoint)
        return water

    def _trip(self, ts: float) -> tuple[bool, float]:
        """Whether the compressor is tripped, and how far the water has warmed (0 to 1)."""
        trip = self._trips.near(ts)
        if trip is None or ts < trip.start:
            return False, 0.0
        end = min(trip.end, self._trip_resets.get(trip.start, trip.end))
        if ts < end:
            return True, 1.0 - exp((trip.start - ts) / _WARM_UP_S)
        return False, (1.0 - exp((trip.start - end) / _WARM_UP_S)) * exp((end - ts) / _COOL_DOWN_S)

    def _leak(self, ts: float) -> float:
        """Share of the suction pressure that a slow leak has taken; refilled at its end."""
        leak = self._leaks.active(ts)
        return 0.3 * (ts - leak.start) / (leak.end - leak.start) if leak else 0.0

    def _read_sensor(self, ts: float, celsius: float) -> float:
        if not self._sensor.active(ts):
            return round(celsius, 1)
        broken = self._sensor.open_value(ts)
        if broken is not None:
            return broken
        frozen = self._sensor.frozen_at(ts)
        if frozen is None or frozen == ts:
            return round(celsius, 1)
        warmth = self._thermostat.at(frozen).warmth
        return round(self._water(frozen, warmth, self._trip(frozen)[1]), 1)


class PlainChiller(Chiller):
    """What a device without a known template is taken for: a chiller that reports ``temp``."""

    code: ClassVar[str] = "generic"
    POINTS: ClassVar[tuple[Point, ...]] = (Point("temp", "num", "°C", 1, low=-40, high=25),)

    def at(self, ts: float) -> dict[str, Value]:
        """See Model.at."""
        return {"temp": super().at(ts)["temp_agua_saida"]}
