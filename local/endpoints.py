"""``endpoints.json``: what a client needs to know to use a local platform."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import StartupError
from .home import write_json


@dataclass(frozen=True, slots=True)
class MqttEndpoint:
    """The devices' listener. ``ca`` is the path of the certificate that signed the server's."""

    host: str
    port: int
    ca: str


@dataclass(frozen=True, slots=True)
class UserEndpoint:
    """A demo user. ``tenant`` is a slug, None for ``internal_ops``."""

    email: str
    password: str
    role: str
    tenant: str | None


@dataclass(frozen=True, slots=True)
class GatewayEndpoint:
    """What a gateway speaks for: its MAC address, and the codes of the devices behind it."""

    mac: str | None
    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceEndpoint:
    """A demo device and its identity. ``cert`` and ``key`` are paths."""

    tenant: str
    site: str
    name: str
    cert: str
    key: str
    simulated: bool
    """Whether the demo's own simulator plays it."""
    template: str | None = None
    """Code of its device template."""
    gateway: GatewayEndpoint | None = None
    """None for a device with nothing behind it."""
    points: tuple[str, ...] | None = None
    """Names of its own points."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Everything in the file. Paths are absolute."""

    api_url: str
    mqtt: MqttEndpoint
    database_url: str
    users: tuple[UserEndpoint, ...]
    devices: tuple[DeviceEndpoint, ...]
    mailbox_url: str | None = None

    def write(self, path: Path) -> None:
        """Replace the file in one step, readable by its owner only."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Endpoints:
        """Read the file. Raises StartupError where it is missing or is none of ours."""
        try:
            found: Any = json.loads(path.read_bytes())
            return cls(
                api_url=found["api_url"],
                mqtt=MqttEndpoint(**found["mqtt"]),
                database_url=found["database_url"],
                users=tuple(UserEndpoint(**user) for user in found["users"]),
                devices=tuple(_device(device) for device in found["devices"]),
                mailbox_url=found.get("mailbox_url"),
            )
        except FileNotFoundError:
            raise StartupError(f"{path} is not there: start the platform with make run") from None
        except (ValueError, KeyError, TypeError) as error:
            raise StartupError(f"{path} is damaged ({error}): start the platform again") from error


def _device(found: dict[str, Any]) -> DeviceEndpoint:
    gateway = found.get("gateway")
    if gateway is not None:
        gateway = GatewayEndpoint(gateway["mac"], tuple(gateway["children"]))
    points = found.get("points")
    own = {"gateway": gateway, "points": None if points is None else tuple(points)}
    return DeviceEndpoint(**{**found, **own})
