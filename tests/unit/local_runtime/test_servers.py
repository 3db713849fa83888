from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.errors import StartupError
from local.logs import PlatformLog, RotatingFile
from local.processes import TreeFailedError
from local.servers import ServerWatch, WatchedServer


class FakeServer:
    """A server that dies when told to, and comes back when started."""

    def __init__(self) -> None:
        self.alive = True
        self.starts = 0
        self.refusal: Exception | None = None
        self.stays = True

    def restart(self) -> None:
        self.starts += 1
        if self.refusal is not None:
            raise self.refusal
        self.alive = self.stays


class Watched:
    def __init__(self, tmp_path: Path) -> None:
        self.now = 0.0
        self.terminal = io.StringIO()
        self.server = FakeServer()
        log = PlatformLog(RotatingFile(tmp_path / "log"), self.terminal)
        self.watch = ServerWatch(log, lambda: self.now)
        self.watch.add(
            WatchedServer(
                "PostgreSQL",
                lambda: self.server.alive,
                self.server.restart,
                lambda: "out of memory",
            )
        )

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < deadline, self.terminal.getvalue()
            self.now += 0.25
            self.watch.check()
            time.sleep(0.002)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_dead_server_is_reported_and_started_again_within_two_seconds(watched: Watched) -> None:
    watched.watch.check()
    watched.server.alive = False
    watched.until(lambda: watched.server.alive)
    assert watched.now <= 2
    shown = watched.terminal.getvalue()
    assert "PostgreSQL is gone: starting it again; it said last: out of memory" in shown
    watched.until(lambda: "PostgreSQL is back" in watched.terminal.getvalue())
    assert watched.server.starts == 1


def test_a_server_that_does_not_come_up_is_tried_again(watched: Watched) -> None:
    watched.server.alive = False
    watched.server.refusal = StartupError("disk full")
    watched.until(lambda: watched.server.starts == 2)
    watched.server.refusal = None
    watched.until(lambda: watched.server.alive)
    assert "PostgreSQL does not come up: disk full" in watched.terminal.getvalue()


def test_a_server_that_will_not_stay_up_ends_the_whole(watched: Watched) -> None:
    watched.server.alive = watched.server.stays = False
    with pytest.raises(TreeFailedError, match=r"PostgreSQL ended 6 times.*out of memory"):
        watched.until(lambda: False)


def test_a_server_on_another_port_ends_the_whole(watched: Watched) -> None:
    watched.server.alive = False
    watched.server.refusal = TreeFailedError("its port was taken")
    with pytest.raises(TreeFailedError, match="its port was taken"):
        watched.until(lambda: False)


def test_a_stop_waits_for_a_restart_under_way(watched: Watched) -> None:
    entered, released = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        released.wait(5)

    watched.server.restart = slow  # type: ignore[method-assign]
    watch = ServerWatch(
        PlatformLog(RotatingFile(Path("/dev/null")), io.StringIO()), lambda: watched.now
    )
    watch.add(WatchedServer("mosquitto", lambda: False, slow, lambda: ""))
    while not entered.is_set():
        watched.now += 0.25
        watch.check()
        time.sleep(0.002)
    threading.Timer(0.1, released.set).start()
    watch.settle(5)
    assert released.is_set()
