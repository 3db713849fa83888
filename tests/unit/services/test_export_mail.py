"""E-mails of exports: what they say, and that each is sent once and opens."""

from __future__ import annotations

import email
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import policy
from typing import Any
from uuid import UUID

import pytest

from traksense.aws.ses import SesMailer, compose
from traksense.domain.exports import Failure, Run, Status
from traksense.i18n.catalogue import LOCALES, Locale
from traksense.i18n.mail import Mail
from traksense.i18n.numbers import count_text, size_text
from traksense.services.export_mail import (
    EndedExport,
    ExportMail,
    MailAway,
    MailRefused,
    digest_of,
    failure_text,
)

RUN = Run(UUID(int=1), UUID(int=2), 1)
EXPIRES = datetime(2025, 10, 8, 12, 30, tzinfo=UTC)
READY = EndedExport(
    email="ana@acme.example",
    name="Ana <b>Souza</b>",
    locale="pt-BR",
    device="chiller-0",
    points=("temp_agua", "<script>"),
    tenant="acme",
    wall_start=datetime(2025, 9, 1),
    wall_end=datetime(2025, 10, 1),
    agg="raw",
    format="csv",
    time_zone="America/Recife",
    record_count=2_400_000,
    file_size=61_400_000,
    expires_at=EXPIRES,
    wall_expires_at=datetime(2025, 10, 8, 9, 30),
    error=None,
)


@dataclass
class FakeStore:
    export: EndedExport | None = READY
    status: Status = Status.COMPLETED
    links: list[tuple[bytes, datetime]] = field(default_factory=list)
    is_mailed: bool = False
    is_refused: bool = False

    def unmailed(self, run: Run, status: Status) -> EndedExport | None:
        is_over = self.is_mailed or self.is_refused
        return self.export if status is self.status and not is_over else None

    def add_link(self, run: Run, digest: bytes, expires_at: datetime) -> None:
        self.links.append((digest, expires_at))

    def note_mailed(self, run: Run) -> None:
        self.is_mailed = True

    def note_refused(self, run: Run) -> None:
        self.is_refused = True


@dataclass
class FakeMailer:
    failure: Exception | None = None
    tries: int = 0
    sent: list[tuple[str, Mail]] = field(default_factory=list)

    def send(self, to: str, mail: Mail) -> None:
        self.tries += 1
        if self.failure is not None:
            raise self.failure
        self.sent.append((to, mail))


def mailed(export: EndedExport, status: Status = Status.COMPLETED) -> tuple[Mail, FakeStore]:
    store, mailer = FakeStore(export, status), FakeMailer()
    mail = ExportMail(store, mailer, "https://app.example")
    assert mail.completed(RUN) if status is Status.COMPLETED else mail.failed(RUN)
    ((to, sent),) = mailer.sent
    assert to == export.email
    assert store.is_mailed
    return sent, store


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("pt-BR", ("O arquivo que você pediu", "2.400.000", "61,4 MB", "08/10/2025 09:30",
                   "01/09/2025 00:00 a 01/10/2025 00:00", "Leituras originais")),
        ("en", ("The file that you asked", "2,400,000", "61.4 MB", "2025-10-08 09:30",
                "2025-09-01 00:00 to 2025-10-01 00:00", "Original readings")),
    ],
)  # fmt: skip
def test_the_e_mail_says_what_was_asked_for_and_what_came_of_it(
    locale: Locale, words: tuple[str, ...]
) -> None:
    mail, store = mailed(replace(READY, locale=locale))
    for part in (mail.html, mail.text):
        for word in (*words, "chiller-0", "temp_agua", "America/Recife"):
            assert word in part, word
    assert "<script>" not in mail.html
    assert "Ana &lt;b&gt;Souza" in mail.html
    assert "<script>" in mail.text
    assert f'<html lang="{locale}">' in mail.html
    ((digest, expires_at),) = store.links
    assert expires_at == EXPIRES
    for part in (mail.html, mail.text):
        tokens = set(re.findall(r"https://app\.example/d/([A-Za-z0-9_-]{43})\b", part))
        assert [digest_of(token) for token in tokens] == [digest]


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("failure", Failure)
def test_an_e_mail_of_a_failure_says_why_and_opens_nothing(
    locale: Locale, failure: Failure
) -> None:
    mail, store = mailed(replace(READY, locale=locale, error=failure.value), Status.FAILED)
    for part in (mail.html, mail.text):
        assert failure_text(failure, locale) in part
        assert str(RUN.export_id) in part
        assert "/d/" not in part
    assert store.links == []


def test_points_beyond_a_few_are_counted() -> None:
    mail, _ = mailed(replace(READY, points=tuple(f"p{n}" for n in range(9))))
    assert "p0, p1, p2, p3, p4, p5 e mais 3" in mail.text
    mail, _ = mailed(replace(READY, points=None, device=None))
    assert "Todos os pontos" in mail.text
    assert "Todos os equipamentos" in mail.text


def test_who_was_told_is_not_told_again_and_who_was_not_is() -> None:
    store, mailer = FakeStore(), FakeMailer(MailAway("throttled"))
    mail = ExportMail(store, mailer, "https://app.example")
    with pytest.raises(MailAway):
        mail.completed(RUN)
    assert not store.is_mailed
    mailer.failure = None
    assert mail.completed(RUN)
    assert not mail.completed(RUN)
    assert not mail.failed(RUN)
    # The link of the try that failed may have arrived all the same: it opens as well.
    assert (len(mailer.sent), len(store.links)) == (1, 2)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_an_e_mail_that_is_refused_is_noted_counted_and_never_tried_again(status: Status) -> None:
    store, mailer = FakeStore(status=status), FakeMailer(MailRefused("on the suppression list"))
    outcomes: list[str] = []
    mail = ExportMail(store, mailer, "https://app.example", outcomes.append)
    tell = mail.completed if status is Status.COMPLETED else mail.failed
    for _ in range(3):
        assert not tell(RUN)
    assert (store.is_mailed, store.is_refused) == (False, True)
    assert (mailer.tries, outcomes) == (1, ["refused"])


def test_an_e_mail_that_is_away_is_neither_noted_nor_counted_until_it_is_sent() -> None:
    store, mailer = FakeStore(), FakeMailer(MailAway("throttled"))
    outcomes: list[str] = []
    mail = ExportMail(store, mailer, "https://app.example", outcomes.append)
    with pytest.raises(MailAway):
        mail.completed(RUN)
    assert (store.is_refused, outcomes) == (False, [])
    mailer.failure = None
    assert mail.completed(RUN)
    assert outcomes == ["sent"]


def test_a_message_has_both_parts_and_no_header_of_anybody_else() -> None:
    mail, _ = mailed(READY)
    raw = compose("TrakSense <no-reply@traksense.example>", "ana@acme.example", mail)
    message = email.message_from_bytes(raw, policy=policy.default)
    assert message["Subject"] == "Sua exportação está pronta"
    assert message["Auto-Submitted"] == "auto-generated"
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    with pytest.raises(MailRefused):
        SesMailer("no-reply@traksense.example", "us-east-1", None, _no_client).send(
            "ana@acme.example\r\nBcc: eve@evil.example", mail
        )


def _no_client(_region: str) -> Any:
    raise AssertionError("nothing may be sent")


@pytest.mark.parametrize(
    ("size", "english", "portuguese"),
    [(0, "0 B", "0 B"), (999, "999 B", "999 B"), (1_000, "1.0 kB", "1,0 kB"),
     (99_940, "99.9 kB", "99,9 kB"), (99_960, "100 kB", "100 kB"),
     (999_600, "1.0 MB", "1,0 MB"), (5_300_000_000_000_000, "5,300 TB", "5.300 TB")],
)  # fmt: skip
def test_sizes_are_written_as_people_do(size: int, english: str, portuguese: str) -> None:
    assert (size_text(size, "en"), size_text(size, "pt-BR")) == (english, portuguese)
    assert (count_text(1234567, "en"), count_text(1234567, "pt-BR")) == ("1,234,567", "1.234.567")
