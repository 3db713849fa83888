"""One call of a route answered: who it is, in whose sight, what came in, what goes out.

The role is checked before anything is read, every error becomes an answer here, and every call of
an audited route is recorded before its answer leaves.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from chalice.app import Request, Response
from pydantic import BaseModel

from functions.api import errors, pages
from functions.api.auditing import Audited
from functions.api.calls import (
    JSON,
    PATH_TEXTS,
    SECRET_TEXTS,
    TENANT_HEADER,
    TENANT_PARAMETER,
    Call,
    Download,
    Encoded,
    Reply,
    Route,
    View,
    current,
    instance_of,
    locale_of,
)
from functions.api.freshness import fresh
from functions.api.representation import Binary, preferred, represent
from functions.api.services import services
from functions.api.trail import Trail, clean_agent, clean_request_id
from functions.api.validation import (
    read_body,
    read_params,
    read_text,
    read_uuid,
)
from traksense.auth.identity import Identity, Role, identity_from_claims
from traksense.auth.origin import network_of
from traksense.contracts.metrics import REQUESTS_REFUSED
from traksense.domain.errors import Forbidden, Invalid, NotFound, TooManyRequests
from traksense.i18n.catalogue import text
from traksense.observability import log_context, metrics
from traksense.services.audit import AuditEntry
from traksense.services.exports import LinkOver
from traksense.services.paging import Malformed
from traksense.services.quotas import Subject
from traksense.services.scope import Scope


def answer(spec: Route, view: View[Any, Any], names: Mapping[str, str]) -> Response:
    """Answer the call in hand, whatever becomes of it. Variables of the path in ``names``."""
    started = time.perf_counter()
    request = current.get()
    trail = Trail()
    try:
        response = _respond(spec, view, names, request, trail)
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes an answer
        if isinstance(error, TooManyRequests):
            metrics.count(REQUESTS_REFUSED, label=error.of)
            trail.is_silent = not error.is_first
        if isinstance(error, LinkOver):
            trail.concerned(error.tenant_id, error.export_id)
        if spec.is_for_people:
            response = pages.respond(error, request)
        else:
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
        trail.named(
            [
                str(ids[name]) if name in ids else texts[name]
                for name in names
                if name not in SECRET_TEXTS
            ]
        )
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
        if isinstance(result, Reply) and result.concerns is not None:
            trail.concerned(*result.concerns)
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
