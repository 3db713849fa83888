"""Reading and checking the fields of a payload, the same for every adapter.

A check returns the value in the type that a reading carries, or raises :class:`Refused` with the
reason. Strict throughout: ``true`` is no number and ``"7.3"`` is none either. What comes out of a
device is never put into a message whole, only as an :func:`excerpt` that a database can store.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Literal

import msgspec

from traksense.domain.readings import (
    MAX_TEXT_CHARS,
    Decoded,
    Reading,
    Rejection,
    Value,
    to_microseconds,
)
from traksense.domain.reasons import Reason

MAX_NAME_CHARS: Final = 64
MAX_UNIT_CHARS: Final = 64
FIRST_INSTANT_US: Final = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z: the first instant that a datetime can tell."""
LAST_INSTANT_US: Final = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z: the last one."""

_EXCERPT_CHARS: Final = 60
_LONGEST_INTEGER: Final = 310
"""Digits past which an integer is beyond a double anyway, and slow for Python to read."""

_STRICT = msgspec.json.Decoder()


class Refused(Exception):
    """A payload or one of its fields cannot be accepted."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class neighbours_kept:  # noqa: N801 - reads as what it does: ``with neighbours_kept(…):``
    """Turns what is refused inside the block into a rejection of ``point`` and carries on."""

    __slots__ = ("_decoded", "_point")

    def __init__(self, decoded: Decoded, point: str | None) -> None:
        self._decoded = decoded
        self._point = point

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if not isinstance(error, Refused):
            return False
        self._decoded.rejections.append(Rejection(error.reason, error.detail, self._point))
        return True


def refusal(reason: Reason, detail: str) -> Decoded:
    """What a message comes to that is refused as a whole."""
    return Decoded(rejections=[Rejection(reason, detail)])


def parse(payload: bytes) -> Any:
    """Parse JSON. Raises Refused with BAD_JSON.

    What only a strict parser refuses (``NaN``, ``1e999``, a lone surrogate, an endless integer) is
    let through, so that the check of its field refuses it and the fields beside it are kept: the
    first two come as non-finite floats, a surrogate stays in its string.
    """
    try:
        return _STRICT.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _parse_leniently(payload)


def _parse_leniently(payload: bytes) -> Any:
    try:
        return json.loads(payload.decode("utf-8"), parse_int=_integer)
    except UnicodeDecodeError as error:
        raise Refused(Reason.BAD_JSON, f"not UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise Refused(Reason.BAD_JSON, "nested too deeply") from error
    except json.JSONDecodeError as error:
        raise Refused(Reason.BAD_JSON, f"{error.msg} at character {error.pos}") from error


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def excerpt(value: object) -> str:
    """A value as a message may show it: short, and free of what no database stores."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    shown = repr(value[: _EXCERPT_CHARS + 1] if isinstance(value, str) else value)
    return shown if len(shown) <= _EXCERPT_CHARS else f"{shown[:_EXCERPT_CHARS]}…"


def label(point: object, child: str | None = None, otherwise: str = "?") -> str:
    """The name under which a rejection reports a point: ``child/point``, fit to be stored.

    ``otherwise`` stands for a point without a usable name.
    """
    own = _shown_name(point) if isinstance(point, str) and point else otherwise
    return f"{_shown_name(child)}/{own}" if child else own


def _shown_name(name: str) -> str:
    return repr(name[: MAX_NAME_CHARS + 1])[1:-1][:MAX_NAME_CHARS]


def number(value: object, what: str = "v") -> float:
    """A finite float. Raises Refused with WRONG_TYPE or NOT_FINITE."""
    if type(value) is float:
        if math.isfinite(value):
            return value
        raise Refused(Reason.NOT_FINITE, f"{what} is not finite")
    if type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise Refused(Reason.NOT_FINITE, f"{what} is too large for a double") from error
    raise Refused(Reason.WRONG_TYPE, f"{what} is {excerpt(value)}, not a number")


def boolean(value: object, what: str = "v") -> bool:
    """A JSON true or false. Raises Refused with WRONG_TYPE."""
    if isinstance(value, bool):
        return value
    raise Refused(Reason.WRONG_TYPE, f"{what} is {excerpt(value)}, not true or false")


def digital(value: object, what: str) -> bool:
    """A digital input or output, 0 or 1. Raises Refused with WRONG_TYPE."""
    if type(value) in (int, float) and value in (0, 1):
        return value == 1
    raise Refused(Reason.WRONG_TYPE, f"{what} is {excerpt(value)}, not 0 or 1")


def text(value: object, what: str = "v") -> str:
    """A string that can be stored. Raises Refused with WRONG_TYPE or BAD_TEXT."""
    if not isinstance(value, str):
        raise Refused(Reason.WRONG_TYPE, f"{what} is {excerpt(value)}, not a string")
    if len(value) > MAX_TEXT_CHARS:
        raise Refused(Reason.BAD_TEXT, f"{what} is longer than {MAX_TEXT_CHARS} characters")
    if not storable(value):
        raise Refused(Reason.BAD_TEXT, f"{what} holds a NUL or half a surrogate pair")
    return value


def name(value: object, what: str = "name") -> str:
    """A point's or a child's name. Raises Refused with BAD_PAYLOAD."""
    if not isinstance(value, str):
        raise Refused(Reason.BAD_PAYLOAD, f"{what} is {excerpt(value)}, not a string")
    if not 1 <= len(value) <= MAX_NAME_CHARS:
        raise Refused(
            Reason.BAD_PAYLOAD,
            f"{what} has {len(value)} characters, not between 1 and {MAX_NAME_CHARS}",
        )
    if not storable(value):
        raise Refused(Reason.BAD_PAYLOAD, f"{what} holds a NUL or half a surrogate pair")
    return value


def unit(value: object, what: str = "u") -> str | None:
    """A unit's symbol; None where it is absent or empty. Raises Refused: BAD_PAYLOAD, BAD_TEXT."""
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_UNIT_CHARS:
        raise Refused(Reason.BAD_PAYLOAD, f"{what} is {excerpt(value)}, not a unit")
    return text(value, what) or None


def storable(value: str) -> bool:
    """Whether PostgreSQL can hold the string: no NUL, and encodable as UTF-8."""
    if "\0" in value:
        return False
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def instant(value: object, what: str = "ts") -> int:
    """Microseconds since the Unix epoch of an RFC 3339 string, which must carry an offset.

    Digits past the microsecond are rounded. Raises Refused with BAD_TIMESTAMP.
    """
    if not isinstance(value, str):
        raise Refused(Reason.BAD_TIMESTAMP, f"{what} is {excerpt(value)}, not an RFC 3339 string")
    try:
        moment = msgspec.convert(value, datetime)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise Refused(Reason.BAD_TIMESTAMP, f"{what} is {excerpt(value)}, not RFC 3339") from error
    if moment.tzinfo is None:
        raise Refused(Reason.BAD_TIMESTAMP, f"{what} is {excerpt(value)}, without an offset")
    return in_range(to_microseconds(moment), what)


def unix_seconds(value: object, what: str) -> int:
    """Microseconds since the Unix epoch of a number of seconds, rounded once.

    Raises Refused with BAD_TIMESTAMP.
    """
    return in_range(round(exactly(seconds(value, what)) * 1_000_000), what)


def seconds(value: object, what: str) -> float:
    """A number of seconds. Raises Refused with BAD_TIMESTAMP."""
    try:
        return number(value, what)
    except Refused as error:
        raise Refused(Reason.BAD_TIMESTAMP, error.detail) from error


def in_range(ts_us: int, what: str = "ts") -> int:
    """The instant itself. Raises Refused with BAD_TIMESTAMP outside of the years 1 to 9999."""
    if not FIRST_INSTANT_US <= ts_us <= LAST_INSTANT_US:
        raise Refused(Reason.BAD_TIMESTAMP, f"{what} is not between the years 1 and 9999")
    return ts_us


def exactly(value: float) -> Fraction:
    """The decimal number that was written, as a fraction: of 0.1 one tenth, not its double."""
    return Fraction(Decimal(repr(value)))


def num(point: str, ts_us: int, value: float, unit_symbol: str | None = None) -> Reading:
    """A ``num`` reading of the topic's own device."""
    return Reading(point, ts_us, "num", value, unit_symbol)


def state(point: str, ts_us: int, kind: Literal["bool", "enum", "text"], value: Value) -> Reading:
    """A reading that is no number, of the topic's own device."""
    return Reading(point, ts_us, kind, value)
