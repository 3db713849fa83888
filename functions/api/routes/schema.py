"""The API's own description."""

from __future__ import annotations

from typing import Any, Final

from chalice.app import Blueprint

from functions.api.auditing import NotAudited
from functions.api.routing import PUBLIC, Call, Encoded, route
from functions.api.validation import NoParams

blueprint: Final = Blueprint(__name__)


@route(
    blueprint,
    "GET",
    "/schema",
    roles=PUBLIC,
    audit=NotAudited("it says only what the API is"),
    response=dict[str, Any],
    conditional=True,
)
def read_schema(call: Call[NoParams, None]) -> Encoded:  # noqa: ARG001
    """Describes every route, parameter, body, answer and error: OpenAPI 3.1."""
    from functions.api.openapi.document import encoded

    return Encoded(encoded())
