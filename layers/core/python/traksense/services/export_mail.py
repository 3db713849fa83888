"""The e-mails of an export: it is there to be downloaded, or why it is not.

Delivery is at least once: the note that an e-mail was taken comes after the e-mail, so that a
process that is killed between the two sends it again, with a link of its own; the earlier one
stays good.
"""

from __future__ import annotations

import hashlib
import html
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from traksense.domain.errors import PermanentError, RetryableError
from traksense.domain.exports import Agg, Failure, Format, Notification, Run, Status
from traksense.i18n.catalogue import Locale, translate
from traksense.i18n.mail import Fact, Mail, compose
from traksense.i18n.numbers import count_text, size_text, wall_text

LINK_PATH: Final = "/d/"
TOKEN_BYTES: Final = 32
_MOST_NAMED: Final = 6
"""Points that an e-mail names; of more it gives the number."""

_log = logging.getLogger(__name__)


class MailAway(RetryableError):
    """The e-mail service cannot be reached, or takes nothing for now."""


class MailRefused(PermanentError):
    """The e-mail service will never take this e-mail, such as for a suppressed address."""


@dataclass(frozen=True, slots=True)
class EndedExport:
    """An export that has ended and whose e-mail has had no end yet."""

    email: str
    name: str | None
    """Of the person who asked; None: nobody of the tenant has this e-mail."""
    locale: Locale
    device: str | None
    """None: every device."""
    points: tuple[str, ...] | None
    """None: every point."""
    tenant: str
    """Its slug."""
    wall_start: datetime
    """What a clock in ``time_zone`` shows, without a zone; so the other two."""
    wall_end: datetime
    agg: Agg
    format: Format
    time_zone: str
    record_count: int | None
    file_size: int | None
    """Bytes."""
    expires_at: datetime | None
    wall_expires_at: datetime | None
    error: str | None


class ExportMailStore(Protocol):
    """What the e-mails are made from. Every method raises DatabaseAway."""

    def unmailed(self, run: Run, status: Status) -> EndedExport | None:
        """The export, if it ended so in this attempt and its e-mail has had no end yet."""

    def add_link(self, run: Run, digest: bytes, expires_at: datetime) -> None:
        """Keep a link by the SHA-256 of its token."""

    def note_mailed(self, run: Run) -> None:
        """The e-mail was taken for delivery."""

    def note_refused(self, run: Run) -> None:
        """The e-mail was refused for good."""


class Mailer(Protocol):
    """What sends e-mails."""

    def send(self, to: str, mail: Mail) -> None:
        """Hand an e-mail over for delivery. Raises MailAway or MailRefused."""


class ExportMail:
    """Tells the person who asked how her export ended."""

    def __init__(
        self,
        store: ExportMailStore,
        mailer: Mailer,
        web_url: str,
        count: Callable[[Notification], None] = lambda _: None,
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(TOKEN_BYTES),
    ) -> None:
        """``web_url``: where the page and the links are, without a slash at the end. ``count``
        is told what came of each e-mail.
        """
        self._store = store
        self._mailer = mailer
        self._web_url = web_url
        self._count = count
        self._new_token = new_token

    def completed(self, run: Run) -> bool:
        """Mail the link of a finished export; False where there is nothing to mail any more.

        Raises DatabaseAway and MailAway: then call again.
        """
        export = self._store.unmailed(run, Status.COMPLETED)
        if export is None or export.expires_at is None:
            return False
        token = self._new_token()
        # Kept before it is mailed: a link that somebody has always opens.
        self._store.add_link(run, digest_of(token), export.expires_at)
        return self._send(run, export, self._ready(export, f"{self._web_url}{LINK_PATH}{token}"))

    def failed(self, run: Run) -> bool:
        """Mail why an export failed; False where there is nothing to mail any more.

        Raises DatabaseAway and MailAway: then call again.
        """
        export = self._store.unmailed(run, Status.FAILED)
        return export is not None and self._send(run, export, self._failure(run.export_id, export))

    def _send(self, run: Run, export: EndedExport, mail: Mail) -> bool:
        try:
            self._mailer.send(export.email, mail)
        except MailRefused as error:
            # Nobody else could be told, and another try gives the same: the list says it.
            _log.error("the e-mail of an export was refused: %s", error,
                       extra=run.named)  # fmt: skip
            self._store.note_refused(run)
            self._count("refused")
            return False
        self._store.note_mailed(run)
        self._count("sent")
        return True

    def _ready(self, export: EndedExport, url: str) -> Mail:
        locale = export.locale
        facts = [
            *_asked(export),
            _fact("rows", count_text(export.record_count or 0, locale)),
            _fact("size", size_text(export.file_size or 0, locale)),
        ]
        if export.wall_expires_at is not None:
            facts.append(_fact("until", _moment(export, export.wall_expires_at)))
        return compose(locale, "export_ready", name=export.name or "", url=url, rows=facts)

    def _failure(self, export_id: UUID, export: EndedExport) -> Mail:
        return compose(
            export.locale,
            "export_failed",
            name=export.name or "",
            url=f"{self._web_url}/#/t/{export.tenant}/exports",
            rows=[
                *_asked(export),
                _fact("why", failure_text(export.error, export.locale)),
                _fact("number", str(export_id)),
            ],
        )


def digest_of(token: str) -> bytes:
    """What is kept of a link's token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def failure_of(code: str | None) -> Failure:
    """What a stored code means; one that nobody knows any more is an error of ours."""
    return Failure(code) if code in set(Failure) else Failure.INTERNAL


def failure_text(code: str | None, locale: Locale) -> str:
    """Why an export failed, in words."""
    return translate(locale, f"export.failed.{failure_of(code)}")


def _asked(export: EndedExport) -> list[Fact]:
    """What was asked for."""
    locale = export.locale

    def say(key: str, **params: object) -> str:
        return translate(locale, f"export.{key}", params)

    points = say("all_points")
    if export.points is not None:
        points = ", ".join(export.points[:_MOST_NAMED])
        if len(export.points) > _MOST_NAMED:
            points = say("points_more", points=points, more=len(export.points) - _MOST_NAMED)
    start, end = (wall_text(wall, locale) for wall in (export.wall_start, export.wall_end))
    return [
        _fact("device", export.device or say("all_devices")),
        _fact("points", points),
        _fact("period", say("period", start=start, end=end, zone=export.time_zone)),
        _fact("kind", f"{say(f'agg.{export.agg}')} · {say(f'format.{export.format}')}"),
    ]


def _moment(export: EndedExport, wall: datetime) -> str:
    shown = wall_text(wall, export.locale)
    return translate(export.locale, "export.moment", {"at": shown, "zone": export.time_zone})


def _fact(label: str, value: str) -> Fact:
    return Fact(label, html.escape(value))
