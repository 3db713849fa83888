"""``@route``: who may call, what comes in, what goes out, declared in one place per route.

The one decorator checks the role, finds the tenant, validates parameters and body, maps errors,
and enters the route in ``REGISTRY``, from which documents and tests are made. A route without
roles, or without a decision about the audit log, cannot be registered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, cast

from chalice.app import Blueprint, Response
from pydantic import BaseModel

from functions.api.answering import answer
from functions.api.auditing import Audited, Decision
from functions.api.calls import (
    AUTHORIZER,
    CSV,
    EVERYONE,
    JSON,
    MAX_BODY_BYTES,
    OPS,
    PATH_TEXTS,
    PUBLIC,
    TENANT_HEADER,
    TENANT_PARAMETER,
    B,
    Call,
    Download,
    Encoded,
    Header,
    P,
    Reply,
    Roles,
    Route,
    View,
    current,
    instance_of,
    locale_of,
)
from functions.api.validation import (
    NoParams,
)

__all__ = [
    "CSV",
    "EVERYONE",
    "JSON",
    "OPS",
    "PATH_TEXTS",
    "PUBLIC",
    "REGISTRY",
    "TENANT_HEADER",
    "TENANT_PARAMETER",
    "Call",
    "Download",
    "Encoded",
    "Header",
    "Reply",
    "Roles",
    "Route",
    "current",
    "instance_of",
    "locale_of",
    "route",
]
"""What a file of routes needs comes from here."""

REGISTRY: Final[dict[tuple[str, str], Route]] = {}
"""Every route by (method, path)."""


def route(
    blueprint: Blueprint,
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
    path: str,
    *,
    roles: Roles,
    audit: Decision,
    response: Any,
    params: type[P] = NoParams,  # type: ignore[assignment] # the default binds P
    body: type[B] | None = None,
    statuses: tuple[int, ...] = (200,),
    media_types: tuple[str, ...] = (JSON,),
    text_body: str | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    is_limited: bool = True,
    errors: tuple[int, ...] = (),
    conditional: bool = False,
    headers: tuple[Header, ...] = (),
    answer_headers: tuple[Header, ...] = (),
    has_optional_body: bool = False,
    is_for_people: bool = False,
) -> Callable[[View[P, B]], View[P, B]]:
    """Register a view. It gives a model, Encoded, or a Reply with a status of its own.

    ``response`` is None where an answer has no body. With ``text_body`` (a media type such as
    ``text/csv``) the call's body is the text that came. ``errors`` are statuses that not every
    such route has (those are in ``openapi/problems.py``). ``conditional`` says that the answer is
    Encoded; ``headers`` and ``answer_headers`` are those that only this route has.

    Raises ValueError for a route without roles, one that is there already, one whose view says
    nothing about itself, and one that writes and is not audited.
    """

    def register(view: View[P, B]) -> View[P, B]:
        where = f"{method} {path}"
        if not roles:
            raise ValueError(f"{where} names no role that may call it")
        if not isinstance(audit, Audited) and method != "GET":
            raise ValueError(f"{where} may change something and is not audited")
        if (method, path) in REGISTRY:
            raise ValueError(f"{where} is registered twice")
        if not view.__doc__:
            raise ValueError(f"{where} does not say what it is for")
        spec = Route(
            method=method,
            path=path,
            roles=roles,
            params=params,
            body=cast("type[BaseModel] | None", body),
            response=response,
            statuses=statuses,
            summary=view.__doc__.strip().splitlines()[0],
            audit=audit,
            media_types=media_types,
            text_body=text_body,
            max_body_bytes=max_body_bytes,
            is_limited=is_limited,
            name=view.__name__,
            subject=view.__module__,
            errors=errors,
            conditional=conditional,
            headers=headers,
            answer_headers=answer_headers,
            has_optional_body=has_optional_body,
            is_for_people=is_for_people,
        )
        REGISTRY[method, path] = spec

        def endpoint(**names: str) -> Response:
            return answer(spec, view, names)

        blueprint.route(
            path,
            methods=[method],
            name=view.__name__,
            authorizer=None if spec.is_public else AUTHORIZER,
            content_types=[JSON] if body is not None else [text_body] if text_body else [],
        )(endpoint)
        return view

    return register
