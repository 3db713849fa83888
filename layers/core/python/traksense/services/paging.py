"""Keyset pages: a cursor is the sort key of the last item, opaque to whoever passes it back.

A keyset page costs the same at any depth, and neither skips nor repeats a neighbour when rows
come and go between two calls, which an offset does.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from traksense.domain.errors import Invalid
from traksense.i18n.catalogue import text

Item = TypeVar("Item")

_VERSION: Final = 1
_MAX_CURSOR: Final = 512


class Malformed(Invalid):
    """The request itself cannot be read: 400 and not 422."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list, and the cursor of the next ones (None: there are none)."""

    items: Sequence[Item]
    next_cursor: str | None


def encode_cursor(kind: str, *key: str | int) -> str:
    """The cursor after an item of list ``kind`` with this sort key."""
    raw = json.dumps([_VERSION, kind, *key], separators=(",", ":"), ensure_ascii=True)
    return base64.urlsafe_b64encode(raw.encode("ascii")).decode("ascii").rstrip("=")


def decode_cursor(kind: str, cursor: str, *types: type[str] | type[int]) -> list[str | int]:
    """The sort key in a cursor of list ``kind``, of exactly these types. Raises Malformed."""
    try:
        if len(cursor) > _MAX_CURSOR:
            raise ValueError(cursor)  # noqa: TRY301 - one way out of here
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        value = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise malformed_cursor() from None
    if not isinstance(value, list) or value[:2] != [_VERSION, kind]:
        raise malformed_cursor()
    key: list[str | int] = value[2:]
    if len(key) != len(types) or any(
        type(part) is not wanted for part, wanted in zip(key, types, strict=True)
    ):
        raise malformed_cursor()
    return key


def malformed_cursor() -> Malformed:
    """The error for a cursor that the list cannot have given out."""
    message = text("cursor.malformed")
    return Malformed(message, (("query.cursor", message),))
