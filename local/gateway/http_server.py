"""A threaded WSGI server on loopback, whose own errors are problem documents as well."""

from __future__ import annotations

import errno
import logging
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask

from local.child import StopRequest
from local.errors import StartupError

from .problems import Answer, problem

LOOPBACK: Final = "127.0.0.1"
MAX_HEADER_BYTES: Final = 32_768
FLUSH_S: Final = 2.0
"""Longest wait for answers to be sent when the server ends."""

Refuse = Callable[[int, str | None], Answer]
"""Makes the answer of a status for an ``Accept-Language``."""

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _ProblemTask(ErrorTask):  # type: ignore[misc]
    """Answers what never reaches the app: a malformed request, or one that is too large."""

    def execute(self) -> None:
        answer = self.channel.server.refuse(
            self.request.error.code, self.request.headers.get("ACCEPT_LANGUAGE")
        )
        self.status = answer.status_line
        self.response_headers.extend(answer.headers)
        self.set_close_on_finish()
        self.content_length = len(answer.body)
        self.write(answer.body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    error_task_class = _ProblemTask

    def send_continue(self) -> None:
        """Ask for the body, unless there is none: waitress would wait for it all the same."""
        if not self.request.completed:
            super().send_continue()


class Server:
    """Serves one app on 127.0.0.1. The port is bound when the object is made."""

    def __init__(
        self,
        app: WsgiApp,
        port: int,
        *,
        threads: int,
        largest_body: int,
        refuse: Refuse = lambda status, _language: problem(status),
    ) -> None:
        """Bind the port (0: any free one). Raises StartupError where another process has it."""
        self._server = create_server(
            app,
            sockets=[_bind(port)],
            threads=threads,
            ident="",
            max_request_body_size=largest_body + 1,  # waitress refuses what reaches its limit
            max_request_header_size=MAX_HEADER_BYTES,
            channel_timeout=60,
        )
        # A request that waits for a thread is no news here.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._server.channel_class = _Channel
        self._server.refuse = refuse

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self._server.effective_port)

    def run(self, stop: StopRequest) -> None:
        """Serve until the end is requested; requests that run then are ended first."""
        server = self._server
        stop.on_stop(server.pull_trigger)
        while not stop:
            self._turn()
        server.task_dispatcher.shutdown(timeout=5)
        deadline = time.monotonic() + FLUSH_S
        while time.monotonic() < deadline and self._has_output():
            self._turn(0.1)
        wasyncore.close_all(map=server._map)

    def _turn(self, timeout_s: float = 1.0) -> None:
        wasyncore.loop(timeout=timeout_s, map=self._server._map, use_poll=True, count=1)

    def _has_output(self) -> bool:
        return any(
            getattr(channel, "total_outbufs_len", 0) for channel in self._server._map.values()
        )


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise StartupError(
            f"port {port} is in use or not allowed: end the process that has it, or choose another"
        ) from error
    return listener
