"""What every Python child of the supervisor does: log as JSON, say that it is ready, end in order.

A child ends when it is told to (SIGTERM), and when its standard input closes, which is how it
learns that the supervisor is gone, however that happened. Ctrl-C is the supervisor's business. One
that does not end within ``GRACE_S`` is ended.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from local.errors import StartupError
from traksense.domain.errors import ConfigurationError
from traksense.observability import configure_logging

logger = logging.getLogger(__name__)

GRACE_S: Final = 10.0
EXIT_HUNG: Final = 70
"""Exit status of a child that did not end in time (sysexits.h, EX_SOFTWARE)."""

OWN_LOGGERS: Final = ("traksense", "functions", "local", "device_sim")


class StopRequest:
    """Whether this process is to end."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the end is requested; False when the time ran out before."""
        return self._event.wait(timeout_s)

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Have something called, in another thread, when the end is requested."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def request(self) -> None:
        """Request the end. Only the first request counts."""
        with self._lock:
            if self._event.is_set():
                return
            self._event.set()
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()


def ready(**fields: Any) -> None:
    """Tell the supervisor that this child does its work now; ``fields`` go with it."""
    line = json.dumps({"level": "DEBUG", "message": "ready", "event": "ready", **fields})
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(component: str, main: Callable[[StopRequest], None]) -> NoReturn:
    """Run a child's main function and exit: 0 when it returned, 1 when it raised."""
    configure_logging(component, os.environ.get("TRAKSENSE_LOG_LEVEL") or "INFO")
    for name in OWN_LOGGERS:
        # The supervisor decides what the terminal shows; the file gets it all.
        logging.getLogger(name).setLevel(logging.DEBUG)
    stop = watch()
    try:
        main(stop)
    except (StartupError, ConfigurationError) as error:
        logger.error("%s", error)  # noqa: TRY400 - the line says it all
        sys.exit(1)
    except Exception as error:
        logger.exception("%s: %s", type(error).__name__, error)  # noqa: TRY401 - for the supervisor
        sys.exit(1)
    sys.exit(0)


def watch(grace_s: float = GRACE_S) -> StopRequest:
    """Begin to watch for the end of this process. Called once, in the main thread."""
    stop = StopRequest()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)

    def told(_number: int, _frame: object) -> None:
        os.write(wake_write, b"\0")

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(
        target=_watch, args=(stop, wake_read, grace_s), name="stop-watch", daemon=True
    ).start()
    return stop


def _watch(stop: StopRequest, wake: int, grace_s: float) -> None:
    sources = [wake, *([0] if _stdin_is_a_pipe() else [])]
    while True:
        ready_now, _, _ = select.select(sources, [], [])
        if wake in ready_now or not os.read(0, 4096):
            break
    stop.request()
    time.sleep(grace_s)
    logger.error("did not end within %.0f s: ending it", grace_s)
    os._exit(EXIT_HUNG)


def _stdin_is_a_pipe() -> bool:
    # Run by hand, stdin is a terminal or /dev/null, whose end says nothing about a supervisor.
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
