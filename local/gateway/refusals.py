"""The gateway's own refusals, in the API's words and in the caller's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from functions.api.problem import problem as api_problem
from traksense.i18n.catalogue import negotiate

from .events import raw_path
from .problems import Answer, Headers, problem

# The API's catalogue has no words for what only a broken or hostile client ever sees.
_CODES: Final = {
    400: "malformed",
    401: "unauthenticated",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    500: "internal",
    503: "unavailable",
}


def refusal(
    status: int, accept_language: str | None, instance: str, headers: Headers = ()
) -> Answer:
    """A problem document, the same that the API makes of this status."""
    code = _CODES.get(status)
    if code is None:
        return problem(status, headers)
    made = api_problem(
        status,
        code,
        locale=negotiate(accept_language),
        instance=instance,
        headers=dict(headers),
    )
    body = str(made.body).encode()
    named = tuple((name, str(value)) for name, value in made.headers.items())
    return Answer(status, (*named, ("Content-Length", str(len(body)))), body)


def refuse(environ: Mapping[str, Any], status: int, headers: Headers = ()) -> Answer:
    """The refusal of one request."""
    return refusal(status, environ.get("HTTP_ACCEPT_LANGUAGE"), raw_path(environ), headers)
