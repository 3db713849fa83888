"""Reads ``endpoints.json``: where the broker is, and the devices with their certificates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traksense.contracts import topics


class EndpointsError(ValueError):
    """The file, or what was asked of it, does not do; the message says what and where."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """What a gateway speaks for."""

    mac: str | None
    """MAC address, lower case with colons; None where the gateway has none of interest."""
    children: tuple[str, ...]
    """Codes of its child devices (meters, or EUIs of sensors)."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device that can connect."""

    tenant: str
    site: str
    name: str
    cert: Path | None
    """Path of the client certificate; None for a device that has no connection of its own."""
    key: Path | None
    simulated: bool = True
    template: str | None = None
    """Code of its device template, which chooses the model."""
    gateway: Gateway | None = None
    points: frozenset[str] | None = None
    """Names of the points that it may report; None when the file does not say."""

    @property
    def thing_name(self) -> str:
        """Thing name, certificate CN and client ID."""
        return topics.thing_name(self.tenant, self.name)

    @property
    def connects(self) -> bool:
        """Whether it has a certificate to connect with."""
        return self.cert is not None and self.key is not None

    def topic(self, channel: topics.Channel) -> str:
        """Its topic for one channel."""
        return str(topics.device_topic(self.tenant, self.site, self.name, channel))


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The broker and the devices of one platform."""

    host: str
    port: int
    ca: Path
    devices: tuple[Device, ...]

    def fleet(self, count: int | None = None) -> tuple[Device, ...]:
        """The first ``count`` simulated devices, all of them by default.

        Raises EndpointsError when there are fewer.
        """
        simulated = tuple(d for d in self.devices if d.simulated and d.connects)
        if count is None:
            count = len(simulated)
        if not simulated:
            raise EndpointsError("the endpoints file has no simulated device")
        if count > len(simulated):
            raise EndpointsError(
                f"{count} devices were asked for, the endpoints file has {len(simulated)} "
                "simulated ones"
            )
        return simulated[:count]

    def idle_device(self) -> Device:
        """The first device that no simulator uses. Raises EndpointsError when there is none."""
        for device in self.devices:
            if not device.simulated and device.connects:
                return device
        raise EndpointsError(
            "the endpoints file has no idle device; choose one with --device TENANT/NAME"
        )

    def find(self, reference: str) -> Device:
        """The device called ``TENANT/NAME``. Raises EndpointsError when there is none."""
        tenant, _, name = reference.partition("/")
        for device in self.devices:
            if (device.tenant, device.name) == (tenant, name):
                if not device.connects:
                    raise EndpointsError(
                        f"{reference} has no certificate: it is behind a gateway, "
                        "or not provisioned"
                    )
                return device
        known = ", ".join(f"{d.tenant}/{d.name}" for d in self.devices if d.connects)
        raise EndpointsError(f"no device {reference!r}; there are: {known or 'none'}")


def load(path: Path) -> Endpoints:
    """Read the file. Raises EndpointsError, naming the file and the field at fault."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise EndpointsError(f"{path} does not exist; start the platform first") from None
    except OSError as error:
        raise EndpointsError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise EndpointsError(f"{path} is no JSON: {error}") from error
    try:
        return parse(document)
    except EndpointsError as error:
        raise EndpointsError(f"{path}: {error}") from error


def parse(document: object) -> Endpoints:
    """Endpoints from the decoded JSON. Raises EndpointsError, naming the field at fault."""
    root = _object(document, "the document")
    mqtt = _object(root.get("mqtt"), "mqtt")
    port = mqtt.get("port")
    if not isinstance(port, int) or not 0 < port < 65536:
        raise EndpointsError("mqtt.port is no port number")
    devices = root.get("devices")
    if not isinstance(devices, list):
        raise EndpointsError("devices is no list")
    return Endpoints(
        host=_text(mqtt, "host", "mqtt"),
        port=port,
        ca=Path(_text(mqtt, "ca", "mqtt")),
        devices=tuple(_device(entry, f"devices[{i}]") for i, entry in enumerate(devices)),
    )


def _device(entry: object, where: str) -> Device:
    fields = _object(entry, where)
    gateway = fields.get("gateway")
    points = fields.get("points")
    device = Device(
        tenant=_text(fields, "tenant", where),
        site=_text(fields, "site", where),
        name=_text(fields, "name", where),
        cert=_path(fields, "cert", where),
        key=_path(fields, "key", where),
        simulated=bool(fields.get("simulated", True)),
        template=_optional_text(fields, "template", where),
        gateway=None if gateway is None else _gateway(gateway, f"{where}.gateway"),
        points=None if points is None else frozenset(_texts(points, f"{where}.points")),
    )
    try:
        device.topic(topics.Channel.TELEM)
    except topics.TopicError as error:
        raise EndpointsError(f"{where}: {error}") from error
    return device


def _gateway(entry: object, where: str) -> Gateway:
    fields = _object(entry, where)
    mac = _optional_text(fields, "mac", where)
    try:
        return Gateway(
            mac=None if mac is None else topics.normalise_mac(mac),
            children=_texts(fields.get("children", []), f"{where}.children"),
        )
    except topics.TopicError as error:
        raise EndpointsError(f"{where}.mac: {error}") from error


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise EndpointsError(f"{where} is no object")
    return value


def _text(fields: Mapping[str, Any], name: str, where: str) -> str:
    value = _optional_text(fields, name, where)
    if not value:
        raise EndpointsError(f"{where}.{name} is missing")
    return value


def _optional_text(fields: Mapping[str, Any], name: str, where: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise EndpointsError(f"{where}.{name} is no text")
    return value


def _path(fields: Mapping[str, Any], name: str, where: str) -> Path | None:
    value = _optional_text(fields, name, where)
    return Path(value) if value else None


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise EndpointsError(f"{where} is no list of texts")
    return tuple(value)
