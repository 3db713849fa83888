"""Plausible devices and readings for the stand-in platform."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Value = float | bool | str
PASSWORD = "correct-horse-7"
USERS: dict[str, dict[str, Any]] = {
    "ana@acme.example": {"role": "customer_admin", "tenant": "acme"},
    "rui@globex.example": {"role": "viewer", "tenant": "globex"},
    "ops@traksense.example": {"role": "internal_ops", "tenant": None},
    "new@acme.example": {"role": "newcomer", "tenant": "acme"},
}
TIME_ZONES = {"acme": "America/Sao_Paulo", "globex": "America/Manaus"}
STEP_S = 10
HISTORY_S = 14 * 86_400
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
"""A label that would run if it were ever taken for markup."""


def to_ts(us: int) -> str:
    """RFC 3339 in UTC, with microseconds only where there are any."""
    instant = datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)
    return instant.isoformat().replace("+00:00", "Z")


def from_ts(ts: str) -> int:
    """Microseconds since the epoch of an RFC 3339 instant."""
    delta = datetime.fromisoformat(ts) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


@dataclass
class Point:
    """A point whose history is a function of time, and what was published since."""

    id: str
    name: str
    labels: dict[str, str]
    type: str
    at: Callable[[float], Value]
    """The value at a time in seconds since the epoch."""
    history_end: float
    unit: str | None = None
    enum_values: list[str] | None = None
    limits: dict[str, float] | None = None
    history_s: int = HISTORY_S
    published: list[tuple[int, Value]] = field(default_factory=list)

    def shape(self, locale: str) -> dict[str, Any]:
        """The point as the API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "label": self.labels[locale],
            "type": self.type,
            "unit": self.unit,
            "enum_values": self.enum_values,
            "limits": self.limits,
            "is_contracted": True,
        }

    def _last_tick(self) -> int:
        return int(self.history_end // STEP_S) * STEP_S

    def rows(self, start: str, end: str) -> list[tuple[int, Value]]:
        """Readings of [start, end), oldest first."""
        start_us, end_us = from_ts(start), from_ts(end)
        oldest = self._last_tick() - self.history_s + STEP_S
        first = max(-(-start_us // (STEP_S * 1_000_000)) * STEP_S, oldest)
        last = min(self._last_tick(), (end_us - 1) // 1_000_000)
        history = [(s * 1_000_000, self.at(s)) for s in range(first, last + 1, STEP_S)]
        return history + [row for row in self.published if start_us <= row[0] < end_us]

    def publish(self, value: Value, now: float) -> None:
        """Let a reading arrive."""
        self.published.append((int(now * 1_000_000), value))

    def latest(self) -> dict[str, Any]:
        """The newest reading as the API shows it."""
        reading: dict[str, Any] = {"ts": None, "value": None, "qual": None}
        if self.published:
            us, value = self.published[-1]
            reading = {"ts": to_ts(us), "value": value, "qual": 0}
        elif self.history_s:
            second = self._last_tick()
            reading = {"ts": to_ts(second * 1_000_000), "value": self.at(second), "qual": 0}
        identity = {"point_id": self.id, "name": self.name, "type": self.type, "unit": self.unit}
        return identity | reading


@dataclass
class Device:
    """A device with its points."""

    id: str
    name: str
    tenant: str
    site: str
    template: str
    last_seen: float | None
    points: list[Point]
    is_online: bool = True

    def shape(self) -> dict[str, Any]:
        """The device as the API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "tenant": self.tenant,
            "site": self.site,
            "template": {"code": self.template, "version": 1},
            "is_online": self.is_online,
            "last_seen": None if self.last_seen is None else to_ts(int(self.last_seen * 1e6)),
            "metadata": {"fw": "1.2.3"},
            "created_at": "2025-01-15T12:00:00Z",
        }

    def point(self, name: str) -> Point:
        """The point of a name."""
        return next(point for point in self.points if point.name == name)

    def speak(self, now: float) -> None:
        """Publish a reading of every point, if the device is online."""
        if not self.is_online:
            return
        self.last_seen = now
        for point in self.points:
            if point.history_s:
                point.publish(point.at(now), now)


def _id(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, ".".join((*parts, "traksense.example"))))


def _wave(mean: float, swing: float, period_s: float, digits: int = 2) -> Callable[[float], float]:
    def at(second: float) -> float:
        day = math.sin(second / 86_400 * 2 * math.pi) * swing * 0.4
        cycle = math.sin(second / period_s * 2 * math.pi) * swing * 0.5
        ripple = math.sin(second / 47) * math.sin(second / 311) * swing * 0.1
        return round(mean + day + cycle + ripple, digits)

    return at


def _state(values: list[str], period_s: int) -> Callable[[float], str]:
    weights = [*values[:1] * 5, *values]
    return lambda second: weights[int(second // period_s) % len(weights)]


def _running(period_s: int) -> Callable[[float], bool]:
    return lambda second: second % period_s < period_s * 0.6


def _chiller(device: str, now: float) -> list[Point]:
    def make(
        name: str, pt: str, en: str, kind: str, at: Callable[[float], Value], **more: Any
    ) -> Point:
        return Point(_id(device, name), name, {"pt-BR": pt, "en": en}, kind, at, now, **more)

    return [
        make("temp_agua_saida", "Água gelada, saída", "Chilled water, supply", "num",
             _wave(7.2, 2.2, 2400), unit="°C", limits={"low": 4, "high": 10}),
        make("temp_agua_retorno", "Água gelada, retorno", "Chilled water, return", "num",
             _wave(12.4, 2.6, 2400), unit="°C", limits={"high": 16}),
        make("pressao_alta", "Pressão de descarga", "Discharge pressure", "num",
             lambda _: 19.2, unit="bar", limits={"high": 18}),
        make("corrente", "Corrente do compressor", "Compressor current", "num",
             _wave(61, 12, 1800, 1), unit="A"),
        make("potencia_kw", "Potência elétrica", "Electrical power", "num",
             _wave(32.5, 9, 1800, 3), unit="kW"),
        make("compressor_1_on", "Compressor 1 ligado", "Compressor 1 running", "bool",
             _running(2400)),
        make("modo", "Modo", "Mode", "enum", _state(["COOL", "OFF", "DEFROST", "PURGE"], 3600),
             enum_values=["OFF", "COOL", "DEFROST"]),
        make("alarme", "Alarme", "Alarm", "bool", lambda _: False),
        make("observacao", "Observação", "Note", "text",
             lambda _: "Filtro trocado na última visita", history_s=3600),
        make("vazao", "Vazão", "Flow", "num", lambda _: 0.0, unit="m³/h", history_s=0),
    ]  # fmt: skip


def _fridge(device: str, now: float, label: str | None = None) -> list[Point]:
    temperature = {"pt-BR": label or "Temperatura interna", "en": label or "Inside temperature"}
    door = {"pt-BR": "Porta aberta", "en": "Door open"}
    return [
        Point(_id(device, "temp"), "temp", temperature, "num", _wave(4.6, 2.4, 3000), now,
              unit="°C", limits={"low": 2, "high": 8}),
        Point(_id(device, "door_open"), "door_open", door, "bool",
              lambda second: second % 7200 < 90, now),
    ]  # fmt: skip


def make_fleet(now: float) -> dict[str, Device]:
    """Devices of acme (two sites) and globex, by id."""
    devices = [
        Device(_id("CHILLER-01"), "CHILLER-01", "acme", "hospital-central", "chiller-v1", now,
               _chiller("CHILLER-01", now)),
        Device(_id("CHILLER-02"), "CHILLER-02", "acme", "hospital-central", "chiller-v1",
               now - 7500, _chiller("CHILLER-02", now - 7500), is_online=False),
        *(
            Device(_id(f"VACINA-{n}"), f"VACINA-{n}", "acme", "posto-norte", "vaccine-fridge",
                   now, _fridge(f"VACINA-{n}", now))
            for n in range(1, 12)
        ),
        Device(_id("MEDIDOR-1"), "MEDIDOR-1", "acme", "hospital-central", "energy-meter", now,
               [Point(_id("MEDIDOR-1", "value"), "value", {"pt-BR": "Energia", "en": "Energy"},
                      "num", lambda s: round(s / 632, 3), now, unit="kWh")]),
        Device(_id("SENSOR-09"), "SENSOR-09", "acme", "posto-norte", "sensor-khomp", None,
               [], is_online=False),
        Device(_id("FRIDGE-X"), "FRIDGE-X", "globex", "plant-1", "vaccine-fridge", now,
               _fridge("FRIDGE-X", now, HOSTILE)),
        Device(_id("FRIDGE-Y"), "FRIDGE-Y", "globex", "plant-1", "vaccine-fridge", now,
               _fridge("FRIDGE-Y", now)),
    ]  # fmt: skip
    return {device.id: device for device in devices}
