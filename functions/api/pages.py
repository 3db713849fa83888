"""Errors for somebody who followed a link: a small page in her language, without a script.

What the page may load is nothing; its one style is named by its hash (CSP Level 3, 2.3.1).
"""

from __future__ import annotations

import base64
import hashlib
import html
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

from chalice.app import Request, Response

from functions.api import errors
from functions.api.calls import instance_of, locale_of
from traksense.i18n.catalogue import Locale, translate
from traksense.services.exports import LinkOver

CONTENT_TYPE: Final = "text/html; charset=utf-8"
_FILES: Final = Path(__file__).with_name("link_page")
_KINDS: Final = {404: "unknown", 410: "over"}
"""What is said of a link, by status; whatever else it is, another try may succeed."""


def respond(error: BaseException, request: Request) -> Response:
    """An error as a page, with the status and the log of the problem that it is.

    In the language of the request, or where that says nothing, in the one that the e-mail had.
    """
    locale = locale_of(request)
    if isinstance(error, LinkOver) and not request.headers.get("accept-language"):
        locale = error.locale
    problem = errors.respond(error, locale, instance_of(request))
    kind = _KINDS.get(problem.status_code, "busy")
    kept = {name: problem.headers[name] for name in ("Retry-After",) if name in problem.headers}
    return Response(
        body=page(kind, locale),
        status_code=problem.status_code,
        headers={
            "Content-Type": CONTENT_TYPE,
            "Content-Language": locale,
            "Content-Security-Policy": policy(),
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            **kept,
        },
    )


def page(kind: str, locale: Locale) -> str:
    """The page of a kind of error."""

    def say(key: str) -> str:
        return html.escape(translate(locale, f"export.link.{key}"))

    return Template(_read("page.html")).substitute(
        lang=locale,
        title=say(f"{kind}.title"),
        text=say(f"{kind}.text"),
        action=say("action"),
        style=_read("page.css"),
    )


@cache
def policy() -> str:
    """What the page may do."""
    digest = base64.b64encode(hashlib.sha256(_read("page.css").encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _read(name: str) -> str:
    return (_FILES / name).read_text("utf-8")
