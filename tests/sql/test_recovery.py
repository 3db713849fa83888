"""The restore drill on a real server: what was backed up comes back, and the erased do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra_cdk.recovery import drill, graves
from infra_cdk.recovery.__main__ import main
from infra_cdk.recovery.backup import (
    DrillFailed,
    dump,
    moment,
    new_database,
    programs,
    restore,
    with_database,
)
from infra_cdk.recovery.fingerprint import Fingerprint, Rows, differences, fingerprint
from tests.sql.test_erasure import KEPT, traces
from tests.sql.test_isolation import fill
from tests.support.erasure import FakePlaces, run_to_the_end
from tests.support.fleet import Seeded
from traksense.aws import s3
from traksense.db.connection import Database
from traksense.db.engine import StorageEngine
from traksense.db.erasure import SqlErasureRequests, SqlErasureStore
from traksense.services.erasure import Erasures, Tombstone

pytestmark = pytest.mark.engine("plain")


@pytest.fixture
def filled(database_url: str, engine: StorageEngine) -> Seeded:
    """Both tenants have a row of everything."""
    return fill(database_url, engine)


@pytest.fixture
def copy_name(database_url: str) -> str:
    """Of the database that a drill makes: beside the test's own."""
    return f"{conninfo_to_dict(database_url)['dbname']}_copy"


@pytest.fixture
def graveyard(tmp_path: Path) -> Path:
    folder = tmp_path / "tombstones"
    folder.mkdir()
    return folder


def bury(folder: Path, seeded: Seeded, slug: str) -> Tombstone:
    """A tombstone as it is kept outside the database."""
    tombstone = Tombstone(seeded.tenants[slug], slug, datetime.now(UTC), datetime.now(UTC), {})
    (folder / f"{tombstone.tenant_id}.json").write_bytes(s3.encode(tombstone))
    return tombstone


def silent(_line: str) -> None:
    """Say nothing."""


def databases(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


@pytest.fixture
def copied(database_url: str, filled: Seeded, copy_name: str, tmp_path: Path) -> Iterator[str]:
    """A restored copy, and nothing done to it yet."""
    folder, backup = programs(None, database_url), tmp_path / "backup"
    with moment(database_url) as (snapshot, _):
        dump(database_url, snapshot, folder, backup)
    with new_database(database_url, copy_name, keep=False) as url:
        restore(url, folder, backup)
        yield url


def numbers(url: str) -> Fingerprint:
    with psycopg.connect(url) as connection:
        return fingerprint(connection)


def test_a_drill_restores_every_row_of_every_table(
    database_url: str, filled: Seeded, copy_name: str
) -> None:
    outcome = drill.run(
        database_url, database_url, copy_name,
        programs=programs(None, database_url), tombstones=[], keep=False, say=silent,
    )  # fmt: skip
    assert outcome.differences == []
    assert outcome.missing_migrations == []
    assert outcome.passed
    before = numbers(database_url)
    assert (outcome.tables, outcome.rows) == (len(before.tables), before.rows)
    assert before.tables["public.tenants"].number == 2
    assert before.rows > 50
    assert outcome.backup_bytes > 10_000
    assert list(outcome.seconds) == ["back up", "restore", "compare", "apply tombstones"]
    assert copy_name not in databases(database_url)


def test_who_was_erased_after_the_backup_is_brought_back_by_it_and_erased_again(
    database_url: str, filled: Seeded, copy_name: str, graveyard: Path
) -> None:
    bury(graveyard, filled, "acme")
    before = numbers(database_url)
    outcome = drill.run(
        database_url, database_url, copy_name,
        programs=programs(None, database_url),
        tombstones=graves.from_folder(graveyard), keep=True, say=silent,
    )  # fmt: skip
    copy = with_database(database_url, copy_name)
    try:
        assert outcome.brought_back == ["acme"]
        assert (outcome.tombstones, outcome.left) == (1, 0)
        assert outcome.passed
        assert traces(copy, filled, "acme") == []
        assert traces(copy, filled, "globex") != []
        assert numbers(database_url) == before  # the source was only read
        assert traces(database_url, filled, "acme") != []
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{copy_name}" WITH (FORCE)'.encode())


def test_who_was_erased_before_the_backup_is_not_erased_twice(
    database_url: str, filled: Seeded, copy_name: str, graveyard: Path
) -> None:
    bury(graveyard, filled, "acme")
    with closing(Database(database_url)) as database:
        Erasures(SqlErasureRequests(database)).begin("acme", "acme")
        assert run_to_the_end(SqlErasureStore(database), FakePlaces()).finished == ["acme"]
    outcome = drill.run(
        database_url, database_url, copy_name,
        programs=programs(None, database_url),
        tombstones=graves.from_folder(graveyard), keep=False, say=silent,
    )  # fmt: skip
    assert outcome.brought_back == []
    assert outcome.passed
    assert set(numbers(database_url).tables) >= KEPT


def test_what_is_written_during_the_backup_is_neither_counted_nor_restored(
    database_url: str, filled: Seeded, copy_name: str, tmp_path: Path
) -> None:
    folder, backup = programs(None, database_url), tmp_path / "backup"
    with moment(database_url) as (snapshot, before):
        with psycopg.connect(database_url) as writer:
            writer.execute("INSERT INTO m_raw (ts, v_num, point_sk) VALUES (now(), 42, 1)")
        dump(database_url, snapshot, folder, backup)
    assert differences(before, numbers(database_url)) != []
    with new_database(database_url, copy_name, keep=False) as url:
        restore(url, folder, backup)
        assert differences(before, numbers(url)) == []


def test_a_single_changed_value_in_a_copy_is_found(
    database_url: str, filled: Seeded, copied: str
) -> None:
    before = numbers(database_url)
    with psycopg.connect(copied) as connection:
        changed = connection.execute(
            "UPDATE sites SET name = name || ' ' WHERE id = (SELECT id FROM sites LIMIT 1)"
        )
        assert changed.rowcount == 1
    found = [each.partition(":")[0] for each in differences(before, numbers(copied))]
    assert "public.sites" in found
    assert set(found) <= {"public.sites", "public.config_epochs"}  # the change was counted, too


def test_a_row_or_a_table_that_is_missing_and_a_sequence_that_is_behind_are_told() -> None:
    two, one = Rows(2, Decimal(5)), Rows(1, Decimal(3))
    source = Fingerprint({"a": two, "b": one}, {"s": 10, "t": 5})
    restored = Fingerprint({"a": one}, {"s": 9, "t": 6})
    told = " ".join(differences(source, restored))
    assert "a: 2 rows" in told
    assert "b: 1 rows (3) were backed up, no table restored" in told
    assert "s: the sequence was at 10" in told
    assert "t:" not in told


def test_a_database_of_that_name_is_left_alone(
    database_url: str, filled: Seeded, copy_name: str
) -> None:
    with (
        new_database(database_url, copy_name, keep=False),
        pytest.raises(DrillFailed, match=copy_name),
        new_database(database_url, copy_name, keep=False),
    ):
        pass
    assert copy_name not in databases(database_url)


def test_a_copy_is_dropped_also_where_the_restore_fails(
    database_url: str, filled: Seeded, copy_name: str, tmp_path: Path
) -> None:
    nonsense = tmp_path / "backup"
    nonsense.write_bytes(b"nothing")
    with (
        pytest.raises(DrillFailed, match="pg_restore failed"),
        new_database(database_url, copy_name, keep=False) as url,
    ):
        restore(url, programs(None, database_url), nonsense)
    assert copy_name not in databases(database_url)


def test_a_copy_of_an_older_release_is_told(database_url: str, copied: str) -> None:
    with psycopg.connect(copied) as connection:
        connection.execute(
            "DELETE FROM schema_migrations"
            " WHERE version = (SELECT max(version) FROM schema_migrations)"
        )
    outcome = drill.check(copied, [], say=silent)
    assert len(outcome.missing_migrations) == 1
    assert not outcome.passed


def test_a_password_is_in_no_message(database_url: str, filled: Seeded, tmp_path: Path) -> None:
    folder = programs(None, database_url)
    wrong = database_url.replace("@", "-wrong-password@", 1)
    with pytest.raises(DrillFailed) as raised:
        dump(wrong, "none", folder, tmp_path / "backup")
    assert "wrong-password" not in str(raised.value)


def test_a_pg_dump_that_is_too_old_or_not_there_is_said(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(DrillFailed, match="there is none"):
        programs(tmp_path, database_url)
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6'\n")
    old.chmod(0o755)
    with pytest.raises(DrillFailed, match="9 in"):
        programs(tmp_path, database_url)


def test_the_command_says_what_it_found(
    database_url: str,
    filled: Seeded,
    copy_name: str,
    graveyard: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bury(graveyard, filled, "acme")
    asked = [
        "--from", database_url, "--to", database_url, "--database", copy_name,
        "--tombstones", str(graveyard),
    ]  # fmt: skip
    assert main([*asked, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["passed"] is True
    assert said["brought_back"] == ["acme"]


def test_a_restored_database_is_checked_by_itself(
    copied: str, filled: Seeded, graveyard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bury(graveyard, filled, "acme")
    assert main(["--restored", copied, "--tombstones", str(graveyard)]) == 0
    said = capsys.readouterr().out
    assert "erased again: acme" in said
    assert "the drill passed" in said
    assert traces(copied, filled, "acme") == []


def test_a_restore_without_tombstones_is_refused(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--restored", database_url]) == 2
    assert "undoes erasures" in capsys.readouterr().err
