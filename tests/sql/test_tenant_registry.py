"""Tenants in the database: lists of a thousand, two who want one slug, slugs that stay."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.tenant_registry import SqlTenantRegistryStore
from traksense.services.scope import Scope
from traksense.services.series_levels import DEFAULT_RETENTION
from traksense.services.tenant_registry import Tenant, TenantRegistry

THOUSAND = 1000


@pytest.fixture(scope="module")
def database(module_database_url: str) -> Iterator[Database]:
    with psycopg.connect(module_database_url) as connection:
        connection.execute(
            "INSERT INTO public.tenants (slug, name)"
            " SELECT 'tenant-' || to_char(n, 'FM0000'), 'Company ' || n"
            " FROM generate_series(1, %s) n",
            (THOUSAND,),
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE public.tenants")
    database = Database(module_database_url)
    yield database
    database.close()


def test_a_page_of_a_thousand_tenants_is_an_index_scan_that_ends_with_the_page(
    database: Database,
) -> None:
    parameters = {"after": "tenant-0500", "only": None, "q": None, "limit": 51}
    with database.transaction("traksense_ops") as cursor:
        rows = cursor.execute(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) "
            + queries.load("tenant_registry")["tenants_page"],
            parameters,
        ).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using tenants_slug_key" in plan
    assert "rows=51" in plan
    assert "Seq Scan" not in plan


def test_listing_and_searching_a_thousand_tenants_takes_milliseconds(database: Database) -> None:
    registry = TenantRegistry(SqlTenantRegistryStore(database), DEFAULT_RETENTION)
    scope = Scope.all_tenants()
    registry.page(scope, None, 50, None)  # opens the connection
    for q, found in ((None, 50), ("COMPANY 77", 11), ("nothing", 0)):
        took = []
        for _ in range(20):
            started = time.perf_counter()
            page = registry.page(scope, q, 50, None)
            took.append(time.perf_counter() - started)
            assert len(page.items) == found
        assert sorted(took)[10] < 0.05, f"{q}: {took}"


def test_of_two_who_want_one_slug_one_gets_it(database: Database) -> None:
    store = SqlTenantRegistryStore(database)
    made: list[Tenant | None] = []
    both = threading.Barrier(2)

    def want() -> None:
        both.wait()
        made.append(store.add("wanted", {"name": "Wanted"}))
        database.close()

    threads = [threading.Thread(target=want) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [tenant is None for tenant in made].count(True) == 1


@pytest.mark.parametrize("table", ["tenants", "sites"])
def test_a_slug_never_changes_whoever_tries(database: Database, table: str) -> None:
    with database.transaction("traksense_ops") as cursor:
        cursor.execute(
            "INSERT INTO public.sites (tenant_id, slug, name)"
            " SELECT id, 'plant', 'Plant' FROM public.tenants ON CONFLICT DO NOTHING"
        )
    with (
        pytest.raises(psycopg.errors.CheckViolation, match="never changes"),
        database.transaction("traksense_ops") as cursor,
    ):
        cursor.execute(f"UPDATE public.{table} SET slug = slug || '-x'".encode())


def test_a_slug_under_a_tombstone_is_no_tenants(database: Database) -> None:
    with database.transaction("traksense_owner") as cursor:
        cursor.execute(
            "INSERT INTO public.tenant_tombstones (slug, tenant_id)"
            " VALUES ('buried', gen_random_uuid())"
        )
    assert SqlTenantRegistryStore(database).add("buried", {"name": "Again"}) is None
