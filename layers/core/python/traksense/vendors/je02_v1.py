"""JE02 inverters: readings in ``{"DATA":{…}}``, what the device is in ``{"INFO":{…}}``.

``TS`` is in Unix seconds. ``VAR0`` and ``VAR1`` count tenths: of a degree Celsius, of a percent.
A field that is absent gives no reading.
"""

from __future__ import annotations

from typing import Any, Final

from traksense.domain.readings import Decoded
from traksense.domain.reasons import Reason

from . import fields
from .fields import Refused, neighbours_kept

FAULT: Final = "FAULT"
RUN: Final = "RUN"
STOP: Final = "STOP"

_NUMBERS: Final = (
    ("WRSSI", "rssi", "dBm"),
    ("UPTIME", "uptime", "s"),
    ("CNTSERR", "cntserr", None),
)
_TENTHS: Final = (("VAR0", "var0", "°C"), ("VAR1", "var1", "%"))
_DATA_FIELDS: Final = frozenset(
    {"INPUT1", "INPUT2", "RELE", *(row[0] for row in _NUMBERS), *(row[0] for row in _TENTHS)}
)
_INFO_FIELDS: Final = ("FW_VERSION", "HW_VERSION", "DEVICE_ID", "MODEL")


def recognises(document: object) -> bool:
    """Whether a parsed payload has a JE02's envelope."""
    return isinstance(document, dict) and ("DATA" in document or "INFO" in document)


def decode(payload: bytes, received_at_us: int) -> Decoded:  # noqa: ARG001 - an adapter's shape
    """Readings of DATA; of INFO the device's metadata, its fields in lower case.

    Raises Refused where the payload as a whole is of no use.
    """
    document = fields.parse(payload)
    if not recognises(document):
        raise Refused(Reason.BAD_PAYLOAD, "neither DATA nor INFO")
    decoded = Decoded()
    for envelope, take in (("DATA", _take_data), ("INFO", _take_info)):
        if envelope not in document:
            continue
        with neighbours_kept(decoded, None):
            content = document[envelope]
            if not isinstance(content, dict):
                shown = fields.excerpt(content)
                raise Refused(Reason.BAD_PAYLOAD, f"{envelope} is {shown}, not an object")
            take(content, decoded)
    return decoded


def _take_data(data: dict[str, Any], decoded: Decoded) -> None:
    if _DATA_FIELDS.isdisjoint(data):
        raise Refused(Reason.BAD_PAYLOAD, "DATA holds no field that is known")
    ts_us = fields.unix_seconds(data.get("TS"), "TS")
    if "INPUT1" in data or "INPUT2" in data:
        with neighbours_kept(decoded, "status"):
            status = _status(data)
            if status is not None:
                decoded.readings.append(fields.state("status", ts_us, "enum", status))
    for field, point in (("INPUT2", "fault"), ("RELE", "rele")):
        if field in data:
            with neighbours_kept(decoded, point):
                value = fields.digital(data[field], field)
                decoded.readings.append(fields.state(point, ts_us, "bool", value))
    for field, point, unit in _NUMBERS:
        if field in data:
            with neighbours_kept(decoded, point):
                number = fields.number(data[field], field)
                decoded.readings.append(fields.num(point, ts_us, number, unit))
    for field, point, unit in _TENTHS:
        if field in data:
            with neighbours_kept(decoded, point):
                tenth = _tenth(fields.number(data[field], field))
                decoded.readings.append(fields.num(point, ts_us, tenth, unit))


def _status(data: dict[str, Any]) -> str | None:
    """FAULT over RUN over STOP; None where only a silent INPUT2 is there to tell from."""
    if "INPUT2" in data and fields.digital(data["INPUT2"], "INPUT2"):
        return FAULT
    if "INPUT1" not in data:
        return None
    return RUN if fields.digital(data["INPUT1"], "INPUT1") else STOP


def _tenth(value: float) -> float:
    """A tenth of the decimal number that was sent, rounded once: 235 is 23.5."""
    return float(fields.exactly(value) / 10)


def _take_info(info: dict[str, Any], decoded: Decoded) -> None:
    if not any(field in info for field in _INFO_FIELDS):
        raise Refused(Reason.BAD_PAYLOAD, "INFO holds no field that is known")
    for field in _INFO_FIELDS:
        if field in info:
            with neighbours_kept(decoded, field.lower()):
                decoded.metadata[field.lower()] = fields.text(info[field], field)
