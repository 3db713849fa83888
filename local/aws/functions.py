"""Calls functions where they run, in a process of their own, as Step Functions calls Lambda.

A process that dies in the middle of a call fails that call alone, with the error that Lambda
gives; the next call waits until the process is there again, as Lambda would make a new one.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from local.errors import StartupError

LONGEST_CALL_S: Final = 960.0
"""More than any function may take (Lambda: 900 s), whose host answers when its time is over."""
RESTART_S: Final = 30.0
"""How long a call waits for a process that is being started again."""
DIED: Final = "Runtime.ExitError"
"""The error of a call whose process ended, as Lambda names it."""


@dataclass(frozen=True, slots=True)
class FunctionAnswer:
    """What came of a call."""

    payload: Any
    is_error: bool
    """The payload is then ``errorType`` and ``errorMessage``."""


@dataclass(frozen=True, slots=True)
class FunctionsHost:
    """Where the functions run, and the key without which it answers nobody."""

    port: int
    key: str = field(repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> FunctionsHost | None:
        """Read the environment; None where it names no host. Raises StartupError."""
        url = environ.get("TRAKSENSE_FUNCTIONS_URL", "").strip()
        if not url:
            return None
        parts = urlsplit(url)
        key = environ.get("TRAKSENSE_FUNCTIONS_KEY", "").strip()
        if parts.scheme != "http" or parts.hostname != "127.0.0.1" or parts.port is None:
            raise StartupError("TRAKSENSE_FUNCTIONS_URL must be http://127.0.0.1:<port>")
        if not key:
            raise StartupError("TRAKSENSE_FUNCTIONS_KEY is not set")
        return cls(parts.port, key)

    def call(self, function: str, event: bytes) -> FunctionAnswer:
        """Call a function by its name with an event in JSON, and wait for what it answers."""
        deadline = time.monotonic() + RESTART_S
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_CALL_S)
            try:
                connection.connect()
            except OSError as error:
                connection.close()
                if time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                return _died(f"the functions' process is not there: {error}")
            try:
                return self._ask(connection, function, event)
            except (OSError, http.client.HTTPException) as error:
                return _died(f"{type(error).__name__}: {error}")
            finally:
                connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, function: str, event: bytes
    ) -> FunctionAnswer:
        connection.request(
            "POST",
            path_of(function),
            body=event,
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            return _died(f"the functions' process answered {response.status}")
        return FunctionAnswer(
            json.loads(body), response.headers.get("X-Amz-Function-Error") is not None
        )


def path_of(function: str) -> str:
    """Where a function is called (AWS Lambda API, Invoke)."""
    return f"/2015-03-31/functions/{function}/invocations"


def _died(why: str) -> FunctionAnswer:
    return FunctionAnswer({"errorType": DIED, "errorMessage": f"Runtime exited: {why}"}, True)
