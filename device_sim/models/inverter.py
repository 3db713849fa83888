"""Frequency inverters of pumps and fans: Parsec's and JE02's, in their vendors' payloads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from .base import CommandRefusedError, Identity, Model, Point, Severity, Value
from .noise import Episodes, Switch
from .normalised import rfc3339
from .surroundings import working_load
from .thermostat import Thermostat

_DAY: Final = 86_400.0
_FIRMWARE: Final = "1.2.3"


class _Inverter(Model):
    """A drive that runs as the load asks, and trips now and then."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self._cycle = Thermostat(self.noise, 1, 2700.0, lambda ts: 0.1 + 0.8 * working_load(ts))
        self._trips = Episodes(self.noise, 2, 2 * _DAY, 0.5, 300, 1800)
        self._enabled = Switch(True)
        self._trip_resets: dict[float, float] = {}
        self._signal = -58.0 - 14.0 * self.noise.uniform(3, 0)

    def alarms(self, ts: float) -> dict[str, Severity]:
        """See Model.alarms."""
        return {"drive_fault": "high"} if self.tripped(ts) else {}

    def execute(self, op: str, params: Mapping[str, Any], ts: float) -> None:  # noqa: ARG002
        """``reset_fault``, ``start``, ``stop``."""
        if op == "reset_fault":
            trip = self._trips.active(ts)
            if trip is not None:
                self._trip_resets.setdefault(trip.start, ts)
        elif op in ("start", "stop"):
            self._enabled.set(op == "start", ts)
        else:
            raise CommandRefusedError("unknown_op")

    def tripped(self, ts: float) -> bool:
        """Whether the drive is in fault."""
        trip = self._trips.active(ts)
        return trip is not None and ts < self._trip_resets.get(trip.start, trip.end)

    def rssi(self, ts: float) -> float:
        """Signal strength in dBm, whole numbers."""
        wander = 3.0 * self.noise.smooth(4, ts, 5400.0) + 1.2 * self.noise.gauss(5, int(ts))
        return float(round(min(-30.0, max(-95.0, self._signal + wander))))


class ParsecInverter(_Inverter):
    """Two digital inputs: running, and fault."""

    code: ClassVar[str] = "inverter-parsec"
    POINTS: ClassVar[tuple[Point, ...]] = (
        Point("status", "enum", enum_values=("RUN", "STOP")),
        Point("fault", "bool"),
        Point("rssi", "num", "dBm", 0, low=-95, high=-30),
    )

    def at(self, ts: float) -> dict[str, Value]:
        """See Model.at."""
        fault = self.tripped(ts)
        run = self._cycle.at(ts).on and self._enabled.at(ts) and not fault
        return {"status": "RUN" if run else "STOP", "fault": fault, "rssi": self.rssi(ts)}

    def payloads(self, ts: float) -> list[bytes]:
        """See Model.payloads."""
        values = self.at(ts)
        run, fault, rssi = values["status"] == "RUN", bool(values["fault"]), values["rssi"]
        return [
            f'{{"di1":{run:d},"di2":{fault:d},"rssi":{rssi:.0f},"fw":"{_FIRMWARE}",'
            f'"ts":"{rfc3339(ts)}"}}'.encode()
        ]


class Je02Inverter(_Inverter):
    """Two inputs, two analogue channels and a relay, with counters since the last boot."""

    code: ClassVar[str] = "inverter-je02"
    POINTS: ClassVar[tuple[Point, ...]] = (
        Point("status", "enum", enum_values=("RUN", "STOP", "FAULT")),
        Point("fault", "bool"),
        Point("rssi", "num", "dBm", 0, low=-95, high=-30),
        Point("uptime", "num", "s", 0, low=0),
        Point("cntserr", "num", None, 0, low=0),
        Point("var0", "num", "°C", 1, low=5, high=65),
        Point("var1", "num", "%", 1, low=5, high=95),
        Point("rele", "bool"),
    )
    _BOOT_EVERY_S: ClassVar[float] = 5 * _DAY
    _ERROR_EVERY_S: ClassVar[float] = 5400.0

    def at(self, ts: float) -> dict[str, Value]:
        """See Model.at."""
        noise, second = self.noise, int(ts)
        fault = self.tripped(ts)
        wanted = self._enabled.at(ts)
        phase = self._cycle.at(ts)
        run = phase.on and wanted and not fault
        uptime = second - self._boot(second)
        # The cabinet warms while the drive runs, and cools when it stops.
        cabinet = self.weather.outdoor(ts) + 6.0 + 9.0 * (1.0 - phase.warmth if wanted else 0.0)
        return {
            "status": "FAULT" if fault else "RUN" if run else "STOP",
            "fault": fault,
            "rssi": self.rssi(ts),
            "uptime": float(uptime),
            "cntserr": float(int(uptime / self._ERROR_EVERY_S)),
            "var0": round(cabinet + 0.1 * noise.gauss(10, second), 1),
            "var1": round(
                min(90.0, max(10.0, 88.0 - 1.25 * cabinet + 3.0 * noise.smooth(11, ts, 9000.0))), 1
            ),
            "rele": wanted and not fault,
        }

    def payloads(self, ts: float) -> list[bytes]:
        """See Model.payloads. The device's clock gives whole seconds."""
        values = self.at(float(int(ts)))
        run, fault = values["status"] == "RUN", values["status"] == "FAULT"
        tenths = {name: round(float(values[name]) * 10) for name in ("var0", "var1")}
        return [
            f'{{"DATA":{{"TS":{int(ts)},"INPUT1":{run:d},"INPUT2":{fault:d},'
            f'"VAR0":{tenths["var0"]},"VAR1":{tenths["var1"]},"WRSSI":{values["rssi"]:.0f},'
            f'"RELE":{values["rele"]:d},"CNTSERR":{values["cntserr"]:.0f},'
            f'"UPTIME":{values["uptime"]:.0f}}}}}'.encode()
        ]

    def greeting(self, ts: float) -> list[bytes]:  # noqa: ARG002
        """The INFO message."""
        info = {
            "FW_VERSION": _FIRMWARE,
            "HW_VERSION": "v1",
            "DEVICE_ID": self.identity.name,
            "MODEL": "JE02-INVERTER",
        }
        return [json.dumps({"INFO": info}, separators=(",", ":")).encode()]

    def _boot(self, second: int) -> int:
        """Unix second of the last boot: one in each slot of five days."""
        slot = int(second // self._BOOT_EVERY_S)
        boot = self._boot_of(slot)
        return boot if boot <= second else self._boot_of(slot - 1)

    def _boot_of(self, slot: int) -> int:
        return int((slot + self.noise.uniform(6, slot)) * self._BOOT_EVERY_S)
