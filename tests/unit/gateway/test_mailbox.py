"""The page that shows e-mails: for who has its key, and harmless whatever an e-mail holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.aws.mailbox import MOST_KEPT, Mailbox
from local.gateway.mailbox import MailboxPage, mailbox_url

KEY = "a-key_of=the home"
HOSTILE = "<script>document.title='owned'</script>"


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path / "mail")


@pytest.fixture
def page(mailbox: Mailbox) -> MailboxPage:
    return MailboxPage(mailbox, KEY)


def path(rest: str = "", key: str = KEY) -> str:
    return mailbox_url("", key) + rest


def test_the_newest_e_mail_is_shown_first_with_its_text_and_links(
    mailbox: Mailbox, page: MailboxPage
) -> None:
    mailbox.add("a@x.example", ["ana@acme.example"], "First", "one", None)
    mailbox.add("a@x.example", ["bia@acme.example"], "Second", "see http://x.example/y", "<p>2")
    answer = page.answer(path(), "", "en")
    assert answer is not None
    shown = answer.body.decode()
    assert shown.index("Second") < shown.index("First")
    assert '<a href="http://x.example/y" target="_blank"' in shown
    assert "<iframe sandbox=" in shown
    first = mailbox.newest_first()[1]
    chosen = page.answer(path(), f"id={first.id}", "en")
    assert chosen is not None
    assert b"<h2>First</h2>" in chosen.body


def test_an_e_mail_is_text_on_the_page_and_sandboxed_in_its_frame(
    mailbox: Mailbox, page: MailboxPage
) -> None:
    mailbox.add(HOSTILE, [HOSTILE], HOSTILE, HOSTILE, f"<html><head></head>{HOSTILE}")
    shown = page.answer(path(), "", None)
    assert shown is not None
    assert b"<script" not in shown.body
    framed = page.answer(path(f"{mailbox.newest_first()[0].id}.html"), "", None)
    assert framed is not None
    headers = dict(framed.headers)
    assert headers["Content-Security-Policy"].startswith("sandbox ")
    assert "allow-scripts" not in headers["Content-Security-Policy"]
    assert "allow-same-origin" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "asked", ["/mailbox/", "/mailbox/x/", path(key="other"), path("none.html"), path("../x"),
              path("%00.html"), path("../../users.json"), "/mailbox/é/"]
)  # fmt: skip
def test_without_the_key_and_for_what_is_not_there_there_is_nothing(
    mailbox: Mailbox, page: MailboxPage, asked: str
) -> None:
    mailbox.add("a@x.example", ["ana@acme.example"], "First", "one", "<p>1")
    assert page.answer(asked, "", None) is None


def test_an_empty_mailbox_says_so_in_both_languages(page: MailboxPage) -> None:
    for language, said in (("pt-BR", "Nenhum e-mail ainda"), ("en", "No e-mail yet")):
        answer = page.answer(path(), "", language)
        assert answer is not None
        assert said in answer.body.decode()


def test_the_mailbox_keeps_the_newest_and_belongs_to_its_owner(
    mailbox: Mailbox, tmp_path: Path
) -> None:
    for number in range(MOST_KEPT + 3):
        mailbox.add("a@x.example", ["b@x.example"], str(number), "", None)
    kept = mailbox.newest_first()
    assert len(kept) == MOST_KEPT
    assert kept[0].subject == str(MOST_KEPT + 2)
    for file in (tmp_path / "mail").iterdir():
        assert file.stat().st_mode & 0o077 == 0
    (tmp_path / "mail" / "0damaged.json").write_text("{")
    assert len(mailbox.newest_first()) == MOST_KEPT
