"""What surrounds every request: its id, its log line, its metrics, and Chalice's own errors."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from chalice.app import Request, Response

from functions.api import bounds, errors
from functions.api.routing import current, instance_of, locale_of
from functions.api.services import services
from traksense.contracts.metrics import REQUEST_DURATION, REQUESTS
from traksense.domain.errors import NotFound
from traksense.observability import log_context, metrics

_log = logging.getLogger(__name__)

VARY = "Authorization, Accept-Language, X-Tenant"
"""What every answer depends on; some depend on more."""

GetResponse = Callable[[Request], Response]


def answer(request: Request, get_response: GetResponse, known_paths: Any) -> Response:
    """Answer one request within its log context; what Chalice refuses is a problem too."""
    started = time.perf_counter()
    request_id = str(request.context.get("requestId") or uuid.uuid4())
    token = current.set(request)
    try:
        with log_context(request_id=request_id):
            response = _answer(request, get_response, known_paths)
            duration_ms = (time.perf_counter() - started) * 1000
            _log.debug(
                "request",
                extra={
                    "method": request.method,
                    "route": request.path,
                    "status": response.status_code,
                    "duration_ms": round(duration_ms, 1),
                },
            )
    finally:
        current.reset(token)
    own = response.headers.get("Vary")
    response.headers["Vary"] = ", ".join((*([own] if own else []), VARY))
    made = services.made
    if made is not None and made.counts_requests:
        metrics.count(REQUESTS, label=str(response.status_code))
        metrics.observe(REQUEST_DURATION, duration_ms, label=request.path)
        metrics.flush()
    return response


def _answer(request: Request, get_response: GetResponse, known_paths: Any) -> Response:
    try:
        bounds.check(request)
    except Exception as error:  # noqa: BLE001 - before a route is reached, every error ends here
        return errors.respond(error, locale_of(request), instance_of(request))
    if request.path not in known_paths:
        return errors.respond(NotFound(), locale_of(request), instance_of(request))
    response = get_response(request)
    if not isinstance(response.body, dict):
        return response
    # Chalice's own shape: {"Code": …, "Message": …}
    refused = errors.CHALICE.get(response.status_code, RuntimeError)()
    problem = errors.respond(refused, locale_of(request), instance_of(request))
    if "Allow" in response.headers:
        problem.headers["Allow"] = response.headers["Allow"]
    return problem
