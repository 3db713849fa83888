"""The platform's own payload, ``{"schema":"v1","points":[…]}``: the hot path of ingestion.

Almost every message is good, so a whole message is first decoded by compiled code into typed
structs. Only where that fails, or meets something that needs a closer look, is it taken apart
point by point, so that each bad point gets a reason of its own and its neighbours are kept. The
plainest messages, one object whose points share its ``ts``, need not even be made into readings:
see ``snapshot``. All ways give the same for a good message: the tests hold them to it. Only numbers
have units: the ``u`` of another type is read over, and an empty one names none.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from traksense.domain.readings import (
    MAX_TEXT_CHARS,
    POINT_TYPES,
    PYTHON_TYPES,
    Decoded,
    Reading,
    Rejection,
    Snapshot,
    Value,
    to_microseconds,
)
from traksense.domain.reasons import Reason

from . import fields
from .fields import Refused, neighbours_kept

SCHEMA: Final = "v1"
MAX_META_DEPTH: Final = 8

_Aware = Annotated[datetime, Meta(tz=True)]


class _Point(msgspec.Struct, gc=False):
    name: Annotated[str, Meta(min_length=1, max_length=fields.MAX_NAME_CHARS)]
    v: float | bool | Annotated[str, Meta(max_length=MAX_TEXT_CHARS)]
    t: Literal["float", "num", "bool", "enum", "text"] = "float"
    u: Annotated[str, Meta(max_length=fields.MAX_UNIT_CHARS)] | None = None
    ts: _Aware | None = None


class _Message(msgspec.Struct):
    schema: Literal["v1"]
    points: list[_Point]
    ts: _Aware | None = None
    meta: dict[str, Any] | None = None


class _SnapshotPoint(
    msgspec.Struct,
    gc=False,
    rename={"point": "name", "value": "v", "declared": "t", "unit": "u"},
):
    point: Annotated[str, Meta(min_length=1, max_length=fields.MAX_NAME_CHARS)]
    value: float | bool | Annotated[str, Meta(max_length=MAX_TEXT_CHARS)]
    declared: Literal["float", "num", "bool", "enum", "text"] = "float"
    unit: Annotated[str, Meta(max_length=fields.MAX_UNIT_CHARS)] | None = None
    ts: None = None


class _Snapshot(msgspec.Struct):
    schema: Literal["v1"]
    points: list[_SnapshotPoint]
    ts: _Aware
    meta: dict[str, Any] | None = None


_DECODER: Final = msgspec.json.Decoder(_Message | list[_Message])
_decode_snapshot: Final = msgspec.json.Decoder(_Snapshot).decode
_NUL_ESCAPE: Final = b"\\u0000"


def recognises(document: object) -> bool:
    """Whether a parsed payload looks like ours, whatever its version."""
    if isinstance(document, list):
        return any(recognises(entry) for entry in document if isinstance(entry, dict))
    return isinstance(document, dict) and ("schema" in document or "points" in document)


def is_v1(document: object) -> bool:
    """Whether a parsed payload, or an object of an array, says ``"schema":"v1"``."""
    if isinstance(document, list):
        return any(is_v1(entry) for entry in document if isinstance(entry, dict))
    return isinstance(document, dict) and document.get("schema") == SCHEMA


def snapshot(payload: bytes) -> Snapshot | None:
    """A message in its plainest form; None where it is not, or needs a closer look."""
    if b"\\" in payload and _NUL_ESCAPE in payload:  # the first is quick, and rarely so
        return None
    try:
        message = _decode_snapshot(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if message.meta and not _is_plain(message.meta):
        return None
    ts_us = to_microseconds(message.ts)
    if not fields.FIRST_INSTANT_US <= ts_us <= fields.LAST_INSTANT_US:
        return None
    return Snapshot(ts_us, message.points, message.meta or {})


def decode(payload: bytes, received_at_us: int) -> Decoded:  # noqa: ARG001 - an adapter's shape
    """Readings of one object or of an array of objects.

    Raises Refused where the payload is no JSON. Meta of several objects is merged, the last wins.
    """
    whole = decode_whole(payload)
    return decode_document(fields.parse(payload)) if whole is None else whole


def decode_whole(payload: bytes) -> Decoded | None:
    """The fast way: all of it, or None where anything needs a closer look."""
    if _NUL_ESCAPE in payload:
        return None
    try:
        messages = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    decoded = Decoded()
    if type(messages) is _Message:
        return decoded if _take_whole(messages, decoded) else None
    if not messages:
        return None
    for message in messages:
        if not _take_whole(message, decoded):
            return None
    return decoded


def _take_whole(message: _Message, decoded: Decoded) -> bool:
    common = None
    if message.ts is not None:
        common = to_microseconds(message.ts)
        if not fields.FIRST_INSTANT_US <= common <= fields.LAST_INSTANT_US:
            return False
    if message.meta:
        if not _is_plain(message.meta):
            return False
        decoded.meta.update(message.meta)
    add = decoded.readings.append
    for point in message.points:
        if point.ts is None:
            if common is None:
                return False
            ts_us = common
        else:
            ts_us = to_microseconds(point.ts)
            if not fields.FIRST_INSTANT_US <= ts_us <= fields.LAST_INSTANT_US:
                return False
        value, kind = point.v, POINT_TYPES[point.t]
        if type(value) is not PYTHON_TYPES[kind]:
            return False
        unit = (point.u or None) if kind == "num" else None
        add(Reading(point.name, ts_us, kind, value, unit))
    return True


def _is_plain(meta: dict[str, Any]) -> bool:
    """Whether meta holds only strings, doubles, booleans and nulls: the usual case."""
    for value in meta.values():
        if value is not None and type(value) is not str and type(value) is not bool:
            return False
    return True


def decode_document(document: object) -> Decoded:
    """The careful way: point by point, over a parsed payload."""
    decoded = Decoded()
    if isinstance(document, list):
        if not document:
            return fields.refusal(Reason.BAD_PAYLOAD, "an empty array")
        for position, entry in enumerate(document):
            _take_object(entry, decoded, f"[{position}].")
    else:
        _take_object(document, decoded, "")
    return decoded


def _take_object(document: object, decoded: Decoded, where: str) -> None:
    """Add what one object holds. ``where`` says which object of an array it is."""
    with neighbours_kept(decoded, None):
        if not isinstance(document, dict):
            raise Refused(Reason.BAD_PAYLOAD, f"{where or 'payload'} is {fields.excerpt(document)}")
        if document.get("schema") != SCHEMA:
            shown = fields.excerpt(document.get("schema"))
            raise Refused(Reason.BAD_PAYLOAD, f'{where}schema is {shown}, not "{SCHEMA}"')
        points = document.get("points")
        if not isinstance(points, list):
            shown = fields.excerpt(points)
            raise Refused(Reason.BAD_PAYLOAD, f"{where}points is {shown}, not an array")
        with neighbours_kept(decoded, None):
            decoded.meta.update(_meta(document.get("meta"), f"{where}meta"))
        common, ts_is_bad = None, False
        if document.get("ts") is not None:
            try:
                common = fields.instant(document["ts"], f"{where}ts")
            except Refused as error:
                decoded.rejections.append(Rejection(error.reason, error.detail))
                ts_is_bad = True
        for position, point in enumerate(points):
            place = f"{where}points[{position}]"
            if ts_is_bad and not (isinstance(point, dict) and point.get("ts") is not None):
                continue  # lost with the message's ts, which has been reported once
            named = point.get("name") if isinstance(point, dict) else None
            with neighbours_kept(decoded, fields.label(named, otherwise=place)):
                decoded.readings.append(_reading(point, common))


def _reading(point: object, common_ts_us: int | None) -> Reading:
    if not isinstance(point, dict):
        raise Refused(Reason.BAD_PAYLOAD, f"a point is {fields.excerpt(point)}, not an object")
    point_name = fields.name(point.get("name"))
    declared = point.get("t", "float")
    kind = POINT_TYPES.get(declared) if isinstance(declared, str) else None
    if kind is None:
        shown = fields.excerpt(declared)
        raise Refused(Reason.WRONG_TYPE, f"t is {shown}, not one of {', '.join(POINT_TYPES)}")
    if "v" not in point:
        raise Refused(Reason.BAD_PAYLOAD, "no v")
    value: Value
    if kind == "num":
        value = fields.number(point["v"])
    elif kind == "bool":
        value = fields.boolean(point["v"])
    else:
        value = fields.text(point["v"])
    unit = fields.unit(point.get("u"))
    if point.get("ts") is not None:
        ts_us = fields.instant(point["ts"])
    elif common_ts_us is not None:
        ts_us = common_ts_us
    else:
        raise Refused(Reason.BAD_TIMESTAMP, "neither the point nor its message has a ts")
    return Reading(point_name, ts_us, kind, value, unit if kind == "num" else None)


def _meta(meta: object, what: str) -> dict[str, Any]:
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        shown = fields.excerpt(meta)
        raise Refused(Reason.BAD_PAYLOAD, f"{what} is {shown}, not an object")
    _check_storable(meta, what, MAX_META_DEPTH)
    return meta


def _check_storable(value: object, what: str, depth: int) -> None:
    """Raise Refused where a value within meta cannot be kept as JSON in the database."""
    if isinstance(value, str):
        if not fields.storable(value):
            raise Refused(Reason.BAD_TEXT, f"{what} holds a NUL or half a surrogate pair")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Refused(Reason.NOT_FINITE, f"{what} holds a number that is not finite")
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise Refused(Reason.BAD_PAYLOAD, f"{what} holds an integer of more than 64 bits")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise Refused(
                Reason.BAD_PAYLOAD, f"{what} is nested deeper than {MAX_META_DEPTH} levels"
            )
        for key in value if isinstance(value, dict) else ():
            _check_storable(key, what, 0)
        for entry in value.values() if isinstance(value, dict) else value:
            _check_storable(entry, what, depth - 1)
