"""Transactions against a real server: who they are for, and what each way of failing means."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from traksense.db.connection import REFUSED, Database
from traksense.domain.errors import DatabaseAway

WHO = "SELECT current_user::text, current_setting('app.tenant_id', true)"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url, statement_timeout_ms=2000, lock_timeout_ms=300)
    yield made
    made.close()


def pid(database: Database) -> int:
    with database.transaction("traksense_app") as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def kill(url: str, backend: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))


def test_role_and_tenant_hold_for_one_transaction_and_are_gone_after_it(
    database: Database,
) -> None:
    tenant = uuid4()
    with database.transaction("traksense_app", tenant) as cursor:
        assert cursor.execute(WHO).fetchone() == ("traksense_app", str(tenant))
    user, setting = database._connection().execute(WHO).fetchone() or ("", "")
    assert (user != "traksense_app", setting) == (True, "")
    with database.transaction("traksense_ingest") as cursor:
        assert cursor.execute(WHO).fetchone() == ("traksense_ingest", "")


def test_role_and_tenant_are_gone_after_a_failure_too(database: Database) -> None:
    with (
        pytest.raises(psycopg.errors.DivisionByZero),
        database.transaction("traksense_app", uuid4()) as cursor,
    ):
        cursor.execute("SELECT 1 / 0")
    user, setting = database._connection().execute(WHO).fetchone() or ("", "")
    assert (user != "traksense_app", setting) == (True, "")


def test_an_opening_statement_runs_in_the_transactions_role_and_leaves_its_result(
    database: Database,
) -> None:
    tenant = uuid4()
    with database.transaction("traksense_app", tenant, opening=WHO) as cursor:
        assert cursor.fetchone() == ("traksense_app", str(tenant))
        assert cursor.execute(WHO).fetchone() == ("traksense_app", str(tenant))


def test_an_opening_statement_that_fails_is_the_transactions_failure(database: Database) -> None:
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        database.transaction("traksense_app", opening="SELECT * FROM public.m_raw"),
    ):
        pytest.fail("the transaction began")
    with (
        pytest.raises(DatabaseAway),
        database.transaction("traksense_app", opening="SELECT pg_sleep(10)"),
    ):
        pytest.fail("the transaction began")
    assert pid(database)


def test_a_connection_that_died_is_not_noticed_before_an_opening_statement_either(
    database: Database, database_url: str
) -> None:
    kill(database_url, pid(database))
    with database.transaction("traksense_ingest", opening=WHO) as cursor:
        assert cursor.fetchone() == ("traksense_ingest", "")


def test_a_transaction_may_have_a_time_limit_of_its_own(database: Database) -> None:
    with database.transaction("traksense_app", statement_timeout_ms=7000) as cursor:
        assert cursor.execute("SHOW statement_timeout").fetchone() == ("7s",)
    with database.transaction("traksense_app") as cursor:
        assert cursor.execute("SHOW statement_timeout").fetchone() == ("2s",)


def test_time_limits_are_those_of_the_transaction(database: Database) -> None:
    with database.transaction("traksense_app") as cursor:
        cursor.execute(
            "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
            " current_setting('idle_in_transaction_session_timeout')"
        )
        assert cursor.fetchone() == ("2s", "300ms", "10s")


def test_a_statement_that_takes_too_long_is_worth_another_try(database: Database) -> None:
    before = pid(database)
    with pytest.raises(DatabaseAway), database.transaction("traksense_app") as cursor:
        cursor.execute("SELECT pg_sleep(10)")
    assert pid(database) == before, "the connection is as good as new"


def test_a_lock_that_does_not_come_is_worth_another_try(
    database: Database, database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE public.tenants")
        with pytest.raises(DatabaseAway), database.transaction("traksense_ops") as cursor:
            cursor.execute("SELECT count(*) FROM public.tenants")


def test_a_connection_that_died_between_two_transactions_is_not_noticed(
    database: Database, database_url: str
) -> None:
    before = pid(database)
    kill(database_url, before)
    assert pid(database) != before


def test_a_connection_that_dies_within_a_transaction_is_and_the_next_one_works(
    database: Database, database_url: str
) -> None:
    before = pid(database)
    with pytest.raises(DatabaseAway), database.transaction("traksense_app"):
        kill(database_url, before)
    assert pid(database) != before


def test_no_server_no_database_and_no_room_are_worth_another_try(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS tt_crowded")
        connection.execute("CREATE ROLE tt_crowded LOGIN PASSWORD 'example' CONNECTION LIMIT 0")
    try:
        rest = database_url.split("@", 1)[1]
        for url in (
            "postgresql://nobody@127.0.0.1:1/none",
            database_url + "_nothing",
            f"postgresql://tt_crowded:example@{rest}",
        ):
            with pytest.raises(DatabaseAway), Database(url).transaction("traksense_app"):
                pytest.fail("there is no connection")
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("DROP ROLE tt_crowded")


def test_a_read_only_server_is_worth_another_try(database: Database) -> None:
    with pytest.raises(DatabaseAway), database.transaction("traksense_owner") as cursor:
        cursor.execute("SET TRANSACTION READ ONLY; DELETE FROM public.tenants")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 / 0",
        "SELECT 'x'::int",
        "INSERT INTO public.tenants (slug, name) VALUES ('UPPER', 'x')",
        "SELECT repeat('[', 1000000)::jsonb",
    ],
)
def test_what_the_data_is_at_fault_for_is_told_from_what_time_heals(
    database: Database, statement: str
) -> None:
    before = pid(database)
    with pytest.raises(REFUSED), database.transaction("traksense_owner") as cursor:
        cursor.execute(statement.encode())
    assert pid(database) == before


def test_a_schema_that_does_not_fit_passes_as_it_is_and_the_next_session_is_a_fresh_one(
    database: Database,
) -> None:
    before = pid(database)
    with (
        pytest.raises(psycopg.errors.UndefinedColumn),
        database.transaction("traksense_ops") as cursor,
    ):
        cursor.execute("SELECT nothing FROM public.tenants")
    assert pid(database) != before


def test_a_prepared_statement_over_a_changed_table_fails_once_and_not_for_ever(
    database_url: str,
) -> None:
    database = Database(database_url, prepare=True)

    def read() -> None:
        with database.transaction("traksense_ops") as cursor:
            cursor.execute("SELECT * FROM public.tenants WHERE slug = %s", ("acme",))

    for _ in range(8):
        read()
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE public.tenants ADD COLUMN novel integer")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        read()
    read()
    database.close()


def test_each_thread_has_a_connection_of_its_own(database: Database) -> None:
    pids = {pid(database)}

    def work() -> None:
        pids.add(pid(database))
        database.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert len(pids) == 2
