"""A local platform as a person starts it: ``python -m local`` in a home of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from local import unprivileged
from local.endpoints import DeviceEndpoint, Endpoints, UserEndpoint
from local.home import Home

START_S = 90.0
STOP_S = 30.0


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class RunningPlatform:
    """One ``python -m local``; it may be killed and started again on the same home."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.environment = {
            "TRAKSENSE_HOME": str(home),
            "TRAKSENSE_HTTP_PORT": str(free_port()),
            "TRAKSENSE_MQTT_PORT": str(free_port()),
            "TRAKSENSE_DEMO": "data",
            **environment,
        }
        self.output: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start and wait for READY. Fails with what was printed."""
        inherited = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            env={**inherited, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        ready = threading.Event()

        def read(stream: Any) -> None:
            with stream:
                for line in stream:
                    self.output.append(line.rstrip())
                    if line.startswith("READY "):
                        ready.set()

        self._reader = threading.Thread(target=read, args=(self._process.stdout,))
        self._reader.start()
        deadline = time.monotonic() + START_S
        while not ready.wait(0.05):
            ended = self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                shown = "\n".join(self.output[-40:])
                self.stop()
                raise AssertionError(f"the platform did not get ready:\n{shown}")

    @property
    def pid(self) -> int:
        """The supervisor's."""
        assert self._process is not None
        return self._process.pid

    @property
    def endpoints(self) -> Endpoints:
        """What the platform wrote for its clients."""
        return Endpoints.read(self.home / "endpoints.json")

    def processes(self) -> list[psutil.Process]:
        """All that run for this platform: the tree, and the two servers that outlive it."""
        own = psutil.Process(self.pid)
        found = {process.pid: process for process in [own, *own.children(recursive=True)]}
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if self.service_directory("postgres") in command:
                found[process.pid] = process
                found |= {child.pid: child for child in process.children(recursive=True)}
        return list(found.values())

    def service_directory(self, name: str) -> str:
        """Where a server's files really lie."""
        home = Home(self.home)
        return str(Path(getattr(home, name)).resolve())

    def kill_all_but_the_broker(self) -> list[str]:
        """SIGKILL to every process but mosquitto; the names of those that were hit."""
        doomed = [p for p in self.processes() if p.name() != "mosquitto"]
        names = [process.name() for process in doomed]
        for process in doomed:
            process.kill()
        psutil.wait_procs(doomed, timeout=10)
        assert self._process is not None
        self._process.wait(10)
        self._join()
        return names

    def stop(self) -> int:
        """SIGTERM, and wait; the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait(STOP_S)
        self._join()
        return code

    def _join(self) -> None:
        if self._reader is not None:
            self._reader.join(10)

    def user(self, role: str, tenant: str | None) -> UserEndpoint:
        """A demo user."""
        return next(u for u in self.endpoints.users if (u.role, u.tenant) == (role, tenant))

    def idle_device(self, tenant: str) -> DeviceEndpoint:
        """A device that no simulator uses."""
        return next(d for d in self.endpoints.devices if d.tenant == tenant and not d.simulated)

    @contextmanager
    def api(
        self, role: str = "customer_admin", tenant: str | None = "umc"
    ) -> Iterator[httpx.Client]:
        """A client logged in as a demo user."""
        user = self.user(role, tenant)
        with httpx.Client(base_url=self.endpoints.api_url, timeout=30) as client:
            answer = client.post(
                "/api/auth/login", json={"email": user.email, "password": user.password}
            )
            assert answer.status_code == 200, answer.text
            client.headers["Authorization"] = f"Bearer {answer.json()['id_token']}"
            yield client

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the platform's database as its administrator."""
        with psycopg.connect(self.endpoints.database_url) as connection:
            return connection.execute(statement.encode(), values).fetchall()


@contextmanager
def running(home: Path, **environment: str) -> Iterator[RunningPlatform]:
    """A platform that is stopped afterwards, whatever happened."""
    platform = RunningPlatform(home, **environment)
    platform.start()
    try:
        yield platform
    finally:
        platform.stop()
        unprivileged.forget(Home(home))


def wait_until(what: str, condition: Any, timeout_s: float = 20.0, every_s: float = 0.1) -> Any:
    """Poll until ``condition()`` is true; its value. Fails saying what did not happen."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(every_s)


def simulate(platform: RunningPlatform, *arguments: str, **options: Any) -> Mapping[str, Any]:
    """Run the device simulator to its end; its final count."""
    import json

    command = [sys.executable, "-m", "device_sim", "--json"]
    command += ["--endpoints", str(platform.home / "endpoints.json"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    assert lines, f"exit {result.returncode}: {result.stdout[-2000:]}{result.stderr[-2000:]}"
    count: Mapping[str, Any] = json.loads(lines[-1])
    return count
