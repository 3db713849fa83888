"""TDS gateways, known by MAC address: one message carries the meters behind the gateway.

``{"gateway":"aa:bb:cc:dd:ee:ff","timestamp":"…Z","leituras":[{"dispositivo":"D01",
"valor":"123.450","unidade":"kWh"}]}``, each name in Portuguese or English, and values as decimal
strings or as numbers. The unit may be absent, and an entry may carry a time of its own.
"""

from __future__ import annotations

import re
from typing import Any, Final

from traksense.contracts.topics import TopicError, normalise_mac
from traksense.domain.readings import Decoded, Reading
from traksense.domain.reasons import Reason

from . import fields
from .fields import Refused, neighbours_kept

POINT: Final = "value"
"""The one point of a meter behind the gateway."""

_LIST: Final = ("leituras", "readings")
_CODE: Final = ("dispositivo", "device")
_VALUE: Final = ("valor", "value")
_UNIT: Final = ("unidade", "unit")
_TIME: Final = ("timestamp", "time")

_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST_DECIMAL: Final = 128
_ABSENT: Final = object()


def recognises(document: object) -> bool:
    """Whether a parsed payload has a TDS gateway's list of readings."""
    return isinstance(document, dict) and any(field in document for field in _LIST)


def decode(payload: bytes, received_at_us: int) -> Decoded:  # noqa: ARG001 - an adapter's shape
    """The ``value`` point of each device code, and the MAC address that the payload claims.

    Raises Refused where the payload as a whole is of no use.
    """
    document = fields.parse(payload)
    if not isinstance(document, dict):
        raise Refused(Reason.BAD_PAYLOAD, f"payload is {fields.excerpt(document)}, not an object")
    entries = _first(document, _LIST)
    if not isinstance(entries, list):
        raise Refused(Reason.BAD_PAYLOAD, f"no array {' or '.join(_LIST)}")
    decoded = Decoded(mac=_mac(document.get("gateway")))
    stamp, common = _first(document, _TIME), None
    stamp_is_bad = stamp not in (_ABSENT, None)
    if stamp_is_bad:
        with neighbours_kept(decoded, None):
            common, stamp_is_bad = _instant(stamp), False
    for position, entry in enumerate(entries):
        if stamp_is_bad and not (isinstance(entry, dict) and _has_time(entry)):
            continue  # lost with the message's timestamp, which has been reported once
        place = f"{_LIST[0]}[{position}]"
        code = _first(entry, _CODE) if isinstance(entry, dict) else None
        with neighbours_kept(decoded, _label(code, place)):
            decoded.readings.append(_reading(entry, common))
    return decoded


def _first(document: dict[str, Any], names: tuple[str, ...]) -> Any:
    for field in names:
        if field in document:
            return document[field]
    return _ABSENT


def _has_time(entry: dict[str, Any]) -> bool:
    return _first(entry, _TIME) not in (_ABSENT, None)


def _label(code: object, place: str) -> str:
    if type(code) is int:
        code = str(code)
    return fields.label(POINT, child=code) if isinstance(code, str) and code else place


def _mac(claimed: object) -> str | None:
    if claimed is None:
        return None
    try:
        return normalise_mac(fields.text(claimed, "gateway"))
    except (TopicError, Refused) as error:
        shown = fields.excerpt(claimed)
        raise Refused(Reason.MAC_MISMATCH, f"gateway is {shown}, not a MAC address") from error


def _instant(stamp: object) -> int:
    """A time as RFC 3339 with an offset, or in Unix seconds."""
    if isinstance(stamp, str):
        return fields.instant(stamp, "timestamp")
    return fields.unix_seconds(stamp, "timestamp")


def _reading(entry: object, common_ts_us: int | None) -> Reading:
    if not isinstance(entry, dict):
        raise Refused(Reason.BAD_PAYLOAD, f"a reading is {fields.excerpt(entry)}, not an object")
    code = _code(_first(entry, _CODE))
    value = _value(_first(entry, _VALUE))
    unit = _first(entry, _UNIT)
    unit = None if unit is _ABSENT else fields.unit(unit, _UNIT[0])
    if _has_time(entry):
        ts_us = _instant(_first(entry, _TIME))
    elif common_ts_us is not None:
        ts_us = common_ts_us
    else:
        raise Refused(Reason.BAD_TIMESTAMP, "neither the reading nor its message has a timestamp")
    return Reading(POINT, ts_us, "num", value, unit, code)


def _code(code: object) -> str:
    if code is _ABSENT:
        raise Refused(Reason.BAD_PAYLOAD, f"no {' or '.join(_CODE)}")
    return fields.name(str(code) if type(code) is int else code, _CODE[0])


def _value(value: object) -> float:
    """The float nearest to the digits that were sent; only plain or scientific notation."""
    if value is _ABSENT:
        raise Refused(Reason.BAD_PAYLOAD, f"no {' or '.join(_VALUE)}")
    if not isinstance(value, str):
        return fields.number(value, _VALUE[0])
    if len(value) > _LONGEST_DECIMAL or not _DECIMAL.fullmatch(value):
        shown = fields.excerpt(value)
        raise Refused(Reason.WRONG_TYPE, f"{_VALUE[0]} is {shown}, not a decimal number")
    return fields.number(float(value), _VALUE[0])
