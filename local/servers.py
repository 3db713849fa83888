"""PostgreSQL and mosquitto under supervision: their death is noticed and they are started again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .background import Background
from .errors import StartupError
from .logs import PlatformLog
from .processes import CRASHES, CrashCount, TreeFailedError

CHECK_INTERVAL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class WatchedServer:
    """A server that is no child of ours in the sense of ``processes``: it outlives us."""

    name: str
    alive: Callable[[], bool]
    restart: Callable[[], None]
    """Start it again where it was, or raise."""
    last_words: Callable[[], str]
    """The end of its log, on one line."""


class ServerWatch:
    """Looks after servers; ``check`` is called regularly from one thread."""

    def __init__(self, log: PlatformLog, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._servers: list[tuple[WatchedServer, CrashCount]] = []
        self._restarts: dict[str, Background[None]] = {}
        self._waits: dict[str, float] = {}
        self._next_check = 0.0

    def add(self, server: WatchedServer) -> None:
        """Look after a server that runs now."""
        self._servers.append((server, CrashCount(self._clock)))

    def check(self) -> None:
        """Look, at most every ``CHECK_INTERVAL_S``. Raises TreeFailedError: it will not stay up."""
        now = self._clock()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_INTERVAL_S
        for server, crashes in self._servers:
            running = self._restarts.get(server.name)
            if running is not None and not running.done:
                continue
            if running is not None:
                del self._restarts[server.name]
                self._report(server, running)
            if server.name in self._waits:
                if self._waits[server.name] <= now:
                    del self._waits[server.name]
                    self._restarts[server.name] = Background(server.name, server.restart)
            elif not server.alive():
                self._died(server, crashes, now)

    def settle(self, timeout_s: float) -> None:
        """Wait for restarts that are under way, before the servers are stopped."""
        deadline = time.monotonic() + timeout_s
        for running in self._restarts.values():
            running.wait(max(0.0, deadline - time.monotonic()))

    def _died(self, server: WatchedServer, crashes: CrashCount, now: float) -> None:
        words = server.last_words()
        last = f"; it said last: {words}" if words else ""
        wait_s = crashes.add()
        if wait_s is None:
            raise TreeFailedError(f"{server.name} ended {CRASHES + 1} times within a minute{last}")
        self._log.emit("ERROR", f"{server.name} is gone: starting it again{last}")
        self._waits[server.name] = now + wait_s

    def _report(self, server: WatchedServer, running: Background[None]) -> None:
        try:
            running.result()
        except (StartupError, OSError) as error:
            self._log.emit("ERROR", f"{server.name} does not come up: {error}")
        else:
            self._log.emit("INFO", f"{server.name} is back after {running.took_s:.1f} s")
