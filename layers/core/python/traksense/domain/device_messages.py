"""What devices and the broker say beside telemetry: state, event, alarm, ack, presence.

Pure: bytes in, a typed message or a Rejection out, never an exception.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from .readings import MAX_PAYLOAD_BYTES, Rejection
from .reasons import Reason

_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
MAX_DEPTH: Final = 16
"""Levels of nesting that an event's data may have."""

Severity = Literal["low", "medium", "high", "critical"]


class State(msgspec.Struct, tag_field="schema", tag="v1"):
    """``state``: the device's own word, or its Last Will (which has no ``ts``)."""

    status: Literal["online", "offline"]
    ts: _Instant | None = None


class Event(msgspec.Struct, tag_field="schema", tag="v1"):
    """``event``: something happened on the device."""

    event_type: _Name
    ts: _Instant
    event_id: _Name | None = None
    data: dict[str, Any] = {}


class Alarm(msgspec.Struct, tag_field="schema", tag="v1"):
    """``alarm``: a condition began or ended."""

    code: _Name
    severity: Severity
    active: bool
    ts: _Instant
    message: Annotated[str, msgspec.Meta(max_length=2000)] | None = None


class Ack(msgspec.Struct, tag_field="schema", tag="v1"):
    """``ack``: what became of a command."""

    cmd_id: _Name
    ok: bool
    ts_exec: _Instant | None = None
    err: Annotated[str, msgspec.Meta(max_length=2000)] | None = None


class Presence(msgspec.Struct, rename="camel"):
    """The broker's report of a connect or disconnect (AWS IoT lifecycle event)."""

    client_id: str
    session_identifier: str
    version_number: int
    disconnect_reason: str | None = None


_DECODERS: Final[dict[type[msgspec.Struct], msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(kind) for kind in (State, Event, Alarm, Ack, Presence)
}


_Kind = TypeVar("_Kind", bound=msgspec.Struct)


def decode(payload: bytes, kind: type[_Kind]) -> _Kind | Rejection:
    """Read a payload as one kind of message; a Rejection says what is wrong with it."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return Rejection(Reason.TOO_LARGE, f"{len(payload)} bytes, at most {MAX_PAYLOAD_BYTES}")
    try:
        message: _Kind = _DECODERS[kind].decode(payload)
    except msgspec.ValidationError as error:
        return Rejection(Reason.BAD_PAYLOAD, str(error)[:200])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return Rejection(Reason.BAD_JSON, str(error)[:200])
    if not _is_storable(msgspec.to_builtins(message), MAX_DEPTH):
        return Rejection(
            Reason.BAD_TEXT, f"holds a NUL character, or is nested deeper than {MAX_DEPTH} levels"
        )
    return message


def _is_storable(value: Any, levels: int) -> bool:
    """Whether PostgreSQL can hold it: no NUL in any string, no nesting past its stack."""
    if isinstance(value, str):
        return "\x00" not in value
    if levels == 0:
        return not isinstance(value, dict | list)
    if isinstance(value, dict):
        return all(
            "\x00" not in name and _is_storable(inner, levels - 1) for name, inner in value.items()
        )
    if isinstance(value, list):
        return all(_is_storable(inner, levels - 1) for inner in value)
    return True
