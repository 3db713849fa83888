"""``application/problem+json`` (RFC 9457): the one shape of every error that leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chalice.app import Response

from traksense.i18n.catalogue import Locale, Text, translate

CONTENT_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:traksense:problem:"


def problem_type(code: str) -> str:
    """The type of the problem that a code stands for."""
    return TYPE_PREFIX + code.replace("_", "-")


def clean(text: str) -> str:
    """Text that can be encoded as UTF-8, whatever a caller put into it."""
    return text.encode("utf-8", "replace").decode("utf-8")


def said(message: str, locale: Locale) -> str:
    """A message in a locale where the catalogue has it."""
    return message.into(locale) if isinstance(message, Text) else message


def problem(
    status: int,
    code: str,
    *,
    locale: Locale,
    instance: str,
    detail: Text | None = None,
    errors: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response.

    ``code`` ends its ``type``, which front ends go by, and chooses the title and, where
    ``detail`` is None, the detail. ``errors`` are (where, what) of each value at fault.
    """
    body: dict[str, Any] = {
        "type": problem_type(code),
        "title": translate(locale, f"problem.{code}.title"),
        "status": status,
        "detail": clean(
            translate(locale, f"problem.{code}.detail") if detail is None else detail.into(locale)
        ),
        "instance": clean(instance),
    }
    if errors:
        body["errors"] = [
            {"loc": clean(where), "msg": clean(said(what, locale))} for where, what in errors
        ]
    return Response(
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        status_code=status,
        headers={
            "Content-Type": CONTENT_TYPE,
            "Content-Language": locale,
            "Cache-Control": "no-store",
            **(headers or {}),
        },
    )
