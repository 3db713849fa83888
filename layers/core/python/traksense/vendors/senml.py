"""SenML packs (RFC 8428), as Khomp's LoRaWAN gateways send them.

Every record is resolved as section 4 says: base fields hold from their record on until the next
record that has the same one, and times below 2**28 s count from the arrival of the message.

What RFC 8428 leaves to the application:

- ``bn`` is the code of the gateway's child device, and ``n`` the point; a record without ``n``
  is the point ``value``. The alias is the point's name with its unit's suffix (``A_celsius``).
- A sum (``s``) is the point ``<n>_sum``, in the record's unit times seconds (W gives J).
- The texts ``model``, ``gateway`` and ``version`` describe the device and are no readings.
- Binary values (``vd``) have no type of point and are refused, their neighbours kept.
- Update times (``ut``) are read over, as are fields that nobody defined.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from traksense.domain.readings import Decoded, Reading
from traksense.domain.reasons import Reason

from . import fields
from .fields import Refused, neighbours_kept
from .senml_units import SenmlUnit, integral_of, named

VERSION: Final = 10
"""The version of RFC 8428; a pack of a later one must not be used (section 4.4)."""
ABSOLUTE_FROM_S: Final = 2**28
"""Seconds from which a time counts from the Unix epoch, and no longer from now (4.5.3)."""
NAMELESS_POINT: Final = "value"
METADATA_NAMES: Final = frozenset({"model", "gateway", "version"})

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_-]*")
_VALUE_LABELS: Final = ("v", "vs", "vb", "vd")
_REGULAR_LABELS: Final = frozenset({"n", "u", *_VALUE_LABELS, "s", "t", "ut"})
_TELLING_LABELS: Final = frozenset({"bn", "n", *_VALUE_LABELS, "s"})


def recognises(document: object) -> bool:
    """Whether a parsed payload is an array with a SenML record in it."""
    return isinstance(document, list) and any(
        isinstance(record, dict) and not _TELLING_LABELS.isdisjoint(record) for record in document
    )


def decode(payload: bytes, received_at_us: int) -> Decoded:
    """Readings of a pack, by child device, and the metadata of the devices in it.

    Raises Refused where the pack as a whole must not be used.
    """
    pack = fields.parse(payload)
    if not isinstance(pack, list) or not pack:
        raise Refused(Reason.BAD_PAYLOAD, "a SenML pack is an array of at least one record")
    _check_pack(pack)
    decoded = Decoded()
    described: dict[str | None, dict[str, Any]] = {}
    base = _Base()
    for position, record in enumerate(pack):
        if not isinstance(record, dict):
            with neighbours_kept(decoded, f"[{position}]"):
                raise Refused(
                    Reason.BAD_PAYLOAD, f"a record is {fields.excerpt(record)}, not an object"
                )
            continue
        base.carry(record)
        if not _REGULAR_LABELS.isdisjoint(record):
            _take_record(record, base, received_at_us, decoded, described, f"[{position}]")
    for child, metadata in described.items():
        if decoded.metadata:
            decoded.more_metadata.append((child, metadata))
        else:
            decoded.metadata_child, decoded.metadata = child, metadata
    return decoded


def _check_pack(pack: list[Any]) -> None:
    versions = set()
    for record in pack:
        if not isinstance(record, dict):
            continue
        for label in record:
            if label.endswith("_"):
                raise Refused(
                    Reason.BAD_PAYLOAD,
                    f"field {fields.excerpt(label)} must be understood, but is not",
                )
        if "bver" in record:
            version = record["bver"]
            if type(version) is not int or version < 1:
                shown = fields.excerpt(version)
                raise Refused(Reason.BAD_PAYLOAD, f"bver is {shown}, not a positive integer")
            if version > VERSION:
                shown = fields.excerpt(version)
                raise Refused(Reason.BAD_PAYLOAD, f"bver is {shown}, newer than {VERSION}")
            versions.add(version)
    if len(versions) > 1:
        raise Refused(Reason.BAD_PAYLOAD, "records of different versions (bver) in one pack")


class _Base:
    """The base fields in force. One that cannot be read spoils only the records that need it."""

    __slots__ = ("_faults", "_values")

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._faults: dict[str, Refused] = {}

    def carry(self, record: dict[str, Any]) -> None:
        """Take over the base fields of a record."""
        for label, check in _BASE_CHECKS.items():
            if label not in record:
                continue
            self._values.pop(label, None)
            self._faults.pop(label, None)
            try:
                self._values[label] = check(record[label], label)
            except Refused as error:
                self._faults[label] = error

    def get(self, label: str, default: Any = None) -> Any:
        """The value in force. Raises Refused where the field in force cannot be read."""
        fault = self._faults.get(label)
        if fault is not None:
            raise Refused(fault.reason, fault.detail)
        return self._values.get(label, default)

    def readable(self, label: str) -> bool:
        """Whether ``get`` gives a value rather than a refusal."""
        return label not in self._faults

    def has(self, label: str) -> bool:
        """Whether the field is in force, readable or not."""
        return label in self._values or label in self._faults


class _Where:
    """Which point a record is of, when, and in which unit."""

    __slots__ = ("child", "point", "ts_us", "unit")

    def __init__(self, point: str, child: str | None, ts_us: int, unit: SenmlUnit | None) -> None:
        self.point = point
        self.child = child
        self.ts_us = ts_us
        self.unit = unit

    def num(self, point: str, value: float, unit: SenmlUnit | None) -> Reading:
        """A ``num`` reading of ``point``, with the alias that names its unit."""
        symbol = unit.symbol if unit else None
        alias = f"{point}_{unit.suffix}" if unit and unit.suffix else None
        return Reading(fields.name(point, "n"), self.ts_us, "num", value, symbol, self.child, alias)


def _string(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise Refused(Reason.BAD_PAYLOAD, f"{what} is {fields.excerpt(value)}, not a string")
    return value


_BASE_CHECKS: Final[dict[str, Callable[[object, str], Any]]] = {
    "bn": _string,
    "bt": fields.seconds,
    "bu": fields.unit,
    "bv": fields.number,
    "bs": fields.number,
}


def _take_record(
    record: dict[str, Any],
    base: _Base,
    received_at_us: int,
    decoded: Decoded,
    described: dict[str | None, dict[str, Any]],
    place: str,
) -> None:
    own = record.get("n")
    known_child = base.get("bn") if base.readable("bn") else None
    shown = fields.label(own, known_child, NAMELESS_POINT if own in (None, "") else place)
    with neighbours_kept(decoded, shown):
        point, child = _names(record, base)
        labels = [label for label in _VALUE_LABELS if label in record]
        if len(labels) > 1:
            raise Refused(Reason.BAD_PAYLOAD, f"more than one value: {', '.join(labels)}")
        label = labels[0] if labels else None
        if label == "vs" and point in METADATA_NAMES:
            described.setdefault(child, {})[point] = fields.text(record["vs"], "vs")
            return
        has_sum = "s" in record or (base.has("bs") and label in ("v", None))
        if label is None and not has_sum and not base.has("bv"):
            raise Refused(Reason.BAD_PAYLOAD, "neither a value nor a sum")
        unit = _unit(record, base) if has_sum or label in ("v", None) else None
        where = _Where(point, child, _time(record, base, received_at_us), unit)
        if label is not None or not has_sum:
            with neighbours_kept(decoded, shown):
                decoded.readings.append(_value(record, base, label, where))
        if has_sum:
            with neighbours_kept(decoded, f"{shown}_sum"):
                total = _total(record.get("s", 0.0), base.get("bs", 0.0), "s")
                decoded.readings.append(where.num(f"{point}_sum", total, integral_of(unit)))


def _names(record: dict[str, Any], base: _Base) -> tuple[str, str | None]:
    """Point and child device. Checks the concatenated name as section 4.5.1 demands."""
    own = _string(record.get("n", ""), "n")
    prefix = base.get("bn", "")
    if not _NAME.fullmatch(prefix + own):
        shown = fields.excerpt(prefix + own)
        raise Refused(Reason.BAD_PAYLOAD, f"name is {shown}, which RFC 8428 does not allow")
    return fields.name(own or NAMELESS_POINT, "n"), prefix or None


def _time(record: dict[str, Any], base: _Base, received_at_us: int) -> int:
    own = fields.seconds(record.get("t", 0.0), "t")
    total = fields.exactly(base.get("bt", 0.0)) + fields.exactly(own)
    ts_us = round(total * 1_000_000)
    return fields.in_range(ts_us if total >= ABSOLUTE_FROM_S else received_at_us + ts_us, "time")


def _unit(record: dict[str, Any], base: _Base) -> SenmlUnit | None:
    symbol = fields.unit(record["u"]) if "u" in record else base.get("bu")
    return named(symbol) if symbol else None


def _value(record: dict[str, Any], base: _Base, label: str | None, where: _Where) -> Reading:
    if label == "vs":
        value = fields.text(record["vs"], "vs")
        return Reading(where.point, where.ts_us, "text", value, None, where.child)
    if label == "vb":
        state = fields.boolean(record["vb"], "vb")
        return Reading(where.point, where.ts_us, "bool", state, None, where.child)
    if label == "vd":
        raise Refused(Reason.WRONG_TYPE, "vd is binary data, which no point takes")
    total = _total(record.get("v", 0.0), base.get("bv", 0.0), "v")
    return where.num(where.point, total, where.unit)


def _total(own: object, base: float, label: str) -> float:
    """Base value plus value, as the decimal numbers that were written, rounded once."""
    number = fields.number(own, label)
    if not base:
        return number
    try:
        return float(fields.exactly(base) + fields.exactly(number))
    except OverflowError as error:
        raise Refused(Reason.NOT_FINITE, f"b{label} + {label} is too large") from error
