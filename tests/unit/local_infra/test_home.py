from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local.errors import StartupError
from local.home import Home, unusable, write_atomically


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_every_folder_is_its_owners_alone(home: Home) -> None:
    folders = [home.root, home.logs, home.certificates, home.device_certificates, home.metrics]
    folders += [home.dead_letters, home.aws, home.run]
    assert {mode(folder) for folder in folders} == {0o700}


def test_creating_a_home_again_changes_nothing_in_it(home: Home) -> None:
    home.write_state({"pid": 1})
    home.root.chmod(0o755)
    home.create()
    assert home.read_state() == {"pid": 1}
    assert mode(home.root) == 0o700


def test_a_home_in_the_place_of_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match="set TRAKSENSE_HOME") as caught:
        Home(tmp_path / "file" / "home").create()
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_said_in_those_words() -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "no space left for /srv/home" in str(unusable(Path("/srv/home"), error))


HOLDER = """
import sys
from pathlib import Path
from local.home import Home
with Home(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_platform_on_a_home_is_refused_until_the_first_is_dead(home: Home) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        refused = rf"another platform \(pid {holder.pid}\) runs on this home"
        with pytest.raises(StartupError, match=refused), home.lock():
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with home.lock():
            assert home.lock_file.read_text() == f"{os.getpid()}\n"
    assert mode(home.lock_file) == 0o600


def test_a_lock_is_free_again_after_use(home: Home) -> None:
    for _ in range(2):
        with home.lock():
            pass


def test_a_child_that_outlives_the_holder_does_not_keep_the_lock(home: Home) -> None:
    with home.lock():
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
        )
    try:
        with home.lock():
            assert child.poll() is None
    finally:
        child.communicate(b"\n")


def test_a_secret_is_made_once_and_differs_from_every_other(home: Home, tmp_path: Path) -> None:
    first = home.secrets().secret("postgres_password")
    assert len(first) >= 32
    assert home.secrets().secret("postgres_password") == first
    assert home.secrets().secret("demo_password") != first
    other = Home(tmp_path / "other")
    other.create()
    assert other.secrets().secret("postgres_password") != first


def test_secrets_are_in_a_file_that_only_its_owner_reads(home: Home) -> None:
    home.secrets().secret("any")
    assert mode(home.secrets_file) == 0o600


def test_secrets_asked_for_at_the_same_time_are_all_kept(home: Home) -> None:
    names = [f"name-{number % 10}" for number in range(60)]
    given: list[tuple[str, str]] = []
    threads = [
        threading.Thread(target=lambda name=name: given.append((name, home.secrets().secret(name))))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 60
    assert dict(given) == json.loads(home.secrets_file.read_text())
    assert len(set(given)) == 10


def test_a_damaged_secrets_file_stops_the_start_and_is_left_alone(home: Home) -> None:
    home.secrets_file.write_text('{"postgres_pass')
    with pytest.raises(StartupError, match="damaged"):
        home.secrets().secret("postgres_password")
    assert home.secrets_file.read_text() == '{"postgres_pass'


def test_the_state_comes_back_as_it_was_written(home: Home) -> None:
    assert home.read_state() == {}
    home.write_state({"ports": {"http": 8000}, "pids": [1, 2]})
    assert home.read_state() == {"ports": {"http": 8000}, "pids": [1, 2]}
    assert mode(home.state_file) == 0o600


def test_a_state_that_was_cut_short_counts_as_none(home: Home) -> None:
    home.state_file.write_text('{"ports": ')
    assert home.read_state() == {}


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(home: Home) -> None:
    target = home.run / "file"
    write_atomically(target, b"old")
    with pytest.raises(TypeError):
        write_atomically(target, "no bytes")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert [path.name for path in home.run.iterdir()] == ["file"]


def test_a_write_replaces_a_link_and_not_what_it_points_at(home: Home, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    target = home.run / "file"
    target.symlink_to(precious)
    write_atomically(target, b"new")
    assert precious.read_text() == "precious"
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()


def test_each_queue_has_its_file_of_dead_letters(home: Home) -> None:
    assert home.dead_letter_file("ingest") == home.root / "dead-letters" / "ingest.jsonl"
