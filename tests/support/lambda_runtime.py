"""Functions out of their packages, laid out and run as in Lambda.

Each is a process of the bare interpreter with AWS's own runtime client, which asks a Runtime API
for events. Nothing of the source tree, nor of the environment that the tests run in, can be
imported there: `/var/task`, `/opt`, and what Lambda itself brings along.

Source: AWS Lambda developer guide, "Using the Lambda runtime API" and "Packaging your layer
content".
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import sysconfig
import threading
import time
import uuid
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from infra_cdk.packages import CODE, EVERYWHERE
from traksense.contracts.functions import Function

BROUGHT_BY_LAMBDA: Final = (
    *("awslambdaric", "runtime_client*.so", "snapshot_restore_py.py", "simplejson"),
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py", "urllib3"),
)
"""The runtime client, and boto3 with what it needs (AWS, "Lambda runtimes", Python)."""

CALL_S: Final = 60.0


@dataclass(frozen=True)
class Machine:
    """A folder in which packages are unpacked as on a machine of Lambda's."""

    folder: Path
    packages: Path
    """Where their ZIP files are."""
    python: Path = Path(sys._base_executable)  # type: ignore[attr-defined]

    @cached_property
    def task(self) -> Path:
        """`/var/task`."""
        return self._unpacked("var/task", (CODE,))

    @cached_property
    def runtime(self) -> Path:
        """`/var/runtime`: links to what the tests' environment has of it, and to nothing else."""
        folder = self.folder / "var" / "runtime"
        folder.mkdir(parents=True)
        site = Path(sysconfig.get_path("purelib"))
        for pattern in BROUGHT_BY_LAMBDA:
            (found,) = site.glob(pattern)
            (folder / found.name).symlink_to(found)
        return folder

    def opt(self, layers: Iterable[str]) -> Path:
        """`/opt` of a function that has these layers besides those that all have."""
        names = (*EVERYWHERE, *layers)
        return self._unpacked("-".join(names) + "/opt", names)

    def _unpacked(self, name: str, packages: Iterable[str]) -> Path:
        folder = self.folder / name
        if not folder.exists():
            for package in packages:
                with zipfile.ZipFile(self.packages / f"{package}.zip") as archive:
                    archive.extractall(folder)
        return folder

    def environment(self, function: Function) -> dict[str, str]:
        """What Lambda sets for each function, and nothing of this process's own."""
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": f"{self.opt(function.layers) / 'python'}:{self.runtime}",
            "LAMBDA_TASK_ROOT": str(self.task),
            "AWS_LAMBDA_FUNCTION_NAME": f"traksense-test-{function.name}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        }

    def run(self, function: Function, code: str) -> str:
        """What a program prints that runs where a function does."""
        return subprocess.run(
            [self.python, "-S", "-s", "-c", code],
            cwd=self.task,
            env=self.environment(function),
            check=True,
            capture_output=True,
            text=True,
        ).stdout


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
