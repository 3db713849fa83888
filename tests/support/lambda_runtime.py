"""Functions out of their packages, laid out and run as in Lambda.

Each is a process with AWS's own runtime client, which asks a Runtime API for events.

Source: AWS Lambda developer guide, "Using the Lambda runtime API".
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from infra_cdk.packaging.machine import Machine
from traksense.contracts.functions import Function

CALL_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Call:
    event: bytes
    timeout_s: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class LambdaProcess:
    """One function on a machine: a process, and the Runtime API that it asks."""

    def __init__(
        self, machine: Machine, function: Function, environment: Mapping[str, str], log: Path
    ) -> None:
        """``environment``: beyond what Lambda sets. ``log``: a file for what it prints."""
        self.function = function
        self.log = log
        self._calls = queue.Queue[_Call]()
        self._answers = queue.Queue[tuple[Any, bool]]()
        self._one_at_a_time = threading.Lock()
        self._ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handlers())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        with log.open("wb") as printed:
            self._process = subprocess.Popen(
                [
                    *(machine.python, "-S", "-s", "-m", "awslambdaric"),
                    function.handler.replace(":", "."),
                ],
                cwd=machine.task,
                env={
                    **machine.environment(function),
                    **environment,
                    "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
                },
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )

    def call(self, event: Mapping[str, Any]) -> tuple[Any, bool]:
        """What it answers to an event, and whether that is an error; one call after another."""
        with self._one_at_a_time:
            self._calls.put(_Call(json.dumps(event).encode(), self.function.timeout_s))
            deadline = time.monotonic() + CALL_S
            while time.monotonic() < deadline:
                try:
                    return self._answers.get(timeout=0.2)
                except queue.Empty:
                    if self._process.poll() is not None:
                        break
            raise AssertionError(f"{self.function.name} gave no answer:\n{self.printed()}")

    def answer(self, event: Mapping[str, Any]) -> Any:
        """What it answers to an event, which has to be no error."""
        payload, is_error = self.call(event)
        assert not is_error, f"{payload}\n{self.printed()}"
        return payload

    def printed(self) -> str:
        """What it printed until now."""
        return self.log.read_text("utf-8")

    def stop(self) -> None:
        """End the process."""
        self._ended.set()
        self._process.kill()
        self._process.wait()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handlers(self) -> type[BaseHTTPRequestHandler]:
        process = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                call = process._next()
                if call is None:
                    return
                deadline_ms = int((time.time() + call.timeout_s) * 1000)
                arn = f"arn:aws:lambda:us-east-1:123456789012:function:{process.function.name}"
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(call.event)))
                self.send_header("Lambda-Runtime-Aws-Request-Id", call.id)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(deadline_ms))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", arn)
                self.end_headers()
                self.wfile.write(call.event)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                process._answers.put((json.loads(body), self.path.endswith("/error")))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _next(self) -> _Call | None:
        while not self._ended.is_set():
            try:
                return self._calls.get(timeout=0.2)
            except queue.Empty:
                continue
        return None
