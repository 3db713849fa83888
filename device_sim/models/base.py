"""What every model of equipment offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from traksense.domain.readings import PointType

from .noise import Episodes, Noise
from .surroundings import Weather

Value = float | bool | str
Severity = Literal["low", "medium", "high", "critical"]
DEFAULT_SEED: Final = 2025

_HOUR: Final = 3600.0
_STREAM_SENSOR: Final = 900
_STREAM_SENSOR_KIND: Final = 901


class CommandRefusedError(Exception):
    """A command that the equipment does not carry out; the message is the ack's ``err``."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point as the platform knows it, after the vendor's adapter."""

    name: str
    type: PointType
    unit: str | None = None
    decimals: int = 1
    """The sensor's resolution."""
    enum_values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    """Bounds that the value never leaves, with faults; None where there is none."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes one piece of equipment differ from its sisters."""

    seed: object
    tenant: str
    site: str
    name: str


class Model(ABC):
    """One piece of equipment. All times are Unix seconds."""

    code: ClassVar[str]
    """Code of the device template that it stands for."""
    POINTS: ClassVar[tuple[Point, ...]]

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.noise = Noise(identity.seed, self.code, identity.tenant, identity.name)
        self.weather = Weather(identity.seed, identity.tenant, identity.site)

    @abstractmethod
    def at(self, ts: float) -> dict[str, Value]:
        """Every point's value at ``ts``, quantised to the sensor's resolution.

        A function of the identity, ``ts`` and the commands carried out before ``ts``: the
        order of the calls and the time between them change nothing.
        """

    @abstractmethod
    def payloads(self, ts: float) -> list[bytes]:
        """The telemetry messages that it sends at ``ts``."""

    def greeting(self, ts: float) -> list[bytes]:  # noqa: ARG002 - a model without one
        """Messages on the telemetry topic that it sends once after it starts."""
        return []

    def alarms(self, ts: float) -> dict[str, Severity]:  # noqa: ARG002 - a model without any
        """Codes of the alarms that are active at ``ts``, with their severity."""
        return {}

    def execute(self, op: str, params: Mapping[str, Any], ts: float) -> None:  # noqa: ARG002
        """Carry out a command from ``ts`` on. Raises CommandRefusedError."""
        raise CommandRefusedError("unknown_op")


class SensorFault:
    """A sensor that now and then sticks at its value, or reads its lowest with a broken wire."""

    def __init__(self, noise: Noise, open_value: float) -> None:
        self._episodes = Episodes(
            noise, _STREAM_SENSOR, 8 * 24 * _HOUR, 0.5, 0.3 * _HOUR, 2.0 * _HOUR
        )
        self._noise = noise
        self._open_value = open_value

    def active(self, ts: float) -> bool:
        """Whether the sensor is faulty at ``ts``."""
        return self._episodes.active(ts) is not None

    def frozen_at(self, ts: float) -> float | None:
        """The instant whose value the sensor is stuck at; None while it is not stuck."""
        episode = self._episodes.active(ts)
        if episode is None or self._is_open(episode.start):
            return None
        return episode.start

    def open_value(self, ts: float) -> float | None:
        """What a broken wire reads; None while the wire is whole."""
        episode = self._episodes.active(ts)
        return self._open_value if episode and self._is_open(episode.start) else None

    def _is_open(self, start: float) -> bool:
        return self._noise.uniform(_STREAM_SENSOR_KIND, int(start)) < 0.2
