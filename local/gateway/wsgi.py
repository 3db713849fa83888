"""The gateway's front: checks each request, sends it on, and accounts for it."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from traksense.contracts.metrics import REQUEST_DURATION, REQUESTS
from traksense.contracts.page import SECURITY_HEADERS
from traksense.observability import log_context, metrics

from .chalice_api import ChaliceApi
from .events import raw_path
from .mailbox import PREFIX as MAILBOX
from .mailbox import MailboxPage
from .problems import Answer
from .refusals import refuse
from .static import StaticFiles

_log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 1_000_000
MAX_HEADERS: Final = 100
LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost"})
READ_ONLY: Final = (("Allow", "GET, HEAD"),)
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class MetricsPage(Protocol):
    """What renders ``/metrics``."""

    def render(self) -> bytes:
        """All metrics of the run, in Prometheus' text format."""


class Gateway:
    """The WSGI app behind the platform's one address."""

    def __init__(
        self,
        api: ChaliceApi,
        files: StaticFiles,
        page: MetricsPage,
        mailbox: MailboxPage | None = None,
    ) -> None:
        self._api = api
        self._files = files
        self._page = page
        self._mailbox = mailbox

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request. No exception leaves this."""
        started = time.perf_counter()
        request_id = secrets.token_hex(16)
        with log_context(request_id=request_id):
            route, answer = self._safely(environ, request_id)
            milliseconds = (time.perf_counter() - started) * 1000
            metrics.count(REQUESTS, label=str(answer.status))
            metrics.observe(REQUEST_DURATION, milliseconds, label=route)
            _log.debug(
                "request",
                extra={
                    "method": environ["REQUEST_METHOD"],
                    "route": route,
                    "status": answer.status,
                    "duration_ms": round(milliseconds, 1),
                },
            )
        present = {name.lower() for name, _ in answer.headers}
        headers = [
            *answer.headers,
            *((name, value) for name, value in SECURITY_HEADERS if name.lower() not in present),
            *([] if "x-request-id" in present else [("X-Request-Id", request_id)]),
        ]
        start_response(answer.status_line, headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _safely(self, environ: dict[str, Any], request_id: str) -> tuple[str, Answer]:
        try:
            return self._route(environ, request_id)
        except Exception:  # noqa: BLE001 - the last line before the caller, who is told nothing
            _log.exception("request failed")
            return "failed", refuse(environ, 500)

    def _route(self, environ: dict[str, Any], request_id: str) -> tuple[str, Answer]:
        if _host_name(environ.get("HTTP_HOST", "")) not in LOOPBACK_NAMES:
            # A foreign name that leads here is DNS rebinding.
            return "refused", refuse(environ, 421)
        if sum(name.startswith("HTTP_") for name in environ) > MAX_HEADERS:
            return "refused", refuse(environ, 431)
        path = raw_path(environ)
        if not _is_api(path):
            return self._page_or_file(environ, path)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_BODY_BYTES:
            return "refused", refuse(environ, 413)
        body = environ["wsgi.input"].read(length) if length else b""
        return self._api.answer(environ, body, request_id)

    def _page_or_file(self, environ: dict[str, Any], path: str) -> tuple[str, Answer]:
        method = environ["REQUEST_METHOD"]
        if self._mailbox is not None and path.startswith(MAILBOX):
            language = environ.get("HTTP_ACCEPT_LANGUAGE")
            mails = self._mailbox.answer(path, environ.get("QUERY_STRING", ""), language)
            if mails is None:
                return "mailbox", refuse(environ, 404)
            if method not in ("GET", "HEAD"):
                return "mailbox", refuse(environ, 405, READ_ONLY)
            return "mailbox", mails
        if path != "/metrics":
            file = self._files.find(path)
            if file is None:
                return "static", refuse(environ, 404)
            if method not in ("GET", "HEAD"):
                return "static", refuse(environ, 405, READ_ONLY)
            return "static", self._files.read(file, environ.get("HTTP_IF_NONE_MATCH"))
        if method not in ("GET", "HEAD"):
            return path, refuse(environ, 405, READ_ONLY)
        body = self._page.render()
        return path, Answer(
            200,
            (
                ("Content-Type", _METRICS_TYPE),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
            ),
            body,
        )


def _is_api(path: str) -> bool:
    first = path.split("/", 2)[1]
    return first in ("api", "d", "health", "schema")


def _host_name(host: str) -> str:
    name, colon, port = host.partition(":")
    return name.lower() if not colon or (port.isascii() and port.isdigit()) else ""
