"""The e-mails that the local SES took, kept in the home: what would have left in AWS.

They hold temporary passwords and codes, so that only the home's owner may read them.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Container
from dataclasses import asdict, dataclass
from email import message_from_string, policy
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Final

from moto.ses.models import Message, RawMessage, SESBackend

from local.home import write_atomically

from .plain_text import plain_text

MOST_KEPT: Final = 200


@dataclass(frozen=True, slots=True)
class KeptMail:
    """One e-mail. ``received_at`` in Unix seconds."""

    id: str
    received_at: float
    sender: str
    recipients: list[str]
    subject: str
    text: str
    html: str | None


class Mailbox:
    """A folder with a file for each e-mail; names sort by time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(
        self, sender: str, recipients: list[str], subject: str, text: str, html: str | None
    ) -> None:
        """Keep an e-mail, and let go of the oldest when there are too many."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = time.time()
        kept = KeptMail(
            id=f"{time.time_ns():020d}-{secrets.token_hex(4)}",
            received_at=now,
            sender=sender,
            recipients=recipients,
            subject=subject,
            text=text,
            html=html,
        )
        write_atomically(self._folder / f"{kept.id}.json", json.dumps(asdict(kept)).encode())
        for old in self._files()[MOST_KEPT:]:
            old.unlink(missing_ok=True)

    def newest_first(self) -> list[KeptMail]:
        """All that are kept; one that went meanwhile, or is damaged, is left out."""
        found = (_read(path) for path in self._files())
        return [mail for mail in found if mail is not None]

    def get(self, mail_id: str) -> KeptMail | None:
        """One e-mail; None where there is none."""
        return next((mail for mail in self.newest_first() if mail.id == mail_id), None)

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.json"), reverse=True)


class KeptSes(SESBackend):
    """moto's SES, which keeps what it takes, apart from what SES would deliver to nobody."""

    def __init__(
        self,
        region: str,
        account: str,
        mailbox: Mailbox,
        suppressed: Container[str] = frozenset(),
    ) -> None:
        super().__init__(region, account)
        self._mailbox = mailbox
        self._suppressed = suppressed

    def send_email(
        self, source: str, subject: str, body: str, destinations: dict[str, list[str]]
    ) -> Message:
        """SendEmail; moto hands over the HTML where there is one, else the text."""
        sent = super().send_email(source, subject, body, destinations)
        is_html = body.lstrip()[:1] == "<"
        recipients = [address for addresses in destinations.values() for address in addresses]
        text = plain_text(body) if is_html else body
        self._keep(source, recipients, subject, text, body if is_html else None)
        return sent

    def send_raw_email(self, source: str, destinations: list[str], raw_data: str) -> RawMessage:
        """SendRawEmail."""
        sent = super().send_raw_email(source, destinations, raw_data)
        message = message_from_string(raw_data, policy=policy.default)
        self._keep(
            source or str(message["From"]),
            list(dict.fromkeys(sent.destinations)),
            str(message["Subject"] or ""),
            _part(message, "plain") or "",
            _part(message, "html"),
        )
        return sent

    def _keep(
        self, sender: str, recipients: list[str], subject: str, text: str, html: str | None
    ) -> None:
        reached = [each for each in recipients if parseaddr(each)[1] not in self._suppressed]
        if reached:
            self._mailbox.add(sender, reached, subject, text, html)


def _part(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body(preferencelist=(kind,))
    return None if part is None else str(part.get_content())


def _read(path: Path) -> KeptMail | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        return KeptMail(**found)
    except (OSError, ValueError, TypeError):
        return None
