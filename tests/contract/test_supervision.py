"""The whole platform under its supervisor: what is killed comes back, and a stop leaves nothing."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.endpoints import Endpoints
from local.home import Home, read_json
from local.ports import free_port
from local.unprivileged import forget

pytestmark = pytest.mark.timeout(170)

PATIENCE_S = 60.0
CHILDREN = ("local.aws", "local.worker ingest", "local.gateway", "local.scheduler")


class Platform:
    """``python -m local`` without the demo, on a home and ports of its own."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "TRAKSENSE_HOME": str(home),
            "TRAKSENSE_HTTP_PORT": str(free_port()),
            "TRAKSENSE_MQTT_PORT": str(free_port()),
            "TRAKSENSE_DEMO": "0",
        }
        self.ever: set[int] = set()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(pipe,), daemon=True)
            for pipe in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: object) -> None:
        with pipe:  # type: ignore[attr-defined]
            for line in pipe:  # type: ignore[attr-defined]
                self.lines.put(line.rstrip())

    def await_line(self, *wanted: str) -> str:
        """Wait until each of these was printed, in any order; the line of the last one."""
        missing = list(wanted)
        seen: list[str] = []
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                line = self.lines.get(timeout=0.2)
            except queue.Empty:
                assert self.process.poll() is None, seen
                continue
            seen.append(line)
            missing = [each for each in missing if each not in line]
            if not missing:
                self.ever |= set(self.pids())
                return line
        raise AssertionError(f"no {missing!r} in {seen}")

    def pids(self) -> list[int]:
        found = [int(child["pid"]) for child in self.home.read_state().get("children", [])]
        for name in ("postgres", "broker"):
            record = read_json(self.home.run / f"{name}.json")
            found += [int(record["pid"])] if record else []
        return found

    def pid_of(self, part: str) -> int:
        for pid in self.pids():
            try:
                if part in " ".join(psutil.Process(pid).cmdline()):
                    return pid
            except psutil.NoSuchProcess:
                continue
        raise AssertionError(f"{part} does not run")

    def health(self) -> dict[str, object]:
        url = f"http://127.0.0.1:{self.environment['TRAKSENSE_HTTP_PORT']}/health"
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: dict[str, object] = json.loads(answer.read())
            return found

    def end(self, *signals: signal.Signals) -> int:
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.2)
        status = self.process.wait(40)
        for reader in self._readers:
            reader.join(10)
        return status

    def left(self) -> list[int]:
        return [pid for pid in self.ever if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(tmp_path / "home")
    made.start()
    yield made
    if made.process.poll() is None:
        made.end(signal.SIGTERM)
    forget(made.home)


def test_what_is_killed_comes_back_and_a_stop_leaves_nothing(platform: Platform) -> None:
    ready = platform.await_line("READY ")
    api_url = f"http://127.0.0.1:{platform.environment['TRAKSENSE_HTTP_PORT']}"
    assert ready == f"READY {api_url}"
    endpoints = Endpoints.read(platform.home.endpoints_file)
    assert endpoints.api_url == api_url
    assert {user.role for user in endpoints.users} == {"internal_ops"}
    assert endpoints.devices == ()
    assert platform.health()["status"] == "ok"

    os.kill(platform.pid_of("local.worker ingest"), signal.SIGKILL)
    platform.await_line("worker.ingest was ended by SIGKILL: starting it again")
    platform.await_line("worker.ingest  connected to the broker")

    os.kill(platform.pid_of("mosquitto.conf"), signal.SIGKILL)
    platform.await_line("mosquitto is gone: starting it again")
    platform.await_line("mosquitto is back", "connected to the broker")

    os.kill(platform.pid_of("postgresql.conf"), signal.SIGKILL)
    platform.await_line("PostgreSQL is gone: starting it again")
    platform.await_line("PostgreSQL is back")

    assert platform.end(signal.SIGINT) == 0
    assert platform.left() == []
    assert platform.home.read_state() == {}


def test_a_start_after_a_kill_takes_over_what_was_left(platform: Platform) -> None:
    platform.await_line("READY ")
    servers = [platform.pid_of("mosquitto.conf"), platform.pid_of("postgresql.conf")]
    platform.process.kill()
    platform.end()
    platform.start()
    platform.await_line("PostgreSQL found running")
    platform.await_line("mosquitto found running")
    platform.await_line("READY ")
    assert [platform.pid_of("mosquitto.conf"), platform.pid_of("postgresql.conf")] == servers
    assert platform.end(signal.SIGTERM) == 0
    assert platform.left() == []


def test_a_stop_during_the_start_leaves_nothing(platform: Platform) -> None:
    platform.await_line("PostgreSQL started")
    assert platform.end(signal.SIGTERM) == 0
    assert platform.left() == []


def test_a_second_ctrl_c_ends_everything_at_once(platform: Platform) -> None:
    platform.await_line("READY ")
    assert platform.end(signal.SIGINT, signal.SIGINT) == 0
    assert platform.left() == []
