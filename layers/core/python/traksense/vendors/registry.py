"""The adapters by name, and the one call that turns a payload into readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from traksense.domain.readings import MAX_PAYLOAD_BYTES, Decoded, Rejection, Snapshot
from traksense.domain.reasons import Reason

from . import fields, je02_v1, normalised, parsec_v1, senml, tds_v1
from .fields import Refused


@dataclass(frozen=True, slots=True)
class Adapter:
    """How one vendor's payloads are told from others, and read."""

    recognises: Callable[[object], bool]
    """Of a parsed payload; asked where the device's template names no adapter."""
    decode: Callable[[bytes, int], Decoded]
    """Of the raw payload and the microsecond it arrived; may raise Refused for the whole."""


ADAPTERS: Final[Mapping[str, Adapter]] = MappingProxyType(
    {
        "normalised": Adapter(normalised.recognises, normalised.decode),
        "parsec_v1": Adapter(parsec_v1.recognises, parsec_v1.decode),
        "je02_v1": Adapter(je02_v1.recognises, je02_v1.decode),
        "tds_v1": Adapter(tds_v1.recognises, tds_v1.decode),
        "senml": Adapter(senml.recognises, senml.decode),
    }
)
"""Every adapter; where none is named, the first that recognises the payload reads it."""


def decode(
    payload: bytes,
    adapter: str | None,
    received_at_us: int,
    adapters: Mapping[str, Adapter] = ADAPTERS,
) -> Decoded:
    """Readings of one message, and a typed reason for each thing in it that cannot be accepted.

    ``adapter`` is the one that the device's template names (``tds_v1`` on a TDS topic), None where
    it names none; ``received_at_us`` is in microseconds since the Unix epoch. Never raises,
    whatever the bytes are.
    """
    try:
        return _decode(payload, adapter, received_at_us, adapters)
    except Refused as refused:
        return Decoded(rejections=[Rejection(refused.reason, refused.detail)])
    except Exception as error:  # noqa: BLE001 - nothing a device sends may stop its batch
        fault = f"{adapter or 'no adapter'} failed with {type(error).__name__}"
        return Decoded(rejections=[Rejection(Reason.ADAPTER_ERROR, fault)])


def snapshot(payload: bytes) -> Snapshot | None:
    """A message of the platform's own in its plainest form, which most are; None where it is not.

    It says nothing that ``decode`` would not say, only sooner. Never raises.
    """
    if len(payload) > MAX_PAYLOAD_BYTES or b"schema" not in payload:
        return None
    return normalised.snapshot(payload)


def _decode(
    payload: bytes, name: str | None, received_at_us: int, adapters: Mapping[str, Adapter]
) -> Decoded:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Refused(Reason.TOO_LARGE, f"{len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}")
    may_be_v1 = b"schema" in payload or b"\\u" in payload
    if may_be_v1:
        whole = normalised.decode_whole(payload)
        if whole is not None:
            return whole
    if not payload.strip():
        raise Refused(Reason.BAD_PAYLOAD, "an empty payload")
    adapter = adapters.get(name) if name is not None else None
    if adapter is not None and not may_be_v1:
        return adapter.decode(payload, received_at_us)
    document = _document(payload, required=adapter is None)
    if normalised.is_v1(document):
        return normalised.decode_document(document)
    if name is None:
        adapter = next((one for one in adapters.values() if one.recognises(document)), None)
        if adapter is None:
            raise Refused(Reason.BAD_PAYLOAD, "not the payload of any known vendor")
    if adapter is None:
        raise Refused(Reason.ADAPTER_ERROR, f"no adapter is called {fields.excerpt(name)}")
    return adapter.decode(payload, received_at_us)


def _document(payload: bytes, *, required: bool) -> Any:
    """The parsed payload; None where it is no JSON and its adapter may know better."""
    try:
        return fields.parse(payload)
    except Refused:
        if required:
            raise
        return None
