"""``@route``: who may call, what comes in, what goes out, declared in one place per route.

The one decorator checks the role, finds the tenant, validates parameters and body, maps errors,
and enters the route in ``REGISTRY``, from which documents and tests are made. A route without
roles, or without a decision about the audit log, cannot be registered.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar, cast
from uuid import UUID

from chalice.app import Blueprint, CognitoUserPoolAuthorizer, Request, Response
from pydantic import BaseModel

from functions.api import errors
from functions.api.auditing import Audited, Decision
from functions.api.freshness import fresh
from functions.api.representation import Binary, preferred, represent
from functions.api.services import services
from functions.api.trail import Trail, clean_agent, clean_request_id
from functions.api.validation import (
    NoParams,
    Params,
    read_body,
    read_params,
    read_text,
    read_uuid,
)
from traksense.auth.identity import Identity, Role, identity_from_claims
from traksense.auth.origin import network_of
from traksense.contracts.metrics import REQUESTS_REFUSED
from traksense.contracts.topics import SLUG_PATTERN
from traksense.domain.errors import Forbidden, Invalid, NotFound, TooManyRequests
from traksense.i18n.catalogue import Locale, negotiate, text
from traksense.observability import log_context, metrics
from traksense.services.audit import AuditEntry
from traksense.services.paging import Malformed
from traksense.services.quotas import Subject
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
class Header:
    """A header that a route reads from a request, or puts into its answer."""

    name: str
    description: str
    pattern: str | None = None
    """What its value looks like, as a regular expression of ECMA-262."""


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
    is_limited: bool = True
    """Whether it is only for who comes through our own front, and its calls are counted."""
    name: str = ""
    """The view's, and what the call is called in a generated client."""
    subject: str = ""
    """Name of the module that declares it."""
    errors: tuple[int, ...] = ()
    """Statuses of errors beyond those that every such route can answer with."""
    conditional: bool = False
    """Whether the answer has an ``ETag``, and If-None-Match may be answered with 304."""
    headers: tuple[Header, ...] = ()
    """Request headers of its own."""
    answer_headers: tuple[Header, ...] = ()
    """Headers of a successful answer of its own."""

    @property
    def is_write(self) -> bool:
        """Whether a call may change something."""
        return self.method != "GET"

    has_optional_body: bool = False
    """Whether a call without a body is one whose body is ``{}``."""

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
    records: int | None = None
    """How many records it holds, for the audit log."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file to be kept, never by a cache."""

    body: bytes
    content_type: str
    name: str
    """Of plain letters, digits, points, dashes and underscores."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer with a status or headers of its own. Without a value: no body (204)."""

    status: int
    value: BaseModel | Encoded | Download | None = None
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
    is_limited: bool = True,
    errors: tuple[int, ...] = (),
    conditional: bool = False,
    headers: tuple[Header, ...] = (),
    answer_headers: tuple[Header, ...] = (),
    has_optional_body: bool = False,
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
    started = time.perf_counter()
    request = current.get()
    trail = Trail()
    try:
        response = _respond(spec, view, names, request, trail)
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes an answer
        if isinstance(error, TooManyRequests):
            metrics.count(REQUESTS_REFUSED, label=error.of)
            trail.is_silent = not error.is_first
        response = errors.respond(error, locale_of(request), instance_of(request))
    if isinstance(spec.audit, Audited):
        _record(spec, spec.audit, request, trail, response.status_code, started)
    return response


def _respond(
    spec: Route, view: View[Any, Any], names: Mapping[str, str], request: Request, trail: Trail
) -> Response:
    if spec.is_limited:
        _admit(request, trail)
    identity = None if spec.is_public else _identity(request, trail)
    if spec.is_limited:
        _spend(request, identity)
    if identity is None:
        return _attempt(spec, view, names, request, trail, None)
    if identity.role not in spec.roles:
        raise Forbidden
    return fresh(spec.method, lambda: _attempt(spec, view, names, request, trail, identity))


def _attempt(
    spec: Route,
    view: View[Any, Any],
    names: Mapping[str, str],
    request: Request,
    trail: Trail,
    identity: Identity | None,
) -> Response:
    """One answer; another one follows where it rests on outdated copies. Raises EpochMoved."""
    given = dict(request.query_params._dict) if request.query_params is not None else {}
    scope = None if identity is None else _scope(identity, request, given)
    if scope is not None:
        trail.tenant_id = scope.tenant_id
    trail.asked(spec.params, given)
    with log_context(tenant=None if scope is None else _logged(scope)):
        ids, texts = _ids(names), _names(names)
        trail.named([str(ids[name]) if name in ids else texts[name] for name in names])
        call = Call(
            params=read_params(spec.params, given, spec.params.repeatable),
            body=_body(spec, request),
            ids=ids,
            names=texts,
            headers=request.headers,
            locale=locale_of(request),
            media_type=preferred(request.headers.get("accept"), spec.media_types),
            _identity=identity,
            _scope=scope,
        )
        trail.read(call.params, call.body)
        result = view(call)
        value = result.value if isinstance(result, Reply) else result
        trail.answered(value, is_write=spec.is_write)
        return _success(request, result)


def _record(
    spec: Route, audit: Audited, request: Request, trail: Trail, status: int, started: float
) -> None:
    """Put the call into the audit log, before its answer leaves: then the container may freeze.

    A 401 of ours has nobody to record, but for those who log in.
    """
    made = services.made
    if made is None or trail.is_silent or (status == 401 and not spec.is_public):
        return
    made.audit.record(
        AuditEntry(
            request_id=clean_request_id(str(request.context.get("requestId") or "")),
            action=audit.action,
            status=status,
            user_id=trail.user_id,
            email=trail.email,
            role=trail.role,
            tenant_id=trail.tenant_id,
            object_id=trail.object_id,
            filters=trail.filters,
            record_count=trail.records,
            duration_ms=(time.perf_counter() - started) * 1000,
            ip=_address(request),
            user_agent=clean_agent(request.headers.get("user-agent")),
            is_write=spec.is_write,
        )
    )


def _address(request: Request) -> str | None:
    peer = (request.context.get("identity") or {}).get("sourceIp")
    return services.get().origin.address(request.headers, peer)


def _identity(request: Request, trail: Trail) -> Identity:
    claims = (request.context.get("authorizer") or {}).get("claims")
    if not claims:
        raise errors.Unauthenticated
    trail.claimed(claims)
    identity = identity_from_claims(claims)
    trail.identified(identity)
    return identity


def _admit(request: Request, trail: Trail) -> None:
    """Raises Forbidden for what did not come through our own front, which leaves no entry: such
    requests cost nothing and are anybody's.
    """
    if not services.get().origin.admits(request.headers):
        trail.is_silent = True
        raise Forbidden


def _spend(request: Request, identity: Identity | None) -> None:
    """One request of each quota that it counts towards. Raises TooManyRequests.

    Internal_ops spend their own, never that of a tenant whom they look at.
    """
    quotas = services.get().quotas
    if quotas is None:
        return
    if identity is None:
        address = _address(request)
        quotas.spend([Subject("address", None, network_of(address) if address else "unknown")])
        return
    user = Subject("user", identity.tenant_id, identity.user_id[:128])
    if identity.tenant_id is None:
        quotas.spend([user])
    else:
        quotas.spend([Subject("tenant", identity.tenant_id), user])


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
        own = Scope.of(identity.tenant_id)
        # A token outlives its tenant by up to an hour. From memory, so that it costs nothing.
        services.get().tenants.profile(own)
        return own
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
    if spec.body is None:
        return None
    raw = _raw_body(spec, request)
    return read_body(spec.body, b"{}" if spec.has_optional_body and not raw.strip() else raw)


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
    if isinstance(value, Download):
        return Binary(
            body=value.body,
            status_code=reply.status,
            headers={
                "Content-Type": value.content_type,
                "Content-Disposition": f'attachment; filename="{value.name}"',
                "Cache-Control": "no-store",
                **reply.headers,
            },
        )
    if isinstance(value, Encoded):
        headers = {**value.headers, **reply.headers}
        return represent(request, value.body, value.content_type, headers, reply.status)
    return Response(
        body=value.model_dump_json(by_alias=True),
        status_code=reply.status,
        headers={"Content-Type": JSON, "Cache-Control": "no-store", **reply.headers},
    )
