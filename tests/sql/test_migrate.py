"""Migrations: ordered, checksummed, one run at a time, resumable."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support import database as db
from traksense.db import migrate as m
from traksense.db import queries
from traksense.db.engine import StorageEngine
from traksense.domain.errors import DatabaseAway


@pytest.fixture
def empty(admin_url: str) -> Iterator[str]:
    """A database with nothing in it."""
    with db.fresh_database(admin_url, template="template0") as url:
        yield url


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of sql/ to change."""
    return Path(shutil.copytree(queries.sql_directory(), tmp_path / "sql"))


def test_an_empty_database_is_brought_up_to_date_and_a_second_run_does_nothing(
    empty: str, engine: StorageEngine
) -> None:
    assert all(each.applied_at is None for each in m.status(empty))
    applied = m.migrate(empty)
    assert applied == list(m.discover(engine))
    assert m.migrate(empty) == []
    assert all(each.applied_at is not None for each in m.status(empty))


def test_runs_at_the_same_time_apply_everything_once(empty: str, engine: StorageEngine) -> None:
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(len(m.migrate(empty)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(counts) == [0, 0, 0, len(m.discover(engine))]


def test_a_failing_migration_is_undone_and_the_next_run_goes_on_from_there(
    empty: str, directory: Path
) -> None:
    m.migrate(empty, directory=directory)
    good = directory / "migrations" / "9001_good.sql"
    bad = directory / "migrations" / "9002_bad.sql"
    good.write_text("CREATE TABLE public.good (id int);")
    bad.write_text("CREATE TABLE public.half (id int); SELECT 1 / 0;")
    with pytest.raises(m.MigrationError, match="9002_bad failed and was undone"):
        m.migrate(empty, directory=directory)
    with psycopg.connect(empty) as connection:
        row = connection.execute("SELECT to_regclass('good'), to_regclass('half')").fetchone()
    assert row == ("good", None)
    bad.write_text("CREATE TABLE public.half (id int);")
    assert [each.version for each in m.migrate(empty, directory=directory)] == [9002]


def test_an_applied_migration_that_was_edited_is_refused(empty: str, directory: Path) -> None:
    m.migrate(empty, directory=directory)
    path = next((directory / "migrations").glob("0001_*.sql"))
    path.write_text(path.read_text() + "\n-- a word more\n")
    with pytest.raises(m.MigrationError, match="0001_configuration was changed after"):
        m.migrate(empty, directory=directory)


def test_a_migration_numbered_before_an_applied_one_is_refused(empty: str, directory: Path) -> None:
    (directory / "migrations" / "9005_later.sql").write_text("SELECT 1;")
    m.migrate(empty, directory=directory)
    (directory / "migrations" / "9004_earlier.sql").write_text("SELECT 1;")
    with pytest.raises(m.MigrationError, match="9004_earlier is older than the newest"):
        m.migrate(empty, directory=directory)


def test_a_schema_newer_than_the_code_is_left_alone(empty: str, directory: Path) -> None:
    extra = directory / "migrations" / "9001_newer.sql"
    extra.write_text("CREATE TABLE public.newer (id int);")
    m.migrate(empty, directory=directory)
    assert m.migrate(empty) == []


def test_two_files_of_one_number_are_refused(directory: Path) -> None:
    (directory / "migrations" / "0001_again.sql").write_text("SELECT 1;")
    with pytest.raises(m.MigrationError, match="has the number of"):
        m.discover("plain", directory)


def test_a_server_that_is_away_is_worth_another_try() -> None:
    with pytest.raises(DatabaseAway):
        m.migrate("postgresql://nobody@127.0.0.1:1/none")


def test_the_command_shows_status_and_says_what_is_wrong(
    empty: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty)
    assert m.main(["--status"]) == 1
    assert "0001_configuration" in capsys.readouterr().out
    assert m.main([]) == 0
    assert m.main(["--status"]) == 0
    assert "pending" not in capsys.readouterr().out.split("applied now")[-1]
    monkeypatch.setenv("DATABASE_URL", "mysql://x")
    assert m.main([]) == 1
    assert "DATABASE_URL must begin with postgresql://" in capsys.readouterr().err


def test_an_administrator_without_superuser_rights_can_migrate(admin_url: str) -> None:
    """As on RDS and Aurora, whose master user may create roles and databases and no more."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        is_16 = connection.info.server_version >= 160000
        connection.execute("DROP ROLE IF EXISTS tt_master")
        connection.execute("CREATE ROLE tt_master LOGIN CREATEROLE CREATEDB PASSWORD 'example'")
        for role in ("owner", "ingest", "app", "ops", "readonly"):
            # What CREATE ROLE gives its creator: to administer the role, not to take it.
            how = "ADMIN TRUE, SET FALSE, INHERIT FALSE" if is_16 else "ADMIN OPTION"
            connection.execute(f"GRANT traksense_{role} TO tt_master WITH {how}".encode())
        connection.execute("CREATE DATABASE tt_master_db OWNER tt_master")
    try:
        url = db.with_database(admin_url, "tt_master_db")
        login = url[: url.index("//") + 2] + "tt_master:example@" + url.split("@", 1)[1]
        assert m.migrate(login)
        assert m.migrate(login) == []
    finally:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute("DROP DATABASE tt_master_db WITH (FORCE)")
            connection.execute("DROP ROLE tt_master")


def test_a_login_without_rights_is_told_so_in_one_line(
    empty: str, admin_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS tt_nobody")
        connection.execute("CREATE ROLE tt_nobody LOGIN PASSWORD 'example'")
    try:
        login = empty[: empty.index("//") + 2] + "tt_nobody:example@" + empty.split("@", 1)[1]
        monkeypatch.setenv("DATABASE_URL", login)
        assert m.main([]) == 1
        error = capsys.readouterr().err
        assert re.match("migrate: (permission denied|must have admin option)", error)
        assert error.count("\n") == 1
    finally:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute("DROP ROLE tt_nobody")


def test_a_server_that_goes_away_in_mid_run_is_worth_another_try(
    empty: str, directory: Path
) -> None:
    m.migrate(empty, directory=directory)
    cut = directory / "migrations" / "9001_cut.sql"
    cut.write_text("SET LOCAL ROLE NONE; SELECT pg_terminate_backend(pg_backend_pid());")
    with pytest.raises(DatabaseAway):
        m.migrate(empty, directory=directory)
    lock = directory / "migrations" / "9001_cut.sql"
    lock.write_text(
        "SET LOCAL ROLE NONE; SELECT pg_terminate_backend(l.pid, 5000) FROM pg_locks l"
        " WHERE l.locktype = 'advisory' AND l.pid <> pg_backend_pid(); "
    )
    (directory / "migrations" / "9002_never.sql").write_text("CREATE TABLE public.never (id int);")
    with pytest.raises(DatabaseAway):
        m.migrate(empty, directory=directory)
    with psycopg.connect(empty) as connection:
        row = connection.execute("SELECT to_regclass('never')").fetchone()
    assert row == (None,), "nothing is applied once the lock is lost"


def test_every_named_query_says_what_it_is_for() -> None:
    for path in (queries.sql_directory() / "queries").glob("*.sql"):
        assert queries.load(path.stem), path
