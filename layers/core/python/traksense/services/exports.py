"""Exports as people ask for them, follow, cancel and download them.

An export is stored before its state machine is started. Where the start does not get through, the
export waits and the upkeep starts it; either way an execution has a name of its own, so that two
starts are one.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from traksense.auth.identity import Identity
from traksense.domain.errors import Conflict, Gone, Invalid, NotFound, RetryableError
from traksense.domain.exports import (
    MEDIA_TYPES,
    MOST_RUNNING,
    Agg,
    Format,
    Notification,
    Run,
    Status,
)
from traksense.domain.readings import from_microseconds, to_microseconds
from traksense.i18n.catalogue import Locale, text
from traksense.services.export_mail import digest_of
from traksense.services.paging import Page, decode_cursor, encode_cursor, malformed_cursor
from traksense.services.scope import Scope

OPENS_FOR: Final = timedelta(minutes=5)
"""How long a download may begin once it was asked for; then the link is asked again."""
RETRY_AFTER_S: Final = 30
"""After which an export of the tenant may have ended."""
MOST_POINTS: Final = 500
_CURSOR: Final = "exports"
_LAST_INSTANT_US: Final = 253_402_300_799_999_999  # the end of the year 9999

_log = logging.getLogger(__name__)


class TooManyExports(RetryableError):
    """As many exports of the tenant are running as may."""

    def __init__(self) -> None:
        super().__init__(text("export.too_many_running", most=MOST_RUNNING))
        self.retry_after_s = RETRY_AFTER_S


class LinkOver(Gone):
    """A mailed link whose file is gone, or was never there."""

    def __init__(self, tenant_id: UUID, export_id: UUID, locale: Locale) -> None:
        super().__init__(text("export.expired"))
        self.tenant_id = tenant_id
        self.export_id = export_id
        self.locale: Locale = locale


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asks for. Times in UTC, ``end`` exclusive."""

    device: UUID | str | None
    """Id or name; None: every device of the tenant."""
    points: tuple[UUID | str, ...] | None
    """Ids or, with a device, names; None: every point."""
    start: datetime
    end: datetime
    agg: Agg
    format: Format
    for_spreadsheet: bool = False
    locale: Locale | None = None
    """None: the person's own."""


@dataclass(frozen=True, slots=True)
class NewExport:
    """An export as it is stored."""

    order: Order
    end: datetime
    """Not after now."""
    requested_by: str
    email: str
    idempotency_key: str | None
    request_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Export:
    """An export and what became of it. Times in UTC."""

    id: UUID
    tenant_id: UUID
    tenant: str
    """Its slug."""
    attempt: int
    status: Status
    """EXPIRED from the moment on at which the file is due to go."""
    email: str
    locale: Locale
    device_id: UUID | None
    device: str | None
    point_ids: list[UUID] | None
    points: list[str] | None
    start: datetime
    end: datetime
    agg: Agg
    format: Format
    for_spreadsheet: bool
    time_zone: str
    planned_rows: int | None
    rows: int | None
    """Of the file; while it is being made, those that are written."""
    file_size: int | None
    file_key: str | None
    file_name: str | None
    sha256: bytes | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    notification: Notification | None
    """What came of the e-mail of its end; None: it was cancelled, of which nobody is told."""

    @property
    def progress(self) -> float:
        """From 0 to 1, and 1 only once the file is there."""
        if self.status in (Status.COMPLETED, Status.EXPIRED):
            return 1.0
        if not self.planned_rows or not self.rows:
            return 0.0
        return round(min(self.rows / self.planned_rows, 0.99), 4)

    @property
    def run(self) -> Run:
        """Its execution."""
        return Run(self.tenant_id, self.id, self.attempt)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an export; the file is all of them in the order of their numbers."""

    number: int
    planned_rows: int
    rows: int
    size: int | None
    """Bytes."""
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class Download:
    """Where a file can be fetched now, by whoever has the address."""

    export: Export
    url: str
    opens_until: datetime


class ExportStore(Protocol):
    """Where exports are kept. Every method raises DatabaseAway."""

    def add(self, tenant_id: UUID, new: NewExport) -> tuple[Export, bytes | None]:
        """Store an export, unless its key was used; it, or what has the key, and the hash of its
        request. Raises TooManyExports, NotFound without such a device, Invalid without such a
        point or for one that the level does not have.
        """

    def get(self, scope: Scope, export_id: UUID) -> Export | None:
        """One export."""

    def parts(self, scope: Scope, export_id: UUID) -> Sequence[Part]:
        """An export's parts in order, as far as it is planned."""

    def page(
        self, scope: Scope, status: Status | None, before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Export]:
        """Up to ``limit`` exports, newest first."""

    def cancel(self, tenant_id: UUID, export_id: UUID) -> bool:
        """End an export that is running; False where none is, any more."""

    def lose(self, tenant_id: UUID, export_id: UUID) -> None:
        """The file of a finished export is not there: it has expired."""

    def find_link(self, digest: bytes) -> tuple[UUID, UUID] | None:
        """Tenant and export that a link opens, in nobody's sight."""


class ExportRuns(Protocol):
    """The state machine."""

    def start(self, run: Run) -> None:
        """Start an execution, once for each run. Raises RetryableError."""


class ExportFiles(Protocol):
    """The files."""

    def url(self, key: str, name: str, media_type: str, opens_for: timedelta) -> str | None:
        """An address from which anybody can fetch a file under a name, for so long; None: the
        file is not there. Raises RetryableError.
        """


class Exports:
    """What the API does with exports."""

    def __init__(
        self,
        store: ExportStore,
        runs: ExportRuns,
        files: ExportFiles,
        tenant_of: Callable[[UUID], UUID | None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``tenant_of``: whose a device is, for an operator who chose no tenant."""
        self._store = store
        self._runs = runs
        self._files = files
        self._tenant_of = tenant_of
        self._now = now

    def create(
        self, scope: Scope, caller: Identity, order: Order, idempotency_key: str | None = None
    ) -> Export:
        """Take on an export. Raises NotFound, Invalid, also for a key that was used for another
        request, and TooManyExports.
        """
        tenant_id = self._tenant(scope, order.device)
        _check(order, caller, now := self._now())
        request = _request_hash(caller, order)
        export, known = self._store.add(
            tenant_id,
            NewExport(
                order=order,
                end=min(order.end, now),
                requested_by=caller.user_id,
                email=caller.email,
                idempotency_key=idempotency_key,
                request_hash=None if idempotency_key is None else request,
            ),
        )
        if known is not None and known != request:
            message = text("export.key_reused")
            raise Invalid(message, (("header.Idempotency-Key", message),))
        if export.status is Status.PENDING:
            self._start(export.run)
        return export

    def _start(self, run: Run) -> None:
        try:
            self._runs.start(run)
        except RetryableError as error:
            # It is stored: the upkeep starts what nothing has started.
            _log.warning("an export waits: %s", error, extra=run.named)

    def get(self, scope: Scope, export_id: UUID) -> Export:
        """One export. Raises NotFound, also for another tenant's."""
        found = self._store.get(scope, export_id)
        if found is None:
            raise NotFound(text("export.not_found"))
        return found

    def detail(self, scope: Scope, export_id: UUID) -> tuple[Export, Sequence[Part]]:
        """One export with its parts. Raises NotFound."""
        return self.get(scope, export_id), self._store.parts(scope, export_id)

    def page(
        self, scope: Scope, status: Status | None, limit: int, cursor: str | None
    ) -> Page[Export]:
        """One page, newest first. Raises Malformed."""
        before = None if cursor is None else _position_of(cursor)
        found = self._store.page(scope, status, before, limit + 1)
        items = found[:limit]
        if len(found) <= limit:
            return Page(items, None)
        last = items[-1]
        return Page(items, encode_cursor(_CURSOR, to_microseconds(last.created_at), str(last.id)))

    def cancel(self, scope: Scope, export_id: UUID) -> Export:
        """End an export that is running; one that was cancelled stays so.

        Raises NotFound, and Conflict for one that has ended otherwise.
        """
        export = self.get(scope, export_id)
        within = Scope.of(export.tenant_id)
        if not self._store.cancel(export.tenant_id, export_id):
            export = self.get(within, export_id)
            if export.status is not Status.CANCELLED:
                raise Conflict(text("export.ended"))
            return export
        return self.get(within, export_id)

    def download(self, scope: Scope, export_id: UUID) -> Download:
        """Where the file can be fetched now.

        Raises NotFound, Conflict where there is no file, Gone where there is none any more, and
        RetryableError.
        """
        export = self.get(scope, export_id)
        if export.status is Status.EXPIRED:
            raise Gone(text("export.expired"))
        if export.status is not Status.COMPLETED:
            raise Conflict(
                text("export.not_ready" if export.status.is_running else "export.no_file")
            )
        found = self._open(export)
        if found is None:
            raise Gone(text("export.expired"))
        return found

    def open_link(self, token: str) -> Download:
        """Where the file of a mailed link can be fetched now.

        Raises NotFound for a link that was never mailed, LinkOver, and RetryableError.
        """
        link = self._store.find_link(digest_of(token))
        if link is None:
            raise NotFound(text("export.not_found"))
        tenant_id, export_id = link
        export = self._store.get(Scope.of(tenant_id), export_id)
        if export is None:
            raise NotFound(text("export.not_found"))
        found = self._open(export) if export.status is Status.COMPLETED else None
        if found is None:
            raise LinkOver(tenant_id, export_id, export.locale)
        return found

    def _open(self, export: Export) -> Download | None:
        """An address of the file; None where it is gone, and the export has then expired."""
        now = self._now()
        assert export.expires_at is not None  # of what is completed
        assert export.file_key is not None
        name = export.file_name or export.file_key.rpartition("/")[2]
        opens_for = min(OPENS_FOR, export.expires_at - now)
        if opens_for < timedelta(seconds=1):
            return None
        url = self._files.url(export.file_key, name, media_type(name), opens_for)
        if url is None:
            self._store.lose(export.tenant_id, export.id)
            return None
        return Download(export, url, now + opens_for)

    def _tenant(self, scope: Scope, device: UUID | str | None) -> UUID:
        if scope.tenant_id is not None:
            return scope.tenant_id
        if not isinstance(device, UUID):
            message = text("export.tenant_needed")
            raise Invalid(message, (("body.device", message),))
        found = self._tenant_of(device)
        if found is None:
            raise NotFound(text("device.not_found"))
        return found


def media_type(file_name: str) -> str:
    """What a file is, by its name."""
    return next(
        (kind for suffix, kind in MEDIA_TYPES.items() if file_name.endswith(suffix)),
        "application/octet-stream",
    )


def _check(order: Order, caller: Identity, now: datetime) -> None:
    if not caller.email:
        raise Invalid(text("export.no_email"))
    if order.start >= order.end:
        raise _wrong("body.from", "export.range")
    if order.start >= now:
        raise _wrong("body.from", "export.in_the_future")
    if order.for_spreadsheet and order.format == "parquet":
        raise _wrong("body.for_spreadsheet", "export.not_spreadsheet")
    if order.device is None and any(isinstance(point, str) for point in order.points or ()):
        raise _wrong("body.points", "export.point_needs_device")


def _wrong(where: str, key: str) -> Invalid:
    message = text(key)
    return Invalid(message, ((where, message),))


def _request_hash(caller: Identity, order: Order) -> bytes:
    """What makes two requests the same; whose they are among it."""
    points = None if order.points is None else [str(point) for point in order.points]
    parts = [
        caller.user_id, str(order.device), points, to_microseconds(order.start),
        to_microseconds(order.end), order.agg, order.format, order.for_spreadsheet, order.locale,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).digest()


def _position_of(cursor: str) -> tuple[datetime, UUID]:
    at_us, export_id = decode_cursor(_CURSOR, cursor, int, str)
    try:
        known = UUID(str(export_id))
    except ValueError:
        raise malformed_cursor() from None
    if not 0 <= int(at_us) <= _LAST_INSTANT_US:
        raise malformed_cursor()
    return from_microseconds(int(at_us)), known
