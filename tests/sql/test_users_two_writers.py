"""Two who change one person at once, on two real connections: both systems end up alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.user_directory import FakeDirectory
from traksense.auth.identity import Identity, Role
from traksense.db.connection import Database
from traksense.db.users import SqlUserStore
from traksense.domain.errors import Conflict
from traksense.services.users import NewUser, Users

OPERATOR = Identity(str(uuid4()), "op@traksense.example", Role.INTERNAL_OPS, None)


@pytest.fixture
def tenant(module_database_url: str) -> UUID:
    with psycopg.connect(module_database_url) as connection:
        row = connection.execute(
            "INSERT INTO public.tenants (slug, name, max_users) VALUES (%s, 'Acme', 3)"
            " RETURNING id",
            (f"acme-{uuid4().hex[:8]}",),
        ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


@pytest.fixture
def database(module_database_url: str) -> Iterator[Database]:
    database = Database(module_database_url)
    yield database
    database.close()


def at_once(database: Database, *calls: object) -> None:
    def run(call: object) -> None:
        assert callable(call)
        call()
        database.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def test_the_pool_ends_up_as_the_row_whoever_is_slow(database: Database, tenant: UUID) -> None:
    directory = FakeDirectory()
    users = Users(SqlUserStore(database), directory)
    ana = users.invite(tenant, NewUser(f"{uuid4().hex}@acme.example", "Ana", "viewer", None))
    slow = iter([0.4, 0.0, 0.0, 0.0])
    directory.before = lambda _: time.sleep(next(slow))

    def become(role: str, wait: float) -> None:
        time.sleep(wait)
        users.change(OPERATOR, tenant, ana.id, {"role": role})

    at_once(
        database,
        lambda: become("customer_admin", 0.0),
        lambda: become("viewer", 0.15),
    )
    row = users.get(tenant, ana.id)
    assert row.is_settled
    assert directory.members[ana.email].person.role == row.role == "viewer"


def test_of_many_invitations_at_once_only_so_many_find_room(
    database: Database, tenant: UUID
) -> None:
    users = Users(SqlUserStore(database), FakeDirectory())
    refused: list[str] = []

    def invite() -> None:
        try:
            users.invite(tenant, NewUser(f"{uuid4().hex}@acme.example", "Bia", "viewer", None))
        except Conflict as conflict:
            refused.append(str(conflict))

    at_once(database, *[invite] * 8)
    assert len(users.page(tenant, 50, None).items) == 3
    assert len(refused) == 5
