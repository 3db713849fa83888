"""A call in a thread of its own, whose result or error is asked for later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar, cast

Result = TypeVar("Result")


class Background(Generic[Result]):
    """Starts at once. The thread is a daemon's: an end of the process does not wait for it."""

    def __init__(self, name: str, call: Callable[[], Result]) -> None:
        self._call = call
        self._result: Result | None = None
        self._error: BaseException | None = None
        self.took_s = 0.0
        """Seconds that the call took, once it is done."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether the call has returned or raised."""
        return not self._thread.is_alive()

    def result(self) -> Result:
        """Wait for the call; what it returned. Raises what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return cast(Result, self._result)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the call to end, whichever way; whether it did in time."""
        self._thread.join(timeout_s)
        return self.done

    def _run(self) -> None:
        started = time.monotonic()
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            self._error = error
        self.took_s = time.monotonic() - started
