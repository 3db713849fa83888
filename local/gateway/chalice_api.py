"""Calls the real Chalice app as API Gateway and Lambda call it, from many threads at once."""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from chalice.app import Chalice, CognitoUserPoolAuthorizer

from local.lambda_context import LambdaContext
from traksense.contracts.functions import API

from .events import BadQuery, proxy_event, raw_path
from .problems import Answer
from .refusals import refuse
from .routes import Match, RouteTable
from .tokens import InvalidToken, KeysAway, TokenVerifier

_log = logging.getLogger(__name__)

BEARER: Final = (("WWW-Authenticate", "Bearer"),)
UNMATCHED: Final = "unmatched"
# Hop-by-hop headers belong to the server (RFC 9110, 7.6.1; PEP 3333 forbids them to apps).
_SERVERS_OWN: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "trailer"}
)


class _PerThread:
    """What Chalice keeps on the app, one for each thread.

    Lambda runs one request at a time, so Chalice keeps the request in a plain attribute; behind
    several threads a request would see another's data.
    """

    _slots = threading.local()

    @property
    def current_request(self) -> Any:
        return getattr(self._slots, "request", None)

    @current_request.setter
    def current_request(self, value: Any) -> None:
        self._slots.request = value

    @property
    def lambda_context(self) -> Any:
        return getattr(self._slots, "context", None)

    @lambda_context.setter
    def lambda_context(self, value: Any) -> None:
        self._slots.context = value


def per_thread(app: Chalice) -> Chalice:
    """Make the app itself, not a copy, safe to call from several threads."""
    if not isinstance(app, _PerThread):
        for name in ("current_request", "lambda_context"):
            app.__dict__.pop(name, None)
        app.__class__ = type("PerThreadChalice", (_PerThread, type(app)), {})
    return app


class ChaliceApi:
    """The API behind the gateway."""

    def __init__(
        self, app: Chalice, verifier: TokenVerifier, timeout_s: float = API.timeout_s
    ) -> None:
        self._app = per_thread(app)
        self._verifier = verifier
        self._timeout_s = timeout_s
        self._routes: Mapping[str, Mapping[str, Any]] = app.routes
        self._table = RouteTable(self._routes)
        self._binary_types = frozenset(str(t).lower() for t in app.api.binary_types)

    def answer(
        self, environ: Mapping[str, Any], body: bytes, request_id: str
    ) -> tuple[str, Answer]:
        """The route's template (a metric's label) and the answer, whatever happens inside."""
        match = self._table.match(raw_path(environ))
        if match is None:
            return UNMATCHED, refuse(environ, 404)
        methods = self._routes[match.template]
        route = methods.get(environ["REQUEST_METHOD"])
        if route is None:
            allow = ", ".join(sorted(methods))
            return match.template, refuse(environ, 405, (("Allow", allow),))
        try:
            claims = self._authorize(route.authorizer, environ)
            return match.template, self._call(environ, match, body, request_id, claims)
        except InvalidToken as error:
            _log.info("token refused", extra={"reason": str(error)})
            return match.template, refuse(environ, 401, BEARER)
        except KeysAway as error:
            _log.error("no token can be verified", extra={"reason": str(error)})
            return match.template, refuse(environ, 503, (("Retry-After", "2"),))
        except BadQuery:
            return match.template, refuse(environ, 400)

    def _authorize(self, authorizer: object, environ: Mapping[str, Any]) -> dict[str, str] | None:
        if authorizer is None:
            return None
        if not isinstance(authorizer, CognitoUserPoolAuthorizer):
            # An authorizer that nobody enforces here would be an open door.
            raise TypeError(f"the gateway cannot enforce a {type(authorizer).__name__}")
        return self._verifier.verify(environ.get("HTTP_AUTHORIZATION"))

    def _call(
        self,
        environ: Mapping[str, Any],
        match: Match,
        body: bytes,
        request_id: str,
        claims: dict[str, str] | None,
    ) -> Answer:
        event = proxy_event(environ, match, body, request_id, self._binary_types, claims)
        context = LambdaContext(API.name, self._timeout_s, aws_request_id=request_id)
        try:
            return _read(self._app(event, context))
        finally:
            self._app.current_request = None
            self._app.lambda_context = None


def _read(response: Mapping[str, Any]) -> Answer:
    """A Lambda proxy response as an answer. Raises ValueError where it is malformed."""
    body = response.get("body")
    if response.get("isBase64Encoded"):
        try:
            content = base64.b64decode(body or "", validate=True)
        except binascii.Error as error:
            raise ValueError("the function's body is no base64") from error
    else:
        content = body.encode() if isinstance(body, str) else (body or b"")
    single = dict(response.get("headers") or {})
    many = dict(response.get("multiValueHeaders") or {})
    headers = [(str(k), str(v)) for k, v in single.items() if k not in many]
    headers += [(str(k), str(v)) for k, values in many.items() for v in values]
    kept = [(k, v) for k, v in headers if k.lower() not in _SERVERS_OWN]
    if not any(k.lower() == "content-type" for k, _ in kept) and content:
        kept.append(("Content-Type", "application/json"))
    status = int(response["statusCode"])
    if status not in (204, 304):
        kept.append(("Content-Length", str(len(content))))
    else:
        content = b""
    return Answer(status, tuple(kept), content)
