"""The audit log in the database: only added to, found quickly, let go of in slices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.fleet import Seeded
from tests.support.isolation import ROLES
from traksense.db import audit as db_audit
from traksense.db import queries
from traksense.db.audit import SqlAuditStore
from traksense.db.connection import Database
from traksense.db.retention import SqlRetentionStore
from traksense.services.audit import AuditEntry, AuditFilter, AuditLog
from traksense.services.retention import Keep, Retention

NOW = datetime.now(UTC)
ENTRY = AuditEntry(
    request_id="r-1",
    action="devices.list",
    status=200,
    user_id="0a1b",
    email="ana@acme.example",
    role="viewer",
    filters={"query": {"site": None}},
    record_count=3,
    duration_ms=1.5,
    ip="198.51.100.7",
    user_agent="a browser",
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def rows(url: str, statement: str = "SELECT count(*) FROM public.audit_log") -> Any:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def fill(url: str, count: int) -> None:
    """So many calls, a second apart, the newest now: users, tenants and actions in turn."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO public.audit_log (at, request_id, action, status, user_id, email,"
            " tenant_id, duration_ms, ip, user_agent)"
            " SELECT %s - n * interval '1 second', 'r-' || n, 'things.' || chr(97 + n %% 20), 200,"
            " 'u' || n %% 500, 'u' || n %% 500 || '@acme.example',"
            " ('00000000-0000-4000-8000-0000000000' || lpad((n %% 50)::text, 2, '0'))::uuid, 1,"
            " '10.0.0.0'::inet + n %% 1000, CASE n WHEN %s THEN 'Rare/1' ELSE 'Common/2' END"
            " FROM generate_series(0, %s - 1) n",
            (NOW, count - 10, count),
        )
        connection.execute("ANALYZE public.audit_log")


def test_an_entry_is_read_as_it_was_added(database: Database, seeded: Seeded) -> None:
    store = SqlAuditStore(database)
    store.add(replace(ENTRY, tenant_id=seeded.tenants["acme"]))
    (entry,), left_at = store.page(AuditFilter(), None, 10, 100)
    assert left_at is None
    assert (entry.tenant, entry.email, entry.ip) == ("acme", "ana@acme.example", "198.51.100.7")
    assert entry.filters == {"query": {"site": None}}
    assert abs((entry.at - datetime.now(UTC)).total_seconds()) < 60


def test_texts_go_in_as_they_are(database: Database) -> None:
    odd = "'; DROP TABLE public.audit_log; -- \\ %s %(x)s é"
    SqlAuditStore(database).add(replace(ENTRY, user_agent=odd, filters={"query": {odd: None}}))
    (entry,), _ = SqlAuditStore(database).page(AuditFilter(), None, 10, 100)
    assert entry.user_agent == odd
    assert entry.filters == {"query": {odd: None}}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE public.audit_log SET status = 201",
        "UPDATE public.audit_log SET email = NULL WHERE id = 1",
        "DELETE FROM public.audit_log",
        "TRUNCATE public.audit_log",
        "ALTER TABLE public.audit_log DISABLE ROW LEVEL SECURITY",
        "DROP TABLE public.audit_log",
        "SELECT public.purge_audit_log(now(), 10)",
        "INSERT INTO public.audit_log (at, request_id, action, status, duration_ms)"
        " VALUES (now() - interval '1 year', 'r', 'a.b', 200, 1)",
        "INSERT INTO public.audit_log (id, request_id, action, status, duration_ms)"
        " OVERRIDING SYSTEM VALUE VALUES (1, 'r', 'a.b', 200, 1)",
    ],
)
def test_no_role_but_the_owner_changes_deletes_or_dates_a_row(
    database_url: str, database: Database, seeded: Seeded, role: Any, statement: Any
) -> None:
    acme = seeded.tenants["acme"]
    SqlAuditStore(database).add(replace(ENTRY, tenant_id=acme))
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        database.transaction(role, acme) as cursor,
    ):
        cursor.execute(statement)
    assert rows(database_url, "SELECT status, email FROM public.audit_log") == [
        (200, "ana@acme.example")
    ]


def test_a_tenant_adds_rows_of_its_own_and_reads_none(database: Database, seeded: Seeded) -> None:
    acme, globex = seeded.tenants["acme"], seeded.tenants["globex"]
    insert = (
        "INSERT INTO public.audit_log (request_id, action, status, duration_ms, tenant_id)"
        " VALUES ('r', 'a.b', 200, 1, %s)"
    )
    with database.transaction("traksense_app", acme) as cursor:
        cursor.execute(insert, (acme,))
    for other in (globex, None):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            database.transaction("traksense_app", acme) as cursor,
        ):
            cursor.execute(insert, (other,))
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        database.transaction("traksense_app", acme) as cursor,
    ):
        cursor.execute("SELECT FROM public.audit_log")


def test_maintenance_deletes_what_is_old_in_slices_and_records_it(
    database_url: str, database: Database
) -> None:
    fill(database_url, 300)
    store = SqlRetentionStore(database)
    cutoff = NOW - timedelta(seconds=99.5)
    assert store.purge_audit_log(cutoff, 120) == 120
    clock = NOW + timedelta(days=90) - timedelta(seconds=99.5)
    report = Retention(store, Keep(), now=lambda: clock).run()
    assert report.audit_log == 80
    assert rows(database_url) == [(100,)]
    assert rows(database_url, "SELECT sum(rows) FROM public.purges WHERE level = 'audit_log'") == [
        (200,)
    ]


def pages(store: SqlAuditStore, wanted: AuditFilter, limit: int, looked_at: int) -> list[list[int]]:
    after, found = None, []
    for _ in range(100):
        entries, after = store.page(wanted, after, limit, looked_at)
        found.append([entry.id for entry in entries])
        if after is None:
            return found
    raise AssertionError("no end")


def test_pages_hold_every_entry_once_newest_first(database_url: str, database: Database) -> None:
    fill(database_url, 95)
    found = pages(SqlAuditStore(database), AuditFilter(), 10, 1000)
    assert [len(page) for page in found] == [10] * 9 + [5]
    assert [each for page in found for each in page] == [*range(1, 96)]


def test_a_search_looks_through_so_many_rows_a_page_and_goes_on(
    database_url: str, database: Database
) -> None:
    fill(database_url, 95)
    found = pages(SqlAuditStore(database), AuditFilter(q="rARE/"), 10, 20)
    assert found == [[], [], [], [], [86]]
    assert pages(SqlAuditStore(database), AuditFilter(q="common"), 50, 20) == [
        [*range(1, 21)], [*range(21, 41)], [*range(41, 61)], [*range(61, 81)],
        [*range(81, 86), *range(87, 96)],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (AuditFilter(user="u7"), 2),
        (AuditFilter(user="u7@acme.example"), 2),
        (AuditFilter(action="things.b"), 50),
        (AuditFilter(ip="10.0.0.9"), 1),
        (AuditFilter(user="u7", action="things.h"), 2),
        (AuditFilter(user="u7", action="things.b"), 0),
        (AuditFilter(start=NOW - timedelta(seconds=9.5)), 10),
        (AuditFilter(end=NOW - timedelta(seconds=989.5)), 10),
        (AuditFilter(q="u7@acme"), 2),
        (AuditFilter(q="r-12"), 1),
        (AuditFilter(q="' OR true --"), 0),
    ],
)
def test_each_filter_finds_what_it_names(
    database_url: str, database: Database, wanted: AuditFilter, count: int
) -> None:
    fill(database_url, 1000)
    entries, _ = SqlAuditStore(database).page(wanted, None, 100, 10_000)
    assert len(entries) == count


@pytest.fixture(scope="module")
def large(module_database_url: str) -> str:
    fill(module_database_url, 200_000)
    return module_database_url


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (AuditFilter(), "audit_log_at_idx"),
        (AuditFilter(start=NOW - timedelta(hours=3), end=NOW - timedelta(hours=1)),
         "audit_log_at_idx"),
        (AuditFilter(user="u7"), "audit_log_user_idx"),
        (AuditFilter(user="u7@acme.example", action="things.h"), "audit_log_email_idx"),
        (AuditFilter(action="things.h"), "audit_log_action_idx"),
        (AuditFilter(ip="10.0.0.9", q="common"), "audit_log_ip_idx"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("after", [None, (NOW - timedelta(hours=20), 100_000)])
def test_a_page_reads_an_index_backwards_and_little_of_it(
    large: str, wanted: AuditFilter, index: str, after: Any
) -> None:
    parameters = db_audit._parameters(wanted, after, 50, 1_000)
    with psycopg.connect(large) as connection:
        cursor = psycopg.ClientCursor(connection)
        cursor.execute(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + queries.load("audit")["entries_page"],
            parameters,
        )
        row = cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "audit_log"]
    assert {node.get("Index Name") for node in scans} == {index}
    assert not [node for node in nodes(plan) if node["Node Type"] == "Seq Scan"
                and node["Relation Name"] == "audit_log"]  # fmt: skip
    # It looks at no more than 1,000 rows twice, however many the log has.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 2_100
    for node in nodes(plan):
        if node["Node Type"] == "Sort":
            assert node["Actual Rows"] <= 51


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def test_an_entry_is_lost_neither_by_a_lock_nor_by_a_dead_connection(
    database_url: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[int] = []
    log = AuditLog(SqlAuditStore(database), lambda: failures.append(1))
    log.record(ENTRY)
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    log.record(replace(ENTRY, request_id="r-2"))
    assert failures == []
    assert rows(database_url) == [(2,)]
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE public.audit_log IN ACCESS EXCLUSIVE MODE")
        log.record(replace(ENTRY, request_id="r-3"))
        log.record(replace(ENTRY, request_id="r-4"))  # not tried, since one has just failed
    assert failures == [1, 1]
    kept = [vars(record)["audit"] for record in caplog.records if hasattr(record, "audit")]
    assert [entry["request_id"] for entry in kept] == ["r-3", "r-4"]
    assert kept[0]["email"] == "ana@acme.example"
    assert {record.levelname for record in caplog.records if hasattr(record, "audit")} == {"ERROR"}
