"""``@route``: who may call, what comes in, what goes out, declared in one place per route.

The one decorator checks the role, finds the tenant, validates parameters and body, maps errors,
and enters the route in ``REGISTRY``, from which documents and tests are made. A route without
roles, or without a decision about the audit log, cannot be registered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar, cast
from uuid import UUID

from chalice.app import Blueprint, CognitoUserPoolAuthorizer, Request, Response
from pydantic import BaseModel

from functions.api import errors
from functions.api.auditing import Decision
from functions.api.representation import preferred, represent
from functions.api.services import services
from functions.api.validation import (
    NoParams,
    Params,
    read_body,
    read_params,
    read_text,
    read_uuid,
)
from traksense.auth.identity import Identity, Role, identity_from_claims
from traksense.contracts.topics import SLUG_PATTERN
from traksense.domain.errors import Forbidden, Invalid, NotFound
from traksense.i18n.catalogue import Locale, negotiate, text
from traksense.observability import log_context
from traksense.services.paging import Malformed
from traksense.services.scope import Scope
from traksense.wiring.api import ApiServices

P = TypeVar("P", bound=Params)
B = TypeVar("B")

JSON: Final = "application/json"
CSV: Final = "text/csv"
MAX_BODY_BYTES: Final = 64 * 1024
TENANT_HEADER: Final = "X-Tenant"
TENANT_PARAMETER: Final = "tenant"

Roles = frozenset[Role] | Literal["public"]
PUBLIC: Final = "public"
"""No token is asked for."""
EVERYONE: Final = frozenset(Role)
OPS: Final = frozenset({Role.INTERNAL_OPS})

PATH_TEXTS: Final[Mapping[str, re.Pattern[str]]] = {
    "slug": re.compile(SLUG_PATTERN),
    "code": re.compile(r"[a-z0-9_-]{1,64}"),
    "version": re.compile(r"[1-9][0-9]{0,8}"),
    "cmd_id": re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}"),
}
"""The variables of paths that are no uuid, by name."""

# Marks a route as one that API Gateway lets nobody reach without a token. Which pool that is, is
# the deployment's to say.
AUTHORIZER: Final = CognitoUserPoolAuthorizer("traksense-users", provider_arns=[])


@dataclass(frozen=True, slots=True)
class Route:
    """A route as it was declared."""

    method: str
    path: str
    roles: Roles
    params: type[Params]
    body: type[BaseModel] | None
    response: Any
    """The model of a successful answer, or a union of models."""
    statuses: tuple[int, ...]
    summary: str
    audit: Decision
    media_types: tuple[str, ...] = (JSON,)
    """What a successful answer may be in; the first is the default."""
    text_body: str | None = None
    """Media type of a body that is text rather than a JSON model, which ``body`` then is not."""
    max_body_bytes: int = MAX_BODY_BYTES

    @property
    def is_public(self) -> bool:
        """Whether no token is asked for."""
        return self.roles == PUBLIC


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer that is bytes already: for what is too large for a model."""

    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer with a status or headers of its own. Without a value: no body (204)."""

    status: int
    value: BaseModel | Encoded | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call(Generic[P, B]):
    """One call of a route, read and checked."""

    params: P
    body: B
    ids: Mapping[str, UUID]
    """Ids in the path, by name."""
    names: Mapping[str, str]
    """What else is variable in the path, by name: those of ``PATH_TEXTS``."""
    headers: Mapping[str, str]
    """The request's, in lower case."""
    locale: Locale
    media_type: str
    """The one of the route's media types that the caller wants most."""
    _identity: Identity | None
    _scope: Scope | None

    @property
    def services(self) -> ApiServices:
        """What the platform can do. Raises ConfigurationError."""
        return services.get()

    @property
    def identity(self) -> Identity:
        """The caller. Only where the route is not public."""
        if self._identity is None:
            raise errors.Unauthenticated
        return self._identity

    @property
    def scope(self) -> Scope:
        """In whose sight the call runs. Only where the route is not public."""
        if self._scope is None:
            raise errors.Unauthenticated
        return self._scope


REGISTRY: Final[dict[tuple[str, str], Route]] = {}
"""Every route by (method, path)."""

current: Final[ContextVar[Request]] = ContextVar("request")
"""The request of this thread. The app's own ``current_request`` is one for all threads."""

View = Callable[[Call[P, B]], Any]


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
) -> Callable[[View[P, B]], View[P, B]]:
    """Register a view. It gives a model, Encoded, or a Reply with a status of its own.

    ``response`` is None where an answer has no body. With ``text_body`` (a media type such as
    ``text/csv``) the call's body is the text that came.

    Raises ValueError for a route without roles, one that is there already, or one whose view
    says nothing about itself.
    """

    def register(view: View[P, B]) -> View[P, B]:
        where = f"{method} {path}"
        if not roles:
            raise ValueError(f"{where} names no role that may call it")
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
        )
        REGISTRY[method, path] = spec

        def endpoint(**names: str) -> Response:
            return _answer(spec, view, names)

        blueprint.route(
            path,
            methods=[method],
            name=view.__name__,
            authorizer=None if spec.is_public else AUTHORIZER,
            content_types=[JSON] if body is not None else [text_body] if text_body else [],
        )(endpoint)
        return view

    return register


def instance_of(request: Request) -> str:
    """The path that was called, without the stage."""
    return str(request.to_original_event().get("path") or request.path)


def locale_of(request: Request) -> Locale:
    """The caller's language."""
    return negotiate(request.headers.get("accept-language"))


def _answer(spec: Route, view: View[Any, Any], names: Mapping[str, str]) -> Response:
    request = current.get()
    locale = locale_of(request)
    try:
        identity = None if spec.is_public else _identity(spec, request)
        given = dict(request.query_params._dict) if request.query_params is not None else {}
        scope = None if identity is None else _scope(identity, request, given)
        with log_context(tenant=None if scope is None else _logged(scope)):
            call = Call(
                params=read_params(spec.params, given, spec.params.repeatable),
                body=_body(spec, request),
                ids=_ids(names),
                names=_names(names),
                headers=request.headers,
                locale=locale,
                media_type=preferred(request.headers.get("accept"), spec.media_types),
                _identity=identity,
                _scope=scope,
            )
            return _success(request, view(call))
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes an answer
        return errors.respond(error, locale, instance_of(request))


def _identity(spec: Route, request: Request) -> Identity:
    claims = (request.context.get("authorizer") or {}).get("claims")
    if not claims:
        raise errors.Unauthenticated
    identity = identity_from_claims(claims)
    if spec.roles == PUBLIC or identity.role not in spec.roles:
        raise Forbidden
    return identity


def _scope(identity: Identity, request: Request, given: dict[str, list[str]]) -> Scope:
    """The caller's own tenant, or the one that an operator chose, or all of them.

    Takes the choice out of the parameters.
    """
    chosen = given.pop(TENANT_PARAMETER, [])
    header = request.headers.get(TENANT_HEADER.lower())
    if header is not None:
        chosen = [*chosen, header]
    if identity.role is not Role.INTERNAL_OPS:
        if chosen:
            raise Forbidden(text("tenant.choice_forbidden"))
        if identity.tenant_id is None:
            raise Forbidden
        return Scope.of(identity.tenant_id)
    if not chosen:
        return Scope.all_tenants()
    if len(set(chosen)) > 1:
        message = text("tenant.chosen_twice")
        raise Invalid(message, ((f"query.{TENANT_PARAMETER}", message),))
    return Scope.of(services.get().tenants.id_of(chosen[0]))


def _logged(scope: Scope) -> str:
    return "*" if scope.tenant_id is None else str(scope.tenant_id)


def _body(spec: Route, request: Request) -> Any:
    if spec.text_body is not None:
        return read_text(_raw_body(spec, request))
    return None if spec.body is None else read_body(spec.body, _raw_body(spec, request))


def _raw_body(spec: Route, request: Request) -> bytes:
    try:
        raw = request.raw_body
    except ValueError:  # base64 that is none, or text that UTF-8 cannot hold
        message = text("body.not_json")
        raise Malformed(message, (("body", message),)) from None
    if len(raw) > spec.max_body_bytes:
        raise errors.TooLarge
    return raw if isinstance(raw, bytes) else raw.encode("utf-8")


def _ids(names: Mapping[str, str]) -> dict[str, UUID]:
    """Ids in the path. What has not the form of an id names nothing, and is not found either."""
    ids = {name: read_uuid(value) for name, value in names.items() if name not in PATH_TEXTS}
    if None in ids.values():
        raise NotFound
    return cast(dict[str, UUID], ids)


def _names(names: Mapping[str, str]) -> dict[str, str]:
    texts = {name: value for name, value in names.items() if name in PATH_TEXTS}
    if not all(PATH_TEXTS[name].fullmatch(value) for name, value in texts.items()):
        raise NotFound
    return texts


def _success(request: Request, result: object) -> Response:
    reply = result if isinstance(result, Reply) else Reply(200, cast(BaseModel, result))
    value = reply.value
    if value is None:
        return Response(
            body="",
            status_code=reply.status,
            headers={"Cache-Control": "no-store", **reply.headers},
        )
    if isinstance(value, Encoded):
        headers = {**value.headers, **reply.headers}
        return represent(request, value.body, value.content_type, headers, reply.status)
    return Response(
        body=value.model_dump_json(by_alias=True),
        status_code=reply.status,
        headers={"Content-Type": JSON, "Cache-Control": "no-store", **reply.headers},
    )
