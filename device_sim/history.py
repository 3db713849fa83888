"""Telemetry of the past: the same models that make it live, run over a stretch of time."""

from __future__ import annotations

from collections.abc import Iterator

from traksense.contracts import topics

from .endpoints import Device
from .models import DEFAULT_SEED, Model, build
from .models.gateways import TdsGateway


def telemetry_topic(device: Device, model: Model) -> str:
    """The topic that the device's telemetry goes to."""
    if isinstance(model, TdsGateway):
        return str(topics.gateway_topic(model.mac))
    return device.topic(topics.Channel.TELEM)


def history(
    device: Device, start: float, end: float, step_s: float, *, seed: object = DEFAULT_SEED
) -> Iterator[tuple[float, bytes]]:
    """``(ts, payload)`` of every telemetry message from ``start`` to before ``end``.

    Times are Unix seconds; the messages go to ``telemetry_topic(device, build(device))``. With
    the seed of a live fleet they are what that fleet would have sent. Raises EndpointsError for
    a device that has no model, ValueError for a step that is not positive.
    """
    if step_s <= 0:
        raise ValueError("step_s must be positive")
    model = build(device, seed)
    index = 0
    while (ts := start + index * step_s) < end:
        for payload in model.payloads(ts):
            yield ts, payload
        index += 1
