"""The epoch of the configuration: a change and the epoch that tells of it are seen together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support import fleet
from traksense.db.connection import Database, Role
from traksense.domain.errors import DatabaseAway

CONFIGURATION = frozenset(
    {"tenants", "sites", "device_templates", "point_templates", "devices", "points"}
)
"""What is kept in memory somewhere. A table that becomes that gets the trigger and stands here."""
RENAME = "UPDATE public.tenants SET name = %s WHERE slug = 'acme'"


@pytest.fixture
def seeded(database_url: str) -> fleet.Seeded:
    return fleet.seed(database_url)


class Container:
    """One that learns the epoch as its transactions begin."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.seen: list[int] = []
        self.database.watch_epoch(self.seen.append)

    def epoch(self, role: Role = "traksense_app") -> int:
        with self.database.transaction(role):
            return self.seen[-1]

    def name_after_epoch(self, tenant: UUID) -> tuple[int, str]:
        """The epoch, and what was read in its transaction."""
        with self.database.transaction("traksense_app", tenant) as cursor:
            row = cursor.execute("SELECT name FROM public.tenants").fetchone()
        assert row is not None
        return self.seen[-1], row[0]


@pytest.fixture
def container(database_url: str, seeded: fleet.Seeded) -> Iterator[Container]:
    made = Container(database_url)
    yield made
    made.database.close()


def connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url)


def test_exactly_the_tables_of_the_configuration_raise_the_epoch(database_url: str) -> None:
    with connect(database_url) as connection:
        found = connection.execute(
            "SELECT t.tgrelid::regclass::text, t.tgtype & 1, t.tgtype & (4 + 8 + 16 + 32)"
            " FROM pg_trigger t WHERE t.tgname = 'note_config_change'"
        ).fetchall()
    assert {name for name, _, _ in found} == CONFIGURATION
    assert {(row, events) for _, row, events in found} == {(0, 4 + 8 + 16 + 32)}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO public.sites (tenant_id, slug, name)"
        " SELECT id, 'annex', 'Annex' FROM public.tenants",
        "UPDATE public.device_templates SET superseded_by = NULL",
        "UPDATE public.points SET is_contracted = false",
        'UPDATE public.devices SET metadata = \'{"room": "1"}\'',
        "DELETE FROM public.devices WHERE gateway_id IS NOT NULL",
        "TRUNCATE public.points CASCADE",
    ],
)
def test_a_committed_change_raises_it_and_one_that_is_undone_does_not(
    database_url: str, container: Container, statement: str
) -> None:
    before = container.epoch()
    with connect(database_url) as connection:
        connection.execute(statement.encode())
        connection.rollback()
        assert container.epoch() == before
        connection.execute(statement.encode())
        assert container.epoch() == before
        connection.commit()
        assert container.epoch() > before


def test_what_devices_do_does_not_raise_it(database_url: str, container: Container) -> None:
    before = container.epoch()
    with connect(database_url) as connection:
        connection.execute("UPDATE public.device_state SET is_online = true, last_seen = now()")
    assert container.epoch() == before


def test_every_role_learns_it(container: Container) -> None:
    roles: tuple[Role, ...] = (
        "traksense_owner", "traksense_ingest", "traksense_app", "traksense_ops",
        "traksense_readonly",
    )  # fmt: skip
    assert len({container.epoch(role) for role in roles}) == 1


def test_no_role_but_the_operators_raises_it_by_hand(container: Container) -> None:
    before = container.epoch()
    for role in ("traksense_app", "traksense_ingest", "traksense_readonly"):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            container.database.transaction(role) as cursor,  # type: ignore[arg-type]
        ):
            cursor.execute("SELECT public.raise_config_epoch()")
    with container.database.transaction("traksense_ops") as cursor:
        cursor.execute("SELECT public.raise_config_epoch()")
    assert container.epoch() == before + 1


def test_a_transaction_counts_once_however_much_it_changes(
    database_url: str, container: Container
) -> None:
    before = container.epoch()
    with connect(database_url) as connection:
        for n in range(50):
            connection.execute(RENAME, (f"Acme {n}",))
    assert container.epoch() == before + 1


def test_a_savepoint_that_is_undone_takes_no_later_change_of_its_transaction_along(
    database_url: str, container: Container
) -> None:
    before = container.epoch()
    with connect(database_url) as connection:
        connection.execute("SAVEPOINT a")
        connection.execute(RENAME, ("Undone",))
        connection.execute("ROLLBACK TO a")
        connection.execute(RENAME, ("Done",))
    assert container.epoch() == before + 1


def test_the_change_and_its_epoch_are_seen_together_in_every_order_of_two_commits(
    database_url: str, seeded: fleet.Seeded, container: Container
) -> None:
    acme = seeded.tenants["acme"]
    with connect(database_url) as first, connect(database_url) as second:
        start, _ = container.name_after_epoch(acme)
        # The first one raises it, the second one raises it and commits, and only then the first.
        first.execute(RENAME, ("First",))
        second.execute("UPDATE public.tenants SET name = 'Second' WHERE slug = 'globex'")
        assert container.name_after_epoch(acme) == (start, "Acme")
        second.commit()
        between, name = container.name_after_epoch(acme)
        assert (between > start, name) == (True, "Acme")
        first.commit()
        after, name = container.name_after_epoch(acme)
        assert (after > between, name) == (True, "First")


def test_a_reader_that_began_before_the_commit_keeps_what_it_read_under_the_old_epoch(
    database_url: str, seeded: fleet.Seeded, container: Container
) -> None:
    acme = seeded.tenants["acme"]
    with connect(database_url) as writer:
        writer.execute(RENAME, ("New",))
        with container.database.transaction("traksense_app", acme) as cursor:
            old = container.seen[-1]
            writer.commit()
            # Newer than its epoch, which is safe: the next transaction finds the copy outdated.
            row = cursor.execute("SELECT name FROM public.tenants").fetchone()
        assert row == ("New",)
    assert container.epoch() > old


def test_writers_do_not_wait_for_each_other(database_url: str, seeded: fleet.Seeded) -> None:
    with connect(database_url) as importing:
        importing.execute("UPDATE public.devices SET metadata = '{}'")
        with connect(database_url) as other:
            other.execute("SET lock_timeout = '500ms'")
            other.execute(RENAME, ("At once",))


def test_an_epoch_that_stayed_the_same_means_that_nothing_was_committed(
    database_url: str, seeded: fleet.Seeded
) -> None:
    """Writers at random against readers: whoever reads the same epoch twice reads the same."""
    acme, stop, failed = seeded.tenants["acme"], threading.Event(), list[str]()

    def write(slug: str) -> None:
        with connect(database_url) as connection:
            for n in range(150):
                connection.execute(
                    "UPDATE public.sites SET name = %s WHERE tenant_id ="
                    " (SELECT id FROM public.tenants WHERE slug = %s)", (str(n), slug),
                )  # fmt: skip
                connection.rollback() if n % 5 == 4 else connection.commit()

    def read() -> None:
        reader, known = Container(database_url), dict[int, str]()
        last = 0
        while not stop.is_set():
            with reader.database.transaction("traksense_app", acme) as cursor:
                epoch = reader.seen[-1]
                row = cursor.execute("SELECT min(name) FROM public.sites").fetchone()
            assert row is not None
            if epoch < last:
                failed.append(f"the epoch fell from {last} to {epoch}")
            is_other = epoch == last and known.get(epoch, row[0]) != row[0]
            # Read after its epoch: it may be newer, but then the next epoch must be, too.
            if is_other and reader.epoch() == epoch:
                failed.append(f"{known[epoch]} and {row[0]} under {epoch}")
            known[epoch], last = row[0], epoch
        reader.database.close()

    reading = [threading.Thread(target=read) for _ in range(2)]
    writing = [threading.Thread(target=write, args=(slug,)) for slug in ("acme", "globex", "acme")]
    for thread in (*reading, *writing):
        thread.start()
    for thread in writing:
        thread.join(60)
    stop.set()
    for thread in reading:
        thread.join(10)
    assert failed == []
    with connect(database_url) as connection:
        slots = connection.execute("SELECT count(*) FROM public.config_epochs").fetchone()
    assert slots is not None
    assert slots[0] <= 6


def test_who_watches_can_end_a_transaction_before_anything_was_asked_in_it(
    database_url: str, container: Container
) -> None:
    def refuse(_epoch: int) -> None:
        raise DatabaseAway("not now")

    container.database.watch_epoch(refuse)
    with pytest.raises(DatabaseAway), container.database.transaction("traksense_ops"):
        pytest.fail("the transaction began")
    container.database.watch_epoch(None)
    with container.database.transaction("traksense_ops") as cursor:
        row = cursor.execute("SELECT current_user::text").fetchone()
    assert row == ("traksense_ops",)


def test_an_opening_statement_keeps_its_result_beside_the_epoch(container: Container) -> None:
    with container.database.transaction(
        "traksense_app", opening="-- a comment\nSELECT 'a', 7;\n"
    ) as cursor:
        assert cursor.fetchone() == ("a", 7)
    assert container.seen[-1] == container.epoch()
