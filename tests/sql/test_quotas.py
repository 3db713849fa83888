"""Leases of request quotas by the real statement, from several connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.fleet import Seeded
from traksense.db.connection import Database
from traksense.db.quotas import SqlQuotaStore
from traksense.db.retention import SqlRetentionStore
from traksense.domain.errors import DatabaseAway, TooManyRequests
from traksense.services.quotas import Limits, Quotas, Subject


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def execute(url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description is not None else []


def now() -> int:
    return int(time.time() // 60)


def away_from_the_edge() -> None:
    """Wait where the minute is about to end."""
    while time.time() % 60 > 50:
        time.sleep(0.2)


def test_two_containers_take_exactly_the_limit(
    database_url: str, database: Database, seeded: Seeded
) -> None:
    away_from_the_edge()
    acme = seeded.tenants["acme"]
    subjects = [Subject("tenant", acme), Subject("user", acme, "ana")]
    limits = Limits(tenant=301, user=10_000)
    containers = [Quotas(SqlQuotaStore(database), limits) for _ in range(2)]
    together = threading.Barrier(6)

    def hammer(n: int) -> int:
        together.wait()
        through = 0
        try:
            for _ in range(200):
                try:
                    containers[n % 2].spend(subjects)
                except TooManyRequests:
                    continue
                through += 1
        finally:
            database.close()  # this thread's connection
        return through

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(hammer, range(6))) == 301
    ((taken,),) = execute(
        database_url,
        "SELECT taken FROM public.request_quotas WHERE subject = %s",
        f"{acme} tenant",
    )
    assert taken == 301


def test_leases_grow_smaller_towards_the_limit(database_url: str) -> None:
    assert execute(
        database_url,
        "SELECT l.taken, public.request_lease(600, l.taken) FROM unnest(%s::int[]) l (taken)",
        [0, 400, 500, 590, 599, 600, 700],
    ) == [(0, 37), (400, 37), (500, 25), (590, 2), (599, 1), (600, 0), (700, 0)]


def test_a_tenants_own_limits_count(database_url: str, database: Database, seeded: Seeded) -> None:
    away_from_the_edge()
    acme, globex = seeded.tenants["acme"], seeded.tenants["globex"]
    execute(
        database_url,
        "UPDATE public.tenants SET requests_per_minute = 3, user_requests_per_minute = 2"
        " WHERE id = %s",
        acme,
    )
    store = SqlQuotaStore(database)
    for tenant, most_of_tenant, most_of_user in ((acme, 3, 2), (globex, 50, 40)):
        quotas = Quotas(store, Limits(tenant=50, user=40))
        of_user = [Subject("tenant", tenant), Subject("user", tenant, "ana")]
        assert spend(quotas, of_user) == most_of_user
        other = [Subject("tenant", tenant), Subject("user", tenant, "bia")]
        assert spend(quotas, other) == most_of_tenant - most_of_user


def spend(quotas: Quotas, subjects: list[Subject]) -> int:
    through = 0
    for _ in range(100):
        try:
            quotas.spend(subjects)
        except TooManyRequests:
            continue
        through += 1
    return through


@pytest.mark.parametrize(
    ("minute", "taken", "granted"),
    [(0, 10, 0), (0, 6, 1), (-1, 10, 1), (-1000, 10, 1), (1, 10, 0), (2, 10, 1), (5000, 10, 1)],
)
def test_the_row_of_another_minute_counts_only_at_its_edge(
    database_url: str, database: Database, minute: int, taken: int, granted: int
) -> None:
    away_from_the_edge()
    subject = Subject("user", None, "ops")
    execute(
        database_url,
        "INSERT INTO public.request_quotas VALUES (%s, NULL, %s, 10, %s, 1)",
        subject.key, now() + minute, taken,
    )  # fmt: skip
    lease = SqlQuotaStore(database).take(None, {subject: 10})[subject]
    assert lease.granted == granted
    assert lease.minute == now() + (minute == 1)
    assert 0 < lease.left_s <= 60 + 60 * (minute == 1)


def test_a_tenant_takes_no_row_of_another(
    database_url: str, database: Database, seeded: Seeded
) -> None:
    acme, globex = seeded.tenants["acme"], seeded.tenants["globex"]
    SqlQuotaStore(database).take(globex, {Subject("tenant", globex): 10})
    before = execute(database_url, "SELECT * FROM public.request_quotas")
    for tenant_id, subject in (
        (globex, f"{globex} tenant"), (acme, f"{globex} tenant"), (acme, f"{globex} user x"),
        (None, "- user x"),
    ):  # fmt: skip
        with (
            pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation)),
            database.transaction("traksense_app", acme) as cursor,
        ):
            cursor.execute(
                "INSERT INTO public.request_quotas VALUES (%s, %s, 1, 1, 1, 1)"
                " ON CONFLICT (subject) DO UPDATE SET taken = 10",
                (subject, tenant_id),
            )
    with database.transaction("traksense_app", acme) as cursor:
        cursor.execute("UPDATE public.request_quotas SET taken = 10")
        assert cursor.rowcount == 0
    assert execute(database_url, "SELECT * FROM public.request_quotas") == before


def test_a_lease_waits_for_nobody_for_long(database_url: str, database: Database) -> None:
    subject = Subject("user", None, "ops")
    store = SqlQuotaStore(database)
    store.take(None, {subject: 10})
    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT FROM public.request_quotas FOR UPDATE")
        started = time.monotonic()
        with pytest.raises(DatabaseAway):
            store.take(None, {subject: 10})
        assert time.monotonic() - started < 5
    assert store.take(None, {subject: 10})[subject].granted > 0


def test_old_counts_are_cleaned_away(database_url: str, database: Database) -> None:
    for n in range(5):
        execute(
            database_url,
            "INSERT INTO public.request_quotas VALUES (%s, NULL, %s, 1, 1, 1)",
            f"- user {n}", now() - 5 * n,
        )  # fmt: skip
    store, before = SqlRetentionStore(database), datetime.now(UTC) - timedelta(minutes=10)
    assert store.purge_request_quotas(before, 1) == 1
    assert store.purge_request_quotas(before, 10) in (1, 2)  # the one at the edge
    assert store.purge_request_quotas(before, 10) == 0
    assert len(execute(database_url, "SELECT FROM public.request_quotas")) in (2, 3)
