"""Nothing lost, nothing doubled: processes killed and the database away in mid-stream."""

from __future__ import annotations

import csv
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from local import unprivileged
from local.home import Home
from local.postgres import EmbeddedPostgres
from tests.support.platform import RunningPlatform, free_port, running, simulate, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

READINGS = 100_000
RATE = 5_000
STEP_S = 10


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100,000 rows with values of two decimals."""
    path = tmp_path_factory.mktemp("recording") / "values.csv"
    values = random.Random(7)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "value"])
        for n in range(READINGS):
            writer.writerow([f"2026-01-01 00:00:{n % 60:02d}", f"{values.uniform(-20, 90):.2f}"])
    return path


class Replay(threading.Thread):
    """The recording on its way, 5,000 messages a second, by a simulator of its own."""

    def __init__(self, platform: RunningPlatform, recording: Path) -> None:
        super().__init__()
        self._platform, self._recording = platform, recording
        self.count: Mapping[str, Any] = {}

    def run(self) -> None:
        self.count = simulate(
            self._platform, "--replay", str(self._recording), "--point", "temperatura",
            "--device", "umc/reserva-01", "--shift-to-now", "--step", str(STEP_S),
            "--rate", str(RATE),
        )  # fmt: skip


def stored(url: str) -> tuple[int, int, float]:
    """Readings, distinct readings, and the sum of the values."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT (point_sk, ts)), coalesce(sum(v_num::numeric), 0)"
            " FROM public.raw_readings"
        ).fetchone()
    assert row is not None
    return row[0], row[1], float(row[2])


def expect_everything(url: str, recording: Path, replay: Replay) -> None:
    replay.join(240)
    assert not replay.is_alive()
    assert replay.count["acknowledged"] == READINGS, replay.count
    assert replay.count["failed"] == 0
    wait_until("all is stored", lambda: stored(url)[0] >= READINGS, timeout_s=90, every_s=0.5)
    with recording.open() as file:
        total = sum(round(float(row["value"]) * 100) for row in csv.DictReader(file)) / 100
    time.sleep(3)  # what would be stored twice had its chance
    count, distinct, summed = stored(url)
    assert (count, distinct) == (READINGS, READINGS)
    assert summed == pytest.approx(total, abs=0.001)


def test_a_kill_of_everything_but_the_broker_loses_and_doubles_nothing(
    tmp_path: Path, recording: Path
) -> None:
    with running(tmp_path / "home") as platform:
        url = platform.endpoints.database_url
        replay = Replay(platform, recording)
        replay.start()
        wait_until("a part is stored", lambda: stored(url)[0] > READINGS // 10, timeout_s=60)
        killed = platform.kill_all_but_the_broker()
        assert {"postgres", "python"} <= {name.rstrip("0123456789.") for name in killed}, killed
        time.sleep(2)  # the devices go on meanwhile
        platform.start()
        assert any("mosquitto found running" in line for line in platform.output)
        expect_everything(platform.endpoints.database_url, recording, replay)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that the test may stop, which the platform gets as DATABASE_URL."""
    home = Home(tmp_path / "server")
    home.create()
    postgres = EmbeddedPostgres(home)
    postgres.start()
    yield postgres
    postgres.stop()
    unprivileged.forget(home)


def test_a_database_away_for_twenty_seconds_loses_and_doubles_nothing(
    tmp_path: Path, recording: Path, own_server: EmbeddedPostgres
) -> None:
    url = own_server.admin_url
    with running(tmp_path / "home", DATABASE_URL=url) as platform:
        assert platform.endpoints.database_url == url
        replay = Replay(platform, recording)
        replay.start()
        wait_until("a part is stored", lambda: stored(url)[0] > READINGS // 10, timeout_s=60)
        own_server.stop()
        time.sleep(20)
        assert own_server.start() == url
        expect_everything(url, recording, replay)
        assert psutil.pid_exists(platform.pid), "the platform stayed up throughout"


def test_a_stop_leaves_no_process_behind_and_a_second_start_keeps_everything(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "home") as platform:
        before = platform.processes()
        assert len(before) > 6
        users, devices = platform.endpoints.users, platform.endpoints.devices
        refused = subprocess.run(
            [sys.executable, "-m", "local"],
            env={**os.environ, **platform.environment, "TRAKSENSE_HTTP_PORT": str(free_port())},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert refused.returncode == 1
        assert str(platform.pid) in refused.stderr + refused.stdout
        assert "Traceback" not in refused.stderr + refused.stdout
        assert platform.stop() == 0
        _, alive = psutil.wait_procs(before, timeout=5)
        assert alive == []
        started = time.monotonic()
        platform.start()
        print(f"a second start took {time.monotonic() - started:.1f} s")
        assert (platform.endpoints.users, platform.endpoints.devices) == (users, devices)
        with platform.api() as api:
            assert api.get("/api/devices").json()["items"]


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        home = Home(tmp_path / "home")
        result = subprocess.run(
            [sys.executable, "-m", "local"],
            env={
                **os.environ,
                "TRAKSENSE_HOME": str(home.root),
                "TRAKSENSE_HTTP_PORT": str(port),
                "TRAKSENSE_MQTT_PORT": str(free_port()),
            },
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        unprivileged.forget(home)
    assert result.returncode == 1
    said = (result.stdout + result.stderr).strip().splitlines()
    assert str(port) in said[-1]
    assert "TRAKSENSE_HTTP_PORT" in said[-1]
    assert "Traceback" not in result.stderr


def test_a_child_that_crashes_comes_back_and_the_platform_stays(tmp_path: Path) -> None:
    with running(tmp_path / "home") as platform:
        worker = next(
            process
            for process in psutil.Process(platform.pid).children(recursive=True)
            if "local.gateway" in process.cmdline()
        )
        worker.send_signal(signal.SIGKILL)
        wait_until(
            "the crash is reported",
            lambda: (
                any("gateway" in line and "WARN" in line for line in platform.output)
                or any("gateway" in line and "ERROR" in line for line in platform.output)
            ),
        )

        def answers() -> bool:
            try:
                with platform.api() as api:
                    return api.get("/api/me").status_code == 200
            except (httpx.HTTPError, AssertionError):  # down, or up without its users yet
                return False

        wait_until("the gateway answers again", answers, timeout_s=40, every_s=0.5)
