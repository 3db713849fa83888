"""With which errors a route can answer, and what such an answer looks like."""

from __future__ import annotations

from typing import Any, Final

from functions.api.errors import ANSWERS, INTERNAL
from functions.api.openapi.schemas import PREFIX
from functions.api.problem import CONTENT_TYPE, problem_type
from functions.api.routing import Route

_ANY: Final = (400, 414, 422, 431, 500, 503)
_WITH_TOKEN: Final = (401, 403, 404)
_LIMITED: Final = (403, 429)
_WITH_BODY: Final = (413, 415)
_OF_WRITES: Final = (409,)

NAMES: Final[dict[int, str]] = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Gone",
    413: "ContentTooLarge",
    414: "UriTooLong",
    415: "UnsupportedMediaType",
    422: "UnprocessableContent",
    429: "TooManyRequests",
    431: "RequestHeaderFieldsTooLarge",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}
"""RFC 9110's phrases, and 429's of RFC 6585. Python's own change between its versions."""
_HEADERS: Final[dict[int, str]] = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
HEADERS: Final[dict[str, Any]] = {
    "Content-Language": {
        "description": "The language of the answer's texts.",
        "schema": {"type": "string"},
    },
    "Content-Security-Policy": {
        "description": "What a page may do: nothing but show itself.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Changes with the answer; give it back as If-None-Match.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "Where it can be read.", "schema": {"type": "string"}},
    "Referrer-Policy": {
        "description": "The address of a page is told to nobody.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the same call may succeed.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}},
}


def statuses_of(spec: Route) -> list[int]:
    """The statuses of every error that a route can answer with."""
    found = {*_ANY, *spec.errors}
    if spec.is_limited:
        found.update(_LIMITED)
    if not spec.is_public:
        found.update(_WITH_TOKEN)
        if spec.method != "GET":
            found.update(_OF_WRITES)
    elif "{" in spec.path:
        found.add(404)
    if spec.body is not None or spec.text_body is not None:
        found.update(_WITH_BODY)
    return sorted(found)


def types_of(status: int) -> list[str]:
    """The types of the problems that have a status."""
    known = (*ANSWERS.values(), INTERNAL)
    return sorted({problem_type(answer.code) for answer in known if answer.status == status})


def name_of(status: int) -> str:
    """What the answer with a status is called among the components."""
    return NAMES[status]


def content() -> dict[str, Any]:
    """The body of every error."""
    return {CONTENT_TYPE: {"schema": {"$ref": PREFIX + "Problem"}}}


def page(status: int) -> dict[str, Any]:
    """The answer with a status to somebody who followed a link: a page, once a route is reached."""
    made = response(status)
    made["headers"] |= {
        name: {"$ref": f"#/components/headers/{name}"}
        for name in ("Content-Security-Policy", "Referrer-Policy")
    }
    made["content"] |= {"text/html": {"schema": {"type": "string"}}}
    return made


def response(status: int) -> dict[str, Any]:
    """The answer with a status. Raises ValueError where no problem of ours has it."""
    types = types_of(status)
    if not types:
        raise ValueError(f"no error is answered with {status}")
    names = ["Content-Language", *([_HEADERS[status]] if status in _HEADERS else [])]
    return {
        "description": " or ".join(f"`{each}`" for each in types) + ".",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": content(),
    }
