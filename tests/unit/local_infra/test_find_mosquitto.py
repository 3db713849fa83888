from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.errors import StartupError
from local.home import Home
from local.mosquitto.find_or_install import find_or_install
from local.unprivileged import software_directory


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    if (software_directory(home) / "mosquitto").exists():
        pytest.skip("a mosquitto was downloaded for this machine")
    return home


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for programs that any account may enter."""
    folder = Path(tempfile.mkdtemp(prefix="traksense-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def fake_mosquitto(folder: Path, version: str) -> Path:
    program = folder / "mosquitto"
    program.write_text(f"#!/bin/sh\necho 'mosquitto version {version}'\nexit 3\n")
    program.chmod(0o755)
    return program


def test_the_one_on_the_path_is_taken(home: Home, folder: Path) -> None:
    program = fake_mosquitto(folder, "2.0.18")
    found = find_or_install(home, search_path=str(folder), places=())
    assert (found.path, found.version, found.library_path) == (program, "2.0.18", None)


def test_the_places_of_administrators_are_looked_at_too(home: Home, folder: Path) -> None:
    program = fake_mosquitto(folder, "2.1.0")
    found = find_or_install(home, search_path="/nonexistent", places=(str(folder),))
    assert found.path == program


def test_none_and_no_apt_is_one_line_that_says_what_to_install(home: Home, folder: Path) -> None:
    with pytest.raises(StartupError, match="mosquitto is not installed: install it") as caught:
        find_or_install(home, search_path=str(folder), places=())
    assert "\n" not in str(caught.value)


def test_one_that_is_too_old_is_said_to_be(home: Home, folder: Path) -> None:
    fake_mosquitto(folder, "1.6.9")
    with pytest.raises(StartupError, match=r"mosquitto 1\.6\.9 is too old"):
        find_or_install(home, search_path=str(folder), places=())


def test_one_that_does_not_run_counts_as_none(home: Home, folder: Path) -> None:
    (folder / "mosquitto").write_bytes(b"\x7fELF of another machine")
    (folder / "mosquitto").chmod(0o755)
    with pytest.raises(StartupError, match="mosquitto is not installed"):
        find_or_install(home, search_path=str(folder), places=())


def test_a_download_that_fails_leaves_nothing_half_made(home: Home, folder: Path) -> None:
    for name in ("apt-get", "dpkg"):
        tool = folder / name
        tool.write_text("#!/bin/sh\necho 'E: Unable to reach the archive' >&2\nexit 100\n")
        tool.chmod(0o755)
    with pytest.raises(StartupError, match=r"downloading it failed .*Unable to reach the archive"):
        find_or_install(home, search_path=str(folder), places=())
    assert list(software_directory(home).glob("mosquitto*")) == []
