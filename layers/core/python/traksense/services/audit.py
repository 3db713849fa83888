"""The audit log: who did what, when, from where, and with which outcome."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from traksense.domain.errors import TrakSenseError
from traksense.domain.readings import from_microseconds, to_microseconds
from traksense.services.paging import Page, decode_cursor, encode_cursor, malformed_cursor

_CURSOR: Final = "audit"
_MAX_ID: Final = 2**63 - 1
_LAST_INSTANT_US: Final = 253_402_300_799_999_999  # the end of the year 9999

LOOKED_AT: Final = 100_000
"""Rows that one page looks through at most: what a search finds seldom takes several pages."""
REST_S: Final = 1.0
"""How long after a failure entries are only logged, so that no call waits for it as well."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One call. Texts are bounded and clean; see ``sql/migrations/0020_audit_log.sql``."""

    request_id: str
    action: str
    status: int
    user_id: str | None = None
    email: str | None = None
    role: str | None = None
    tenant_id: UUID | None = None
    """In whose sight it ran; None: all tenants, or none."""
    object_id: str | None = None
    """What the path names."""
    filters: Mapping[str, Any]
    """Names of what was given, and values of ids and choices only."""
    record_count: int | None = None
    """Records in the answer; None where it has none to count."""
    duration_ms: float
    ip: str | None = None
    user_agent: str | None = None
    is_write: bool = False
    """Whether it may have changed something, so that its entry has to survive a crash."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as operators read it."""

    id: int
    at: datetime
    """When it was answered, in UTC."""
    request_id: str
    action: str
    status: int
    user_id: str | None
    email: str | None
    role: str | None
    tenant: str | None
    object_id: str | None
    filters: Mapping[str, Any]
    record_count: int | None
    duration_ms: float
    ip: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries a list holds; None leaves a filter out."""

    tenant_id: UUID | None = None
    action: str | None = None
    user: str | None = None
    """An id, or an e-mail."""
    ip: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    """Exclusive."""
    q: str | None = None
    """Part of an e-mail, object, user agent or action, in any case; or a user's or request's id."""


Position = tuple[datetime, int]
"""When and id of an entry: what the log is sorted by."""


class AuditStore(Protocol):
    """Where the log is kept. Every method raises DatabaseAway."""

    def add(self, entry: AuditEntry) -> None:
        """Add an entry, in one round trip."""

    def page(
        self, wanted: AuditFilter, after: Position | None, limit: int, looked_at: int
    ) -> tuple[Sequence[StoredEntry], Position | None]:
        """Up to ``limit`` entries newest first, and where to go on; None: nothing is left.

        Fewer, or none, where ``looked_at`` rows held no more.
        """


class AuditLog:
    """Adds entries, and shows them to operators."""

    def __init__(
        self,
        store: AuditStore,
        on_failure: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_failure`` counts an entry that could not be added."""
        self._store = store
        self._on_failure = on_failure
        self._clock = clock
        self._rests_until = float("-inf")

    def record(self, entry: AuditEntry) -> None:
        """Add an entry. What cannot be added is logged whole: the call itself goes on."""
        if self._clock() < self._rests_until:
            self._keep_in_the_log(entry, None)
            return
        try:
            self._store.add(entry)
        except TrakSenseError as error:
            self._rests_until = self._clock() + REST_S
            self._keep_in_the_log(entry, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the entry must not be lost
            self._keep_in_the_log(entry, error)

    def _keep_in_the_log(self, entry: AuditEntry, error: Exception | None) -> None:
        self._on_failure()
        _log.error(
            "an entry of the audit log could not be added and is kept here",
            exc_info=error,
            extra={"audit": {**asdict(entry), "tenant_id": _text(entry.tenant_id)}},
        )

    def page(self, wanted: AuditFilter, limit: int, cursor: str | None) -> Page[StoredEntry]:
        """One page, newest first. Shorter than ``limit``, also empty, where a search has more to
        look through: only a page without a cursor is the last. Raises Malformed, DatabaseAway.
        """
        after = None if cursor is None else _position_of(cursor)
        found, left_at = self._store.page(wanted, after, limit, LOOKED_AT)
        following = (
            None
            if left_at is None
            else encode_cursor(_CURSOR, to_microseconds(left_at[0]), left_at[1])
        )
        return Page(found, following)


def _text(tenant_id: UUID | None) -> str | None:
    return None if tenant_id is None else str(tenant_id)


def _position_of(cursor: str) -> Position:
    at_us, entry_id = decode_cursor(_CURSOR, cursor, int, int)
    if not 0 <= int(at_us) <= _LAST_INSTANT_US or not 0 <= int(entry_id) <= _MAX_ID:
        raise malformed_cursor()
    return from_microseconds(int(at_us)), int(entry_id)
