from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.home import Home
from local.ports import free_port


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def start(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    told = {
        "TRAKSENSE_HOME": str(home),
        "TRAKSENSE_HTTP_PORT": str(free_port()),
        "TRAKSENSE_MQTT_PORT": str(free_port()),
    }
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "-m", "local"],
        env=inherited | told | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("variable", ["TRAKSENSE_HTTP_PORT", "TRAKSENSE_MQTT_PORT"])
def test_a_port_in_use_is_one_line_that_names_it_its_holder_and_the_variable(
    tmp_path: Path, taken_port: int, variable: str
) -> None:
    done = start(tmp_path / "home", **{variable: str(taken_port)})
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"port {taken_port} (" in line
    assert f"pid {os.getpid()}" in line
    assert variable in line
    assert done.stdout == ""


def test_a_second_start_on_the_same_home_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    with home.lock():
        done = start(home.root)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"another platform (pid {os.getpid()}) runs on this home" in line


def test_a_malformed_setting_is_one_line_that_names_it(tmp_path: Path) -> None:
    done = start(tmp_path / "home", TRAKSENSE_HTTP_PORT="eighty")
    assert done.returncode == 1
    assert done.stderr.startswith("traksense: TRAKSENSE_HTTP_PORT is 'eighty'")
    assert len(done.stderr.splitlines()) == 1


def test_a_database_that_is_away_is_one_clear_line_and_leaves_nothing_running(
    tmp_path: Path,
) -> None:
    url = f"postgresql://nobody:secret@127.0.0.1:{free_port()}/traksense"
    done = start(tmp_path / "home", DATABASE_URL=url)
    assert done.returncode == 1
    critical = [line for line in done.stderr.splitlines() if "CRITICAL" in line]
    assert len(critical) == 1
    assert "connection" in critical[0].lower()
    assert "secret" not in done.stderr
    assert Home(tmp_path / "home").read_state() == {}
