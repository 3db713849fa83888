"""``/mailbox/<key>/``: the e-mails that the local SES took, newest first.

They hold temporary passwords and codes, so the address has a random key that only the home's
owner can read (``mailbox_url`` in ``endpoints.json``). An e-mail's HTML runs nothing and reaches
nothing: it is framed in a sandbox, under a policy that forbids all but its own styles.
"""

from __future__ import annotations

import hmac
import html
import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, unquote

from local.aws.mailbox import KeptMail, Mailbox
from traksense.i18n.catalogue import Locale, negotiate

from .problems import Answer

PREFIX: Final = "/mailbox/"
_HTML: Final = "text/html; charset=utf-8"
_PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_MAIL_POLICY: Final = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'self'"
)


def mailbox_url(base: str, key: str) -> str:
    """Where the page is."""
    return f"{base}{PREFIX}{quote(key, safe='')}/"


class MailboxPage:
    """The page over a mailbox, for who knows its key."""

    def __init__(self, mailbox: Mailbox, key: str) -> None:
        self._mailbox = mailbox
        self._key = key

    def answer(self, raw_path: str, query: str, accept_language: str | None) -> Answer | None:
        """The page, or the HTML of one e-mail; None where there is neither, or the key is wrong."""
        key, _, rest = raw_path.removeprefix(PREFIX).partition("/")
        if not hmac.compare_digest(unquote(key).encode(), self._key.encode()):
            return None
        if rest == "":
            chosen = parse_qs(query).get("id", [""])[0]
            page = _page(self._mailbox.newest_first(), chosen, negotiate(accept_language))
            return _answer(page, _PAGE_POLICY, "DENY")
        mail = self._mailbox.get(rest.removesuffix(".html"))
        if mail is None or mail.html is None:
            return None
        return _answer(_opening_elsewhere(mail.html), _MAIL_POLICY, "SAMEORIGIN")


def _page(mails: list[KeptMail], chosen: str, locale: Locale) -> str:
    say = _texts()[locale]
    mail = next((each for each in mails if each.id == chosen), mails[0] if mails else None)
    content = (
        f'<p class="empty">{html.escape(say["empty"])}</p>'
        if mail is None
        else f'<div class="box"><nav>{"".join(_entry(each, mail) for each in mails)}</nav>'
        f"<main>{_mail(mail, say)}</main></div>"
    )
    return (
        f'<!doctype html><html lang="{locale}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(say['title'])} · TrakSense</title><style>{_style()}</style></head>"
        f"<body><header><h1>{html.escape(say['title'])}</h1><p>{html.escape(say['lead'])} "
        f'<a href="?">{html.escape(say["refresh"])}</a></p></header>{content}</body></html>'
    )


def _entry(mail: KeptMail, shown: KeptMail) -> str:
    current = ' aria-current="true"' if mail.id == shown.id else ""
    return (
        f'<a href="?id={quote(mail.id)}"{current}><strong>{html.escape(mail.subject)}</strong>'
        f"{html.escape(', '.join(mail.recipients))}<br><small>{_when(mail)}</small></a>"
    )


def _mail(mail: KeptMail, say: Mapping[str, str]) -> str:
    facts = ((say["to"], ", ".join(mail.recipients)), (say["from"], mail.sender),
             (say["at"], _when(mail)))  # fmt: skip
    parts = [
        f"<article><h2>{html.escape(mail.subject)}</h2><dl>",
        *(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in facts),
        "</dl>",
    ]
    if mail.html is not None:
        parts.append(
            f'<iframe sandbox="allow-popups allow-popups-to-escape-sandbox" '
            f'src="{quote(mail.id)}.html" title="{html.escape(mail.subject)}"></iframe>'
        )
    links = [word for word in mail.text.split() if word.startswith(("http://", "https://"))]
    if links:
        items = "".join(
            f'<li><a href="{html.escape(link)}" target="_blank" rel="noopener noreferrer">'
            f"{html.escape(link)}</a></li>"
            for link in dict.fromkeys(links)
        )
        parts.append(f"<h3>{html.escape(say['links'])}</h3><ul>{items}</ul>")
    parts.append(
        f"<h3>{html.escape(say['text'])}</h3><pre>{html.escape(mail.text)}</pre></article>"
    )
    return "".join(parts)


def _when(mail: KeptMail) -> str:
    return datetime.fromtimestamp(mail.received_at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _opening_elsewhere(content: str) -> str:
    """The e-mail with links that open beside the mailbox, not in its frame."""
    base = '<base target="_blank">'
    if "<head>" in content:
        return content.replace("<head>", f"<head>{base}", 1)
    return f"{base}{content}"


def _answer(content: str, policy: str, frames: str) -> Answer:
    body = content.encode("utf-8", "replace")
    return Answer(
        200,
        (
            ("Content-Type", _HTML),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy),
            ("X-Frame-Options", frames),
            ("Cache-Control", "no-store"),
        ),
        body,
    )


@cache
def _texts() -> Mapping[Locale, Mapping[str, str]]:
    found: Mapping[Locale, Mapping[str, str]] = json.loads(_file("mailbox.json"))
    return found


@cache
def _style() -> str:
    return _file("mailbox.css")


def _file(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8")
