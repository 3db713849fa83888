from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.home import Home
from local.unprivileged import (
    ServiceUser,
    forget,
    service_directory,
    service_user,
    software_directory,
    spawn_kwargs,
)

# What only root does cannot be tried by anyone else.
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="runs as root only")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    home.create()
    yield home
    if home.root.exists():
        forget(home)


def user() -> ServiceUser:
    found = service_user()
    assert found is not None
    return found


def run_as_service(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd="/", capture_output=True, text=True, check=False, **spawn_kwargs(user())
    )


@as_root
def test_as_root_a_child_has_neither_our_user_nor_our_groups(home: Home) -> None:
    said = run_as_service("id", "-u").stdout + run_as_service("id", "-G").stdout
    assert said.split() == [str(user().uid), str(user().gid)]
    assert user().uid != 0


@as_root
def test_as_root_the_servers_account_can_use_its_folder_and_not_the_home(home: Home) -> None:
    directory = service_directory(home, "broker")
    assert home.broker.resolve() == directory
    assert run_as_service("touch", directory / "file").returncode == 0
    assert run_as_service("ls", home.root).returncode != 0
    assert directory.stat().st_mode & 0o777 == 0o700


@as_root
def test_as_root_no_existing_folders_mode_is_widened(tmp_path: Path) -> None:
    before = {path: path.stat().st_mode for path in (tmp_path, *tmp_path.parents)}
    base = Path("/var/lib").stat().st_mode
    home = Home(tmp_path / "home")
    home.create()
    service_directory(home, "broker")
    assert {path: path.stat().st_mode for path in before} == before
    assert Path("/var/lib").stat().st_mode == base
    forget(home)


@as_root
def test_as_root_the_servers_account_cannot_change_programs(home: Home) -> None:
    directory = software_directory(home)
    assert run_as_service("touch", directory / "file").returncode != 0
    assert run_as_service("ls", directory).returncode == 0


@as_root
def test_a_home_finds_its_folder_again(home: Home) -> None:
    directory = service_directory(home, "broker")
    (directory / "kept").touch()
    assert service_directory(home, "broker") == directory
    assert (directory / "kept").exists()


@as_root
def test_a_home_that_was_moved_keeps_its_folder(home: Home, tmp_path: Path) -> None:
    (service_directory(home, "broker") / "kept").touch()
    moved = Home(tmp_path / "moved")
    home.root.rename(moved.root)
    assert (service_directory(moved, "broker") / "kept").exists()
    forget(moved)


@as_root
def test_a_copy_of_a_home_does_not_share_its_originals_folder(home: Home, tmp_path: Path) -> None:
    directory = service_directory(home, "broker")
    copy = Home(tmp_path / "copy")
    shutil.copytree(home.root, copy.root, symlinks=True)
    assert service_directory(copy, "broker") != directory
    assert service_directory(home, "broker") == directory
    forget(copy)


@as_root
def test_a_home_that_was_deleted_starts_empty(home: Home) -> None:
    (service_directory(home, "broker") / "old").touch()
    shutil.rmtree(home.root)
    home.create()
    assert list(service_directory(home, "broker").iterdir()) == []


@as_root
def test_forgetting_a_home_leaves_nothing_outside_it(home: Home) -> None:
    directory = service_directory(home, "broker")
    service_directory(home, "postgres")
    forget(home)
    assert not directory.parent.exists()
    assert not home.broker.is_symlink()


@as_root
def test_files_of_another_account_are_given_to_the_servers(home: Home) -> None:
    directory = service_directory(home, "broker")
    inside = directory / "file"
    inside.touch()
    os.chown(directory, 1, 1)
    assert service_directory(home, "broker") == directory
    assert (directory.stat().st_uid, inside.stat().st_uid) == (user().uid, user().uid)
