"""The supervisor's children: start, watch, restart, stop.

A child is a process of its own group, so that Ctrl-C in the terminal reaches only the supervisor,
with its standard input a pipe that closes when the supervisor goes, however that happens. What it
writes are log lines; ``{"event": "ready"}`` among them says that it does its work now.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Final

from . import process_identity
from .logs import PlatformLog
from .process_identity import ProcessIdentity

CRASHES: Final = 5
CRASH_WINDOW_S: Final = 60.0
FIRST_BACKOFF_S: Final = 0.25
LONGEST_BACKOFF_S: Final = 5.0
TAIL_LINES: Final = 5
MAX_LINE_BYTES: Final = 65_536
STOP_BUDGET_S: Final = 8.0
"""Seconds for all children to end by themselves; a child's own patience is longer than this."""


class TreeFailedError(Exception):
    """An essential child ends again and again; the message says which and what it said last."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A child as the supervisor wants it."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    essential: bool = True
    """The platform is not whole without it. One that is not may end by itself with status 0."""
    announces: bool = True
    """It says when it is ready; otherwise it is when it runs."""
    stage: int = 0
    """Children of a higher stage are stopped first."""


class CrashCount:
    """How often something ended within the last minute, and how long to wait before the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._moments: deque[float] = deque()

    def add(self) -> float | None:
        """Count one; seconds to wait, or None when there were too many."""
        now = self._clock()
        self._moments.append(now)
        while self._moments[0] <= now - CRASH_WINDOW_S:
            self._moments.popleft()
        if len(self._moments) > CRASHES:
            return None
        wait_s: float = FIRST_BACKOFF_S * 2.0 ** (len(self._moments) - 1)
        return min(LONGEST_BACKOFF_S, wait_s)


@dataclass(slots=True, eq=False)
class _Child:
    spec: ChildSpec
    crashes: CrashCount
    process: subprocess.Popen[bytes] | None = None
    identity: ProcessIdentity | None = None
    ready: bool = False
    restart_at: float | None = None
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))


@dataclass(frozen=True, slots=True)
class _Ended:
    child: _Child
    process: subprocess.Popen[bytes]


class ProcessTree:
    """All Python children of one supervisor. Its methods are called from one thread."""

    def __init__(
        self,
        log: PlatformLog,
        *,
        on_change: Callable[[list[ProcessIdentity]], None] = lambda _: None,
        on_end: Callable[[int], None] = lambda _: None,
    ) -> None:
        """``on_change`` gets who runs, ``on_end`` the pid of who ended."""
        self._log = log
        self._on_change = on_change
        self._on_end = on_end
        self._children: list[_Child] = []
        self._events: queue.SimpleQueue[_Ended | None] = queue.SimpleQueue()
        self._readers: list[threading.Thread] = []

    @property
    def identities(self) -> list[ProcessIdentity]:
        """The children that run."""
        return [child.identity for child in self._children if child.identity is not None]

    def start(self, spec: ChildSpec) -> None:
        """Start a child and keep it running."""
        child = _Child(spec, CrashCount())
        self._children.append(child)
        self._spawn(child)

    def wake(self) -> None:
        """Have ``step`` return now; for signal handlers and other threads."""
        self._events.put(None)

    def step(self, timeout_s: float) -> None:
        """Deal with what happened, waiting up to ``timeout_s`` for something to happen.

        Raises TreeFailedError when an essential child ended once too often.
        """
        due = [child.restart_at for child in self._children if child.restart_at is not None]
        if due:
            timeout_s = max(0.0, min(timeout_s, min(due) - time.monotonic()))
        with contextlib.suppress(queue.Empty):
            event = self._events.get(timeout=timeout_s) if timeout_s else self._events.get_nowait()
            if event is not None:
                self._ended(event)
        now = time.monotonic()
        for child in self._children:
            if child.restart_at is not None and child.restart_at <= now:
                child.restart_at = None
                self._spawn(child)

    def not_ready(self, names: Iterable[str] | None = None) -> list[str]:
        """Names of the children that have not said that they are ready."""
        wanted = None if names is None else set(names)
        return [
            child.spec.name
            for child in self._children
            if not child.ready and (wanted is None or child.spec.name in wanted)
        ]

    def stop(self, budget_s: float = STOP_BUDGET_S, hurry: Callable[[], bool] = bool) -> None:
        """Stop all, the highest stage first; kill what does not end within the budget.

        ``hurry`` says when there is no more time at all.
        """
        deadline = time.monotonic() + budget_s
        for stage in sorted({child.spec.stage for child in self._children}, reverse=True):
            running = [child for child in self._children if child.spec.stage == stage]
            for child in running:
                child.restart_at = None
                _signal(child, signal.SIGTERM)
            while any(_runs(child) for child in running):
                if hurry() or time.monotonic() > deadline:
                    break
                time.sleep(0.02)
            for child in running:
                if _runs(child):
                    self._log.emit("WARNING", f"{child.spec.name} did not end in time: killed")
                    _signal(child, signal.SIGKILL)
        for child in self._children:
            if child.process is not None:
                child.process.wait()
                _close(child.process)
                child.identity = None
        for reader in self._readers:
            reader.join(1.0)
        self._on_change([])

    def _spawn(self, child: _Child) -> None:
        spec = child.spec
        child.ready = not spec.announces
        child.tail.clear()
        child.process = subprocess.Popen(
            spec.command,
            env=dict(spec.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        child.identity = process_identity.of(child.process.pid)
        self._readers = [reader for reader in self._readers if reader.is_alive()]
        reader = threading.Thread(
            target=self._read, args=(child, child.process), name=f"read-{spec.name}", daemon=True
        )
        self._readers.append(reader)
        reader.start()
        self._on_change(self.identities)

    def _read(self, child: _Child, process: subprocess.Popen[bytes]) -> None:
        """A child's lines, in a thread of its own, until it ends."""
        output: IO[bytes] | None = process.stdout
        assert output is not None
        with output:
            while line := output.readline(MAX_LINE_BYTES):
                self._take_line(child, line.decode("utf-8", "replace").rstrip())
        process.wait()
        self._events.put(_Ended(child, process))

    def _take_line(self, child: _Child, text: str) -> None:
        if not text:
            return
        entry = self._log.line(child.spec.name, text)
        if entry.get("event") == "ready":
            child.ready = True
            self.wake()
        elif entry.get("level") != "DEBUG":
            child.tail.append(str(entry["message"]))

    def _ended(self, event: _Ended) -> None:
        child = event.child
        if event.process is not child.process:
            return
        spec = child.spec
        child.process, child.identity = None, None
        child.ready = False
        _close(event.process)
        self._on_end(event.process.pid)
        self._on_change(self.identities)
        status = event.process.returncode
        if status == 0 and not spec.essential:
            child.ready = True
            self._log.emit("INFO", f"{spec.name} has finished")
            return
        how = describe(status)
        last = f"; it said last: {' | '.join(child.tail)}" if child.tail else ""
        wait_s = child.crashes.add()
        if wait_s is not None:
            self._log.emit("ERROR", f"{spec.name} {how}: starting it again{last}")
            child.restart_at = time.monotonic() + wait_s
            return
        often = f"{spec.name} ended {CRASHES + 1} times within a minute, now it {how}"
        if spec.essential:
            raise TreeFailedError(f"{often}{last}")
        child.ready = True
        self._log.emit("ERROR", f"{often}: going on without it{last}")


def describe(status: int) -> str:
    """How a process ended, for a person: its exit status or the signal that ended it."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was ended by {name}"


def _runs(child: _Child) -> bool:
    return child.process is not None and child.process.poll() is None


def _signal(child: _Child, number: signal.Signals) -> None:
    if child.process is not None and child.process.poll() is None:
        # The group, so that what a child started goes with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, number)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
