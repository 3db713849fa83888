"""The embedded PostgreSQL of a home, through everything that may happen to its processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from local import process_identity
from local.errors import StartupError
from local.home import Home, read_json, write_json
from local.postgres import EmbeddedPostgres
from local.postgres_programs import find_programs
from local.process_identity import ProcessIdentity
from local.unprivileged import forget, service_user

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home")
    home.create()
    yield home
    forget(home)


@pytest.fixture
def postgres(home: Home) -> Iterator[EmbeddedPostgres]:
    """A server, not yet started, stopped afterwards."""
    postgres = EmbeddedPostgres(home)
    yield postgres
    postgres.stop()


def one(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def identity(postgres: EmbeddedPostgres) -> ProcessIdentity:
    assert postgres.identity is not None
    return postgres.identity


def test_it_starts_from_nothing_with_its_database(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    assert urlsplit(url).path == "/traksense"
    assert int(str(one(url, "SHOW server_version_num"))) >= 150000
    assert one(url, "SELECT current_database()::text") == "traksense"
    assert one(url, "SHOW server_encoding") == "UTF8"
    assert one(url, "SHOW timezone") == "UTC"
    assert one(url, "SELECT lower('ÇÃO')") == "ção"
    assert postgres.alive()


def test_it_listens_on_loopback_only_and_wants_a_password(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    process = psutil.Process(identity(postgres).pid)
    listening = [c.laddr for c in process.net_connections("all") if c.status == psutil.CONN_LISTEN]
    assert [address[0] for address in listening] == ["127.0.0.1"]
    wrong = url.replace(str(urlsplit(url).password), "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)
    assert one(url, "SHOW password_encryption") == "scram-sha-256"


def test_it_never_runs_as_root_and_its_data_is_its_own(
    postgres: EmbeddedPostgres, home: Home
) -> None:
    postgres.start()
    user = service_user()
    expected = user.uid if user else os.getuid()
    assert expected != 0
    assert psutil.Process(identity(postgres).pid).uids().real == expected
    assert home.postgres.stat().st_mode & 0o777 == 0o700
    assert (home.postgres / "data").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in home.postgres.glob("password*")] == []


def test_a_restart_keeps_the_data_and_the_port(postgres: EmbeddedPostgres) -> None:
    url = postgres.start()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE public.kept AS SELECT 7 AS value")
    postgres.stop()
    assert not postgres.alive()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    assert postgres.start() == url
    assert not postgres.adopted
    assert one(url, "SELECT value FROM public.kept") == 7


STARTER = """
import os, sys, time
from pathlib import Path
from local.home import Home
from local.postgres import EmbeddedPostgres
EmbeddedPostgres(Home(Path(sys.argv[1]))).start()
print("up", flush=True)
time.sleep(60)
"""


def test_it_outlives_its_starters_death_and_is_adopted(
    postgres: EmbeddedPostgres, home: Home
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(home.root)], stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        starter.kill()
    pid = read_json(home.run / "postgres.json")["pid"]
    url = postgres.start()
    assert postgres.adopted
    assert identity(postgres).pid == pid
    assert one(url, "SELECT 1") == 1
    postgres.stop()
    assert process_identity.of(pid) is None


def test_a_live_server_of_other_settings_is_replaced(
    postgres: EmbeddedPostgres, home: Home
) -> None:
    postgres.start()
    first = identity(postgres)
    record = read_json(home.run / "postgres.json")
    write_json(home.run / "postgres.json", {**record, "configuration": "that of last week"})
    second = EmbeddedPostgres(home)
    second.start()
    try:
        assert not second.adopted
        assert not process_identity.is_alive(first)
    finally:
        second.stop()


def test_a_live_server_that_nobody_recorded_is_replaced(
    postgres: EmbeddedPostgres, home: Home
) -> None:
    postgres.start()
    first = identity(postgres)
    (home.run / "postgres.json").unlink()
    second = EmbeddedPostgres(home)
    url = second.start()
    try:
        assert not process_identity.is_alive(first)
        assert one(url, "SELECT 1") == 1
    finally:
        second.stop()


def test_what_was_committed_survives_the_death_of_the_postmaster(
    postgres: EmbeddedPostgres,
) -> None:
    url = postgres.start()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE public.kept AS SELECT 7 AS value")
    # A session that holds on to shared memory until it notices.
    session = psycopg.connect(url)
    try:
        session.execute("SELECT 1")
        os.kill(identity(postgres).pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while postgres.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not postgres.alive()
        assert postgres.start() == url
    finally:
        session.close()
    assert one(url, "SELECT value FROM public.kept") == 7


def test_a_lock_file_with_the_number_of_another_process_is_no_obstacle(
    postgres: EmbeddedPostgres, home: Home
) -> None:
    postgres.start()
    lock_file = home.postgres / "data" / "postmaster.pid"
    lines = lock_file.read_text().splitlines()
    postgres.stop()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        lock_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        url = postgres.start()
        assert one(url, "SELECT 1") == 1
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n")


def test_two_homes_run_side_by_side(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    other_home = Home(tmp_path / "other")
    other_home.create()
    other = EmbeddedPostgres(other_home)
    try:
        first, second = postgres.start(), other.start()
        assert urlsplit(first).port != urlsplit(second).port
        assert urlsplit(first).password != urlsplit(second).password
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE public.mine AS SELECT 1")
        assert one(second, "SELECT to_regclass('public.mine')::text") is None
    finally:
        other.stop()
        forget(other_home)


def test_another_port_is_taken_where_the_last_one_is_in_use(postgres: EmbeddedPostgres) -> None:
    first = urlsplit(postgres.start()).port
    postgres.stop()
    assert first is not None
    with socket.create_server(("127.0.0.1", first)):
        url = postgres.start()
        assert urlsplit(url).port != first
        assert one(url, "SELECT 1") == 1


def test_a_port_that_was_asked_for_and_is_in_use_is_named(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError, match=f"port {port}.* is in use"):
            EmbeddedPostgres(home, port).start()


def test_a_server_that_does_not_start_says_why(postgres: EmbeddedPostgres, home: Home) -> None:
    postgres.start()
    postgres.stop()
    (home.postgres / "data" / "global" / "pg_control").unlink()
    with pytest.raises(StartupError, match=r"PostgreSQL did not start: .*pg_control.*No such file"):
        postgres.start()


def test_the_data_of_another_major_version_is_left_alone(
    postgres: EmbeddedPostgres, home: Home
) -> None:
    postgres.start()
    postgres.stop()
    version = home.postgres / "data" / "PG_VERSION"
    version.write_text("12\n")
    with pytest.raises(StartupError, match="PostgreSQL 12's"):
        postgres.start()


def test_a_home_that_was_deleted_starts_empty(postgres: EmbeddedPostgres, home: Home) -> None:
    url = postgres.start()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE public.gone AS SELECT 1")
    if service_user() is None:
        postgres.stop()
    shutil.rmtree(home.root)
    home.create()
    again = EmbeddedPostgres(home)
    try:
        assert one(again.start(), "SELECT to_regclass('public.gone')::text") is None
    finally:
        again.stop()


def test_a_platform_without_the_wheel_is_told_to_name_a_server(home: Home) -> None:
    with pytest.raises(StartupError, match="set DATABASE_URL"):
        find_programs(home, service_user(), package="no_such_wheel")
