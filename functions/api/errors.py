"""One table from domain errors to HTTP. What is not in it is 500, logged, and says nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from chalice.app import Response

from functions.api.problem import problem
from traksense.auth.errors import BadCredentials, Throttled
from traksense.domain.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    RetryableError,
    TooManyRequests,
)
from traksense.i18n.catalogue import Locale, Text
from traksense.services.exports import TooManyExports
from traksense.services.paging import Malformed

_log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 5


class Unauthenticated(Exception):
    """The request carries no verified identity."""


class MethodNotAllowed(Exception):
    """The address does not take this method."""


class TooLarge(Exception):
    """The request's body is larger than the route takes."""


class AddressTooLong(Exception):
    """The path and the query are longer than any route takes."""


class HeadersTooLarge(Exception):
    """The headers are more, or larger, than any route takes."""


class UnsupportedMediaType(Exception):
    """The body is not JSON."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How an error is answered; ``code`` is the end of the problem's type."""

    status: int
    code: str


# The most specific class of an error that is listed here counts.
ANSWERS: Final[Mapping[type[BaseException], Answer]] = {
    Malformed: Answer(400, "malformed"),
    Unauthenticated: Answer(401, "unauthenticated"),
    BadCredentials: Answer(401, "bad_credentials"),
    Forbidden: Answer(403, "forbidden"),
    NotFound: Answer(404, "not_found"),
    MethodNotAllowed: Answer(405, "method_not_allowed"),
    Conflict: Answer(409, "conflict"),
    Gone: Answer(410, "gone"),
    TooLarge: Answer(413, "too_large"),
    AddressTooLong: Answer(414, "address_too_long"),
    UnsupportedMediaType: Answer(415, "unsupported_media_type"),
    Invalid: Answer(422, "invalid"),
    Throttled: Answer(429, "throttled"),
    TooManyRequests: Answer(429, "too_many_requests"),
    TooManyExports: Answer(429, "too_many_exports"),
    HeadersTooLarge: Answer(431, "headers_too_large"),
    RetryableError: Answer(503, "unavailable"),
}
INTERNAL: Final = Answer(500, "internal")

# Chalice answers these itself, before a route is reached.
CHALICE: Final[Mapping[int, Callable[[], Exception]]] = {
    400: lambda: Malformed("malformed"),
    404: NotFound,
    405: MethodNotAllowed,
    415: UnsupportedMediaType,
}


def answer_for(error: BaseException) -> Answer:
    """The row of the table for an error."""
    for kind in type(error).__mro__:
        if kind in ANSWERS:
            return ANSWERS[kind]
    return INTERNAL


def respond(error: BaseException, locale: Locale, instance: str) -> Response:
    """An error as a response. Errors of ours and of others' programs are logged."""
    answer = answer_for(error)
    if answer.status == INTERNAL.status:
        _log.error("a request failed", exc_info=error)
    elif answer.status == 503:
        _log.warning("a part is away: %s", error)
    return problem(
        answer.status,
        answer.code,
        locale=locale,
        instance=instance,
        # Only what comes from the catalogue is known to hold nothing that must not leave.
        detail=next((part for part in error.args if isinstance(part, Text)), None),
        errors=error.errors if isinstance(error, Invalid | Conflict) else (),
        headers=_headers(error, answer),
    )


def _headers(error: BaseException, answer: Answer) -> dict[str, str]:
    if answer.status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, Throttled | TooManyRequests | TooManyExports):
        return {"Retry-After": str(error.retry_after_s)}
    if answer.status == 503:
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {}
