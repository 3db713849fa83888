"""E-mails: a subject, HTML and text, from the catalogue and one layout. Pure.

Mail programs know little of CSS, so the layout is a table with its style on each element. Cognito
sends the HTML alone (docs/reference/local-and-aws.md).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template

from traksense.i18n.catalogue import Locale, translate


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail without its addresses."""

    subject: str
    html: str
    text: str
    """The same for who reads no HTML."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A label, and a value that is HTML already or one of Cognito's places."""

    label: str
    value: str
    size: str = "17px"


def compose(
    locale: Locale,
    kind: str,
    *,
    name: str,
    url: str,
    facts: Sequence[Fact] = (),
    rows: Sequence[Fact] = (),
    lead: str = "lead",
    params: Mapping[str, object] | None = None,
) -> Mail:
    """The e-mail ``mail.<kind>.*`` of the catalogue; what people wrote is escaped.

    ``facts`` are to be copied and stand out, ``rows`` are a table to be read; both are labelled by
    keys of ``kind``. ``lead`` is the key of the first sentence.
    """

    def plainly(key: str) -> str:
        return translate(locale, key, params or {})

    def say(key: str) -> str:
        return html.escape(plainly(key))

    subject = translate(locale, f"mail.{kind}.subject")
    hello = (
        translate(locale, "mail.hello", {"name": name})
        if name.strip()
        else translate(locale, "mail.hello_nameless")
    )
    return Mail(
        subject,
        _template("mail_layout.html").substitute(
            lang=locale,
            subject=html.escape(subject),
            preview=say(f"mail.{kind}.{lead}"),
            title=say(f"mail.{kind}.title"),
            hello=html.escape(hello),
            lead=say(f"mail.{kind}.{lead}"),
            facts="".join(
                _template("mail_fact.html").substitute(
                    label=say(f"mail.{kind}.{fact.label}"), value=fact.value, size=fact.size
                )
                for fact in facts
            ),
            rows=_table(
                _template("mail_row.html").substitute(
                    label=say(f"mail.{kind}.{row.label}"), value=row.value
                )
                for row in rows
            ),
            url=html.escape(url),
            action=say(f"mail.{kind}.action"),
            next=say(f"mail.{kind}.next"),
            ignore=say(f"mail.{kind}.ignore"),
            footer=say("mail.footer"),
        ),
        "\n\n".join(
            (
                hello,
                plainly(f"mail.{kind}.{lead}"),
                *(
                    "\n".join(
                        f"{plainly(f'mail.{kind}.{fact.label}')}: {html.unescape(fact.value)}"
                        for fact in part
                    )
                    for part in (facts, rows)
                    if part
                ),
                f"{plainly(f'mail.{kind}.action')}:\n{url}",
                plainly(f"mail.{kind}.next"),
                plainly(f"mail.{kind}.ignore"),
                f"-- \n{plainly('mail.footer')}\n",
            )
        ),
    )


def _table(rows: Iterable[str]) -> str:
    content = "".join(rows)
    return _template("mail_rows.html").substitute(rows=content) if content else ""


@cache
def _template(name: str) -> Template:
    return Template(resources.files(__package__).joinpath(name).read_text("utf-8"))
