"""The kinds of simulated equipment, by the code of their device template."""

from __future__ import annotations

from typing import Final

from ..endpoints import Device, EndpointsError
from .base import DEFAULT_SEED, CommandRefusedError, Identity, Model, Point, Severity, Value
from .chiller import Chiller, PlainChiller
from .fridge import VaccineFridge
from .gateways import EnergyMeter, KhompGateway, KhompSensor, TdsGateway
from .inverter import Je02Inverter, ParsecInverter

__all__ = [
    "DEFAULT_SEED",
    "MODELS",
    "POINTS",
    "CommandRefusedError",
    "Identity",
    "Model",
    "Point",
    "Severity",
    "Value",
    "build",
]  # fmt: skip

MODELS: Final[dict[str, type[Model]]] = {
    model.code: model
    for model in (
        Chiller, PlainChiller, VaccineFridge, ParsecInverter, Je02Inverter, TdsGateway,
        EnergyMeter, KhompGateway, KhompSensor,
    )
}  # fmt: skip
"""Every model by its template code."""

POINTS: Final[dict[str, tuple[Point, ...]]] = {c: m.POINTS for c, m in MODELS.items()}
"""Points of each template code as the platform knows them, after the vendor's adapter."""


def build(device: Device, seed: object = DEFAULT_SEED) -> Model:
    """The model of a device, chosen by its template.

    A device that names no template is taken for a plain chiller with the point ``temp``.
    Raises EndpointsError where the template has no model, or a gateway lacks what it needs.
    """
    identity = Identity(seed, device.tenant, device.site, device.name)
    gateway = device.gateway
    match device.template:
        case None | PlainChiller.code:
            return PlainChiller(identity)
        case Chiller.code:
            return Chiller(identity, device.points)
        case VaccineFridge.code:
            return VaccineFridge(identity, device.points)
        case ParsecInverter.code:
            return ParsecInverter(identity)
        case Je02Inverter.code:
            return Je02Inverter(identity)
        case TdsGateway.code:
            if gateway is None or gateway.mac is None or not gateway.children:
                raise EndpointsError(f"{device.thing_name}: a TDS gateway needs mac and children")
            return TdsGateway(identity, gateway.mac, gateway.children)
        case KhompGateway.code:
            if gateway is None or not gateway.children:
                raise EndpointsError(f"{device.thing_name}: a Khomp gateway needs children")
            return KhompGateway(identity, gateway.children, gateway.mac)
        case _:
            raise EndpointsError(
                f"{device.thing_name}: no model for the template {device.template!r}; "
                f"there are {', '.join(sorted(MODELS))}"
            )
