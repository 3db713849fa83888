"""Gateways and what is behind them: energy meters (TDS) and LoRaWAN sensors (Khomp)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import pi, sin
from typing import ClassVar, Final

from .base import Identity, Model, Point, Value
from .surroundings import LOCAL_OFFSET_S, WEEK_LOAD, working_load

_DAY: Final = 86_400
_HOURS: Final = 24
_FIRST_DAY: Final = (date(2020, 1, 1) - date(1970, 1, 1)).days
_RIPPLE_S: Final = 1200.0


def _loads_until_hour() -> tuple[float, ...]:
    """Load-hours from Monday 00:00 to each full hour of the week (trapezoids)."""
    total, sums = 0.0, [0.0]
    for here, then in pairwise(WEEK_LOAD):
        total += (here + then) / 2.0
        sums.append(total)
    return tuple(sums)


_LOAD_HOURS: Final = _loads_until_hour()


class EnergyMeter(Model):
    """A kWh register that only ever grows: the integral of a load that follows the week."""

    code: ClassVar[str] = "energy-meter-tds"
    POINTS: ClassVar[tuple[Point, ...]] = (Point("value", "num", "kWh", 3, low=0),)

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self._base_kw = 4.0 + 16.0 * self.noise.uniform(1, 0)
        self._span_kw = 20.0 + 60.0 * self.noise.uniform(1, 1)
        self._days = [0.0]
        """Load-hours of all days before the i-th since the register was zero."""

    def at(self, ts: float) -> dict[str, Value]:
        """See Model.at. Raises ValueError before 2020, when the register was zero."""
        return {"value": round(self.energy_kwh(ts), 3)}

    def payloads(self, ts: float) -> list[bytes]:  # noqa: ARG002
        """None: its gateway speaks for it."""
        return []

    def energy_kwh(self, ts: float) -> float:
        """Energy since the first of January 2020, in kWh."""
        local = ts + LOCAL_OFFSET_S
        day, second = divmod(local, _DAY)
        index = int(day) - _FIRST_DAY
        if index < 0:
            raise ValueError("an energy meter has no reading before 2020")
        while len(self._days) <= index:
            last = len(self._days) - 1
            self._days.append(self._days[-1] + self._load_hours(last, _HOURS))
        load_hours = self._days[index] + self._load_hours(index, second / 3600.0)
        hours = (local - _FIRST_DAY * _DAY) / 3600.0
        # Its slope is at most half of the base load, so that the register never falls.
        ripple = 0.5 * self._base_kw * (_RIPPLE_S / 3600.0) / (2.0 * pi)
        return (
            self._base_kw * hours
            + self._span_kw * load_hours
            + ripple * (1.0 + sin(2.0 * pi * ts / _RIPPLE_S))
        )

    def _load_hours(self, index: int, hours: float) -> float:
        """Load-hours of the first ``hours`` of the index-th day."""
        weekday = (index + 2) % 7  # 2020-01-01 was a Wednesday
        first = weekday * _HOURS
        whole = int(hours)
        at = first + whole
        part = hours - whole
        total = _LOAD_HOURS[at] - _LOAD_HOURS[first]
        if part:
            rise = WEEK_LOAD[at + 1] - WEEK_LOAD[at]
            total += part * (WEEK_LOAD[at] + 0.5 * rise * part)
        return total * max(0.5, 1.0 + 0.08 * self.noise.gauss(2, index))


class TdsGateway(Model):
    """Reports the registers of all its meters in one message, on its MAC address's topic."""

    code: ClassVar[str] = "gateway-tds"
    POINTS: ClassVar[tuple[Point, ...]] = ()

    def __init__(self, identity: Identity, mac: str, codes: Sequence[str]) -> None:
        super().__init__(identity)
        self.mac = mac
        self.meters = {
            code: EnergyMeter(
                Identity(identity.seed, identity.tenant, identity.site, f"{identity.name}/{code}")
            )
            for code in codes
        }

    def at(self, ts: float) -> dict[str, Value]:
        """The meters' values, as ``{code}.value``."""
        return {f"{code}.value": m.at(ts)["value"] for code, m in self.meters.items()}

    def payloads(self, ts: float) -> list[bytes]:
        """See Model.payloads."""
        instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(ts * 1e6))
        readings = ",".join(
            f'{{"dispositivo":{json.dumps(code)},"valor":"{meter.at(ts)["value"]:.3f}",'
            '"unidade":"kWh"}'
            for code, meter in self.meters.items()
        )
        return [
            f'{{"gateway":"{self.mac}","timestamp":"{instant:%Y-%m-%dT%H:%M:%S.%fZ}",'
            f'"leituras":[{readings}]}}'.encode()
        ]


class KhompSensor(Model):
    """A LoRaWAN temperature and humidity sensor (an NIT20L) in a room or a cold store."""

    code: ClassVar[str] = "sensor-khomp"
    POINTS: ClassVar[tuple[Point, ...]] = (
        Point("A_celsius", "num", "°C", 2, low=-10, high=45),
        Point("A_percent_rh", "num", "%", 1, low=5, high=100),
        Point("rssi", "num", "dBW", 0, low=-125, high=-30),  # the unit that Khomp names
    )

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self._mean = 4.0 + 16.0 * self.noise.uniform(1, 0)
        self._coupling = 0.08 + 0.2 * self.noise.uniform(1, 1)
        self._signal = -72.0 - 25.0 * self.noise.uniform(1, 2)

    def at(self, ts: float) -> dict[str, Value]:
        """See Model.at."""
        noise, second = self.noise, int(ts)
        warm = self._coupling * (self.weather.outdoor(ts) - 20.0) + 0.8 * working_load(ts)
        temp = (
            self._mean + warm + 0.25 * noise.smooth(2, ts, 5400.0) + 0.02 * noise.gauss(3, second)
        )
        humidity = 62.0 - 2.0 * warm + 2.5 * noise.smooth(4, ts, 10800.0)
        signal = self._signal + 3.0 * noise.smooth(5, ts, 3600.0) + 2.0 * noise.gauss(6, second)
        return {
            "A_celsius": round(temp, 2),
            "A_percent_rh": round(min(99.0, max(8.0, humidity)), 1),
            "rssi": float(round(min(-40.0, max(-120.0, signal)))),
        }

    def payloads(self, ts: float) -> list[bytes]:  # noqa: ARG002
        """None: its gateway speaks for it."""
        return []


class KhompGateway(Model):
    """Forwards one SenML pack (RFC 8428) for each of its sensors, whose EUI is the base name."""

    code: ClassVar[str] = "gateway-khomp"
    POINTS: ClassVar[tuple[Point, ...]] = ()

    def __init__(self, identity: Identity, euis: Sequence[str], mac: str | None = None) -> None:
        super().__init__(identity)
        self._gateway_eui = _gateway_eui(identity, mac)
        self.sensors = {
            eui: KhompSensor(
                Identity(identity.seed, identity.tenant, identity.site, f"{identity.name}/{eui}")
            )
            for eui in euis
        }

    def at(self, ts: float) -> dict[str, Value]:
        """The sensors' values, as ``{eui}.{point}``."""
        return {
            f"{eui}.{name}": value
            for eui, sensor in self.sensors.items()
            for name, value in sensor.at(ts).items()
        }

    def payloads(self, ts: float) -> list[bytes]:
        """See Model.payloads. The sensors' clock gives whole seconds."""
        second = int(ts)
        messages = []
        for eui, sensor in self.sensors.items():
            values = sensor.at(float(second))
            messages.append(
                f'[{{"bn":{json.dumps(eui)},"bt":{second}}},'
                f'{{"n":"A","u":"Cel","v":{values["A_celsius"]!r}}},'
                f'{{"n":"A","u":"%RH","v":{values["A_percent_rh"]!r}}},'
                f'{{"n":"rssi","u":"dBW","v":{values["rssi"]:.0f}}},'
                '{"n":"model","vs":"nit20l"},'
                f'{{"n":"gateway","vs":"{self._gateway_eui}"}}]'.encode()
            )
        return messages


def _gateway_eui(identity: Identity, mac: str | None) -> str:
    if mac is not None:
        digits = mac.replace(":", "").upper()
        return f"{digits[:6]}FFFE{digits[6:]}"  # EUI-64 of a MAC address (RFC 4291, appendix A)
    number = sum(ord(c) * 257**i for i, c in enumerate(identity.name)) & 0xFFFFFF
    return f"020000FFFE{number:06X}"
