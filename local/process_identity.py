"""Telling a process from a later one that was given the same number."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final

import psutil

START_TOLERANCE_S: Final = 2.0
"""The kernel gives a start relative to boot; a corrected clock moves it by a second or so."""

KILL_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process, known by its number and its start."""

    pid: int
    started_at: float
    """Seconds since the Unix epoch."""


def of(pid: int) -> ProcessIdentity | None:
    """Identity of the process that has this number now, or None where none is running."""
    process = _running(pid)
    return ProcessIdentity(pid, process.create_time()) if process else None


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether that very process is still running. A zombie is not."""
    return _process(identity) is not None


def end(
    identity: ProcessIdentity,
    timeout_s: float,
    first_signal: signal.Signals = signal.SIGTERM,
) -> bool:
    """End a process: ask with ``first_signal``, after ``timeout_s`` seconds kill it.

    Returns whether it went by itself. A process that is gone already counts as that, and
    another one with the same number is left alone.
    """
    process = _process(identity)
    if process is None:
        return True
    try:
        process.send_signal(first_signal)
        process.wait(timeout_s)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        pass
    else:
        return True
    try:
        process.kill()
        process.wait(KILL_TIMEOUT_S)
    except psutil.NoSuchProcess:
        return True
    return False


def _running(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except (psutil.NoSuchProcess, ValueError):
        return None


def _process(identity: ProcessIdentity) -> psutil.Process | None:
    process = _running(identity.pid)
    if process is None or abs(process.create_time() - identity.started_at) > START_TOLERANCE_S:
        return None
    return process
