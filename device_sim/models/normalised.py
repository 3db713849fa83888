"""Normalised ``v1`` telemetry: a message's text is made once, and only values are filled in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from .base import Point, Value

SCHEMA: Final = "v1"
_TYPES: Final = {"num": "float", "bool": "bool", "enum": "enum", "text": "text"}


def rfc3339(ts: float) -> str:
    """``2025-10-07T02:34:12Z``, with milliseconds where ``ts`` (Unix seconds) has a fraction."""
    text = datetime.fromtimestamp(round(ts, 3), UTC).isoformat()
    return (text[:23] if len(text) > 25 else text[:19]) + "Z"


def rfc3339_micros(ts_us: int) -> str:
    """The same of whole microseconds, exactly."""
    seconds, micros = divmod(ts_us, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
    return f"{text}.{micros:06d}Z" if micros else f"{text}Z"


class Telemetry:
    """Writes the telemetry messages of one device."""

    __slots__ = ("_fields", "_template")

    def __init__(self, points: Iterable[Point], source: str) -> None:
        kept = tuple(points)
        self._fields = tuple((point.name, point.type == "num") for point in kept)
        objects = ",".join(
            f'{{"name":{_literal(point.name)},"t":"{_TYPES[point.type]}","v":%s'
            + (f',"u":{_literal(point.unit)}' if point.unit else "")
            + "}"
            for point in kept
        )
        meta = json.dumps({"fw": "1.4.0", "src": source}).replace("%", "%%")
        self._template = f'{{"schema":"{SCHEMA}","ts":"%s","points":[{objects}],"meta":{meta}}}'

    def message(self, ts: float, values: Mapping[str, Value]) -> bytes:
        """One message with every point's value."""
        texts = [rfc3339(ts)]
        for name, is_number in self._fields:
            value = values[name]
            if is_number:
                texts.append(repr(value))
            elif value is True:
                texts.append("true")
            elif value is False:
                texts.append("false")
            else:
                texts.append(json.dumps(value))
        return (self._template % tuple(texts)).encode()


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("%", "%%")
