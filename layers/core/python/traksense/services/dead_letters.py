"""Dead letters, as operators read them: messages that could not be accepted, newest first."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol
from uuid import UUID

from traksense.domain.readings import from_microseconds, to_microseconds
from traksense.domain.reasons import Reason
from traksense.services.paging import Page, decode_cursor, encode_cursor, malformed_cursor

_CURSOR: Final = "dlq"
_MAX_ID: Final = 2**63 - 1
_LAST_INSTANT_US: Final = 253_402_300_799_999_999  # the end of the year 9999

MAX_PAGE_BYTES: Final = 1_000_000
"""Payload bytes of one page: base64 and JSON's escapes, twice, keep it under Lambda's 6 MB."""

# Such payloads are no text to a reader, and each of their characters takes six in JSON.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter with its payload's bytes. Times in UTC."""

    id: int
    received_at: datetime
    last_received_at: datetime
    occurrences: int
    tenant: str | None
    topic: str
    client_id: str | None
    reason: str
    detail: str
    payload: bytes
    replayed_at: datetime | None
    """When it was last put through again."""
    replays: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter whose payload can be shown: as text where it is text, else as base64."""

    stored: StoredDeadLetter
    payload: str
    payload_encoding: Literal["utf-8", "base64"]


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters a list holds; None leaves a filter out."""

    tenant_id: UUID | None = None
    reason: Reason | None = None
    topic: str | None = None
    """The beginning of the topic."""
    start: datetime | None = None
    end: datetime | None = None
    """Exclusive."""


class DeadLetterStore(Protocol):
    """Where dead letters are kept; only operators see them."""

    def page(
        self,
        wanted: DeadLetterFilter,
        after: tuple[datetime, int] | None,
        limit: int,
        most_bytes: int,
    ) -> tuple[Sequence[StoredDeadLetter], bool]:
        """Up to ``limit`` dead letters newest first, and whether older ones follow.

        Fewer where their payloads would be over ``most_bytes``, but at least one.
        """


class DeadLetters:
    """What the API asks about dead letters."""

    def __init__(self, store: DeadLetterStore) -> None:
        self._store = store

    def page(self, wanted: DeadLetterFilter, limit: int, cursor: str | None) -> Page[DeadLetter]:
        """One page, newest first; shorter than ``limit`` where payloads are large."""
        after = None if cursor is None else _key_of(cursor)
        found, more = self._store.page(wanted, after, limit, MAX_PAGE_BYTES)
        last = (
            encode_cursor(_CURSOR, to_microseconds(found[-1].received_at), found[-1].id)
            if more
            else None
        )
        return Page([_shown(letter) for letter in found], last)


def _shown(stored: StoredDeadLetter) -> DeadLetter:
    try:
        as_text = stored.payload.decode("utf-8")
    except UnicodeDecodeError:
        as_text = None
    if as_text is None or _CONTROL.search(as_text):
        return DeadLetter(stored, base64.b64encode(stored.payload).decode("ascii"), "base64")
    return DeadLetter(stored, as_text, "utf-8")


def _key_of(cursor: str) -> tuple[datetime, int]:
    received_us, letter_id = decode_cursor(_CURSOR, cursor, int, int)
    if not 0 <= int(received_us) <= _LAST_INSTANT_US or not 0 <= int(letter_id) <= _MAX_ID:
        raise malformed_cursor()
    return from_microseconds(int(received_us)), int(letter_id)
