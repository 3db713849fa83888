"""``python -m local.functions_host``: the functions of state machines, as Lambda runs them.

A process of its own, so that its death fails the calls that it was in and nothing else. Functions
are called by HTTP at Lambda's path for it, by who holds the run's key. Each has as many threads as
calls may run at once, and they stay: what a function keeps for the next call, a thread keeps.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from http import HTTPStatus
from typing import Any, Final

from local import child
from local.aws.functions import FunctionsHost, path_of
from local.errors import StartupError
from local.gateway.http_server import Server
from local.handlers import Handler, load_handler
from local.lambda_context import LambdaContext
from local.prometheus import PrometheusSink
from traksense.contracts.functions import EXPORT_CHUNK, Function, triggered_by
from traksense.observability import log_context, metrics

logger = logging.getLogger(__name__)

LARGEST_EVENT: Final = 262_144
"""Bytes of a state (Step Functions, service quotas)."""
THREADS: Final = 16
"""Calls that are waited for at once, running or not."""
AT_ONCE: Final = {EXPORT_CHUNK.name: 4}
"""Calls of a function that run at once."""
AT_ONCE_OF_OTHERS: Final = 2
TIMED_OUT: Final = "Sandbox.Timedout"
"""The error of a call that took too long, as Lambda names it."""

_PATH: Final = re.compile(re.escape(path_of("@")).replace("@", r"([a-z_]+)"))


class Hosted:
    """One function with its threads."""

    def __init__(self, function: Function, handler: Handler) -> None:
        self._function = function
        self._handler = handler
        self._threads = ThreadPoolExecutor(
            AT_ONCE.get(function.name, AT_ONCE_OF_OTHERS), thread_name_prefix=function.name
        )

    def call(self, event: dict[str, Any]) -> tuple[Any, bool]:
        """What the function answers, and whether that is an error.

        A call whose time is over is answered for; its thread cannot be ended as Lambda ends a
        process, and goes on until the function itself notices.
        """
        context = LambdaContext(self._function.name, self._function.timeout_s)
        future = self._threads.submit(self._run, event, context)
        try:
            return future.result(self._function.timeout_s)
        except NotInTime:
            future.cancel()
            message = f"Task timed out after {self._function.timeout_s:.2f} seconds"
            logger.error("%s: %s", self._function.name, message)  # noqa: TRY400 - it says it all
            return {"errorType": TIMED_OUT, "errorMessage": message}, True

    def _run(self, event: dict[str, Any], context: LambdaContext) -> tuple[Any, bool]:
        with log_context(request_id=context.aws_request_id):
            try:
                return self._handler(event, context), False
            except Exception as error:
                name = type(error).__name__
                logger.warning(
                    "%s failed with %s: %s", self._function.name, name, error, exc_info=True
                )
                return {
                    "errorType": name,
                    "errorMessage": str(error),
                    "stackTrace": traceback.format_tb(error.__traceback__),
                }, True


class FunctionsApp:
    """A WSGI app: ``POST`` an event in JSON to a function's path."""

    def __init__(self, hosted: Mapping[str, Hosted], key: str) -> None:
        self._hosted = hosted
        self._authorization = f"Bearer {key}".encode()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer as Lambda's Invoke does."""
        given = str(environ.get("HTTP_AUTHORIZATION", "")).encode("latin-1", "replace")
        if not hmac.compare_digest(given, self._authorization):
            return _refuse(start_response, HTTPStatus.FORBIDDEN)
        match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        hosted = self._hosted.get(match[1]) if match else None
        if hosted is None or environ["REQUEST_METHOD"] != "POST":
            return _refuse(start_response, HTTPStatus.NOT_FOUND)
        try:
            event = json.loads(environ["wsgi.input"].read())
        except ValueError:
            return _refuse(start_response, HTTPStatus.BAD_REQUEST)
        payload, is_error = hosted.call(event)
        body = json.dumps(payload).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if is_error:
            headers.append(("X-Amz-Function-Error", "Unhandled"))
        start_response("200 OK", headers)
        return [body]


def _refuse(start_response: Callable[..., Any], status: HTTPStatus) -> list[bytes]:
    start_response(f"{status.value} {status.phrase}", [("Content-Length", "0")])
    return [b""]


def _main(stop: child.StopRequest) -> None:
    """Serve until the end is requested. Raises StartupError."""
    host = FunctionsHost.from_environment(os.environ)
    if host is None:
        raise StartupError("TRAKSENSE_FUNCTIONS_URL is not set")
    metrics.use(PrometheusSink())
    server = Server(
        FunctionsApp(hosted_functions(), host.key),
        host.port,
        threads=THREADS,
        largest_body=LARGEST_EVENT,
    )
    stop.on_stop(_end)
    child.ready(port=server.port)
    server.run(stop)


def hosted_functions() -> dict[str, Hosted]:
    """Every function of state machines, by its name."""
    return {
        function.name: Hosted(function, load_handler(function))
        for function in triggered_by("state_machine")
    }


def _end() -> None:
    """End at once, as Lambda ends a process: whoever keeps the executions ends as well, and what
    was being done is begun again at the next start.
    """
    logger.info("stopped")
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    child.run("functions", _main)
