"""What stands before moto: who may ask, and what for.

moto believes everybody. A web page in the same browser must not reach it (``Origin``), nor under
a name of its own (``Host``), nor anything else on the machine that does not hold the run's key.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from . import signature
from .cognito import OPERATIONS, WRITING, LocalCognito
from .signature import Credentials, Refused
from .store import UserStore

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_log = logging.getLogger(__name__)

_TARGET: Final = "AWSCognitoIdentityProviderService."
# Services with a target header speak JSON, the others XML.
_REFUSALS: Final = {
    True: (
        "application/x-amz-json-1.1",
        b'{"__type": "AccessDeniedException", "message": "Forbidden"}',
    ),
    False: (
        "text/xml",
        b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>Forbidden</Message></Error>"
        b"</ErrorResponse>",
    ),
}
_LARGEST_CALL: Final = 1_000_000


class Guard:
    """A WSGI app that lets the run's own, signed requests through to the services' apps."""

    def __init__(
        self,
        apps: Mapping[str, WsgiApp],
        jwks: Mapping[str, Any],
        pool_id: str,
        port: int,
        credentials: Credentials,
    ) -> None:
        self._apps = apps
        self._jwks = json.dumps(jwks).encode()
        self._jwks_path = f"/{pool_id}/.well-known/jwks.json"
        self._hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self._credentials = credentials

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer, pass on, or refuse with 403."""
        try:
            app = self._admit(environ)
        except Refused as refused:
            _log.warning("request refused", extra={"reason": str(refused)})
            content_type, body = _REFUSALS["HTTP_X_AMZ_TARGET" in environ]
            return _answer(start_response, "403 Forbidden", content_type, body)
        # moto reads the path as it came from here, as werkzeug's own server gives it.
        environ["RAW_URI"] = environ.get("REQUEST_URI", environ["PATH_INFO"])
        return app(environ, _without_cors(start_response))

    def _admit(self, environ: dict[str, Any]) -> WsgiApp:
        """The app of a request that may pass. Raises Refused."""
        if environ.get("HTTP_HOST") not in self._hosts:
            raise Refused("foreign Host")
        if "HTTP_ORIGIN" in environ:
            raise Refused("request of a web page")
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"] == self._jwks_path:
            return self._serve_keys
        service = signature.verify(environ, lambda: _body_hash(environ), self._credentials)
        app = self._apps.get(service)
        if app is None:
            raise Refused(f"no such service here: {service}")
        return app

    def _serve_keys(
        self, _environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> list[bytes]:
        return _answer(start_response, "200 OK", "application/json", self._jwks)


class KeptCognito:
    """Cognito's app: checked operations only, one at a time, each change kept before its answer."""

    def __init__(self, app: WsgiApp, cognito: LocalCognito, store: UserStore) -> None:
        self._app = app
        self._cognito = cognito
        self._store = store
        self._lock = threading.Lock()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """One operation of Cognito's JSON protocol."""
        operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).removeprefix(_TARGET)
        if operation not in OPERATIONS:
            body = {"__type": "NotAuthorizedException", "message": f"{operation} is not permitted"}
            return _answer(
                start_response,
                "400 Bad Request",
                "application/x-amz-json-1.1",
                json.dumps(body).encode(),
            )
        started: list[tuple[Any, ...]] = []
        metadata = _client_metadata(environ)
        with self._lock:
            self._cognito.metadata = metadata
            answer = b"".join(self._app(environ, lambda *args: started.append(args)))
            if operation in WRITING:
                self._cognito.seal_passwords()
                self._store.save(self._cognito.pool)
        start_response(*started[-1])
        return [answer]


def _body_hash(environ: dict[str, Any]) -> str:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > _LARGEST_CALL:
        raise Refused("body too large")
    body = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(body)
    return hashlib.sha256(body).hexdigest()


def _client_metadata(environ: dict[str, Any]) -> dict[str, str]:
    """The call's ClientMetadata; empty where there is none, or the call is no JSON object."""
    body = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    try:
        found = json.loads(body).get("ClientMetadata") or {}
        return {str(name): str(value) for name, value in found.items()}
    except (ValueError, AttributeError):
        return {}  # moto says what is wrong with it


def _without_cors(start_response: Callable[..., Any]) -> Callable[..., Any]:
    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        kept = [(k, v) for k, v in headers if not k.lower().startswith("access-control-")]
        return start_response(status, kept, *error)

    return start


def _answer(
    start_response: Callable[..., Any], status: str, content_type: str, body: bytes
) -> list[bytes]:
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
