"""Every relation, function and sequence of the catalogue, tried as every role: nobody reads or
changes another tenant's rows.

They come from the catalogue (``tests.support.isolation``), so that what is new and unprotected
fails here without anyone thinking of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from functions import sqs
from tests.sql.conftest import ingest_service
from tests.support import database as db
from tests.support import fleet, isolation, rollups
from tests.support.fleet import Seeded, channel, event, record, telem
from traksense.contracts.topics import Channel
from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.directory import SqlDirectoryLoader
from traksense.db.engine import StorageEngine
from traksense.db.event_store import SqlEventStore
from traksense.db.segments import SqlSegmentStore
from traksense.db.timescale.compression import TimescaleCompressionStore
from traksense.services.compression import Compression
from traksense.services.device_events import DeviceEventsService
from traksense.services.directory import Directory
from traksense.services.segments import Segments

TENANTS = ("acme", "globex")
NOW = datetime.now(UTC)


def readings(ago: timedelta, **points: float | str) -> list[dict[str, Any]]:
    """A message of each tenant."""
    payload = fleet.normalised((NOW - ago).isoformat(), **points)
    return [record(telem(tenant, "chiller-1"), payload) for tenant in TENANTS]


def fill(url: str, engine: StorageEngine) -> Seeded:
    """A row of both tenants in everything: rows, segments or columns, late ones beside them."""
    seeded = fleet.seed(url, keep_raw=frozenset({"chiller"}))
    service = ingest_service(url)
    records = readings(timedelta(0), temp=1.0, mode="COOL")
    records += [record(telem(tenant, "chiller-1"), tenant.encode()) for tenant in TENANTS]
    for hours in (3, 5 * 24, 80 * 24):  # 80 days: refused, a dead letter
        records += readings(timedelta(hours=hours), temp=2.0)
    assert service.ingest(sqs.messages(event(*records))).stored == 8
    database = Database(url)
    assert rollups.refresh(database).complete
    close_days(database, engine)
    late = readings(timedelta(hours=5 * 24, minutes=1), temp=3.0)
    assert service.ingest(sqs.messages(event(*late))).stored == 2
    service.close()
    take_events(database)
    database.close()
    with psycopg.connect(url) as connection:
        for slug, tenant_id in seeded.tenants.items():
            fleet.add_command(connection, seeded, f"{slug}_chiller-1")
            fleet.add_export(connection, seeded, slug)
            # Templates that are one tenant's own.
            connection.execute(
                "WITH t AS (INSERT INTO public.device_templates (tenant_id, code, version,"
                " name) VALUES (%s, %s, 1, 'Own') RETURNING id) INSERT INTO"
                " public.point_templates (tenant_id, device_template_id, position, name,"
                " type) SELECT %s, id, 0, 'own', 'num' FROM t",
                (tenant_id, f"own-{slug}", tenant_id),
            )
            connection.execute(
                "INSERT INTO public.users (id, tenant_id, email, name, role)"
                " VALUES (gen_random_uuid(), %s, %s, 'Ana', 'viewer')",
                (tenant_id, f"ana@{slug}.example"),
            )
            connection.execute(
                "INSERT INTO public.audit_log (request_id, action, status, tenant_id, duration_ms)"
                " VALUES ('r', 'devices.list', 200, %s, 1)",
                (tenant_id,),
            )
            connection.execute(
                "INSERT INTO public.request_quotas"
                " (subject, tenant_id, minute, most, taken, granted)"
                " VALUES (%s || ' tenant', %s, 1, 2, 1, 1)",
                (str(tenant_id), tenant_id),
            )
        connection.execute(
            "INSERT INTO public.device_certificates (tenant_id, device_id, thing_name, arn,"
            " certificate_id, fingerprint, serial_number, status, expires_at)"
            " SELECT d.tenant_id, d.id, t.slug || '_' || d.name, 'arn:' || h, h, h, '1f', 'active',"
            " 'infinity' FROM public.devices d JOIN public.tenants t ON t.id = d.tenant_id,"
            " LATERAL encode(sha256(d.id::text::bytea), 'hex') AS h WHERE d.gateway_id IS NULL"
        )
        connection.execute(
            "INSERT INTO public.tenant_tombstones (slug, tenant_id)"
            " VALUES ('initech', gen_random_uuid())"
        )
    return seeded


def close_days(database: Database, engine: StorageEngine) -> None:
    if engine == "timescale":
        # Later than it is, so that chunks of rollups are over, too.
        later = Compression(
            TimescaleCompressionStore(database), now=lambda: NOW + timedelta(days=120)
        )
        assert later.close().compressed >= 5
    else:
        assert Segments(SqlSegmentStore(database)).close().closed > 0


def take_events(database: Database) -> None:
    events = DeviceEventsService(Directory(SqlDirectoryLoader(database)), SqlEventStore(database))
    ts = NOW.isoformat()
    alarm = {"schema": "v1", "code": "E1", "severity": "low", "active": True, "ts": ts}
    boot = {"schema": "v1", "event_type": "boot", "ts": ts}
    for tenant in TENANTS:
        events.take(
            sqs.messages(
                event(
                    record(channel(tenant, "chiller-1", Channel.ALARM), alarm),
                    record(channel(tenant, "chiller-1", Channel.EVENT), boot),
                )
            )
        )


@pytest.fixture(scope="module")
def filled(admin_url: str, engine: StorageEngine) -> Iterator[tuple[str, Seeded]]:
    """A database in which both tenants have a row of everything."""
    with db.fresh_database(admin_url) as url:
        yield url, fill(url, engine)


@pytest.fixture
def tenants(filled: tuple[str, Seeded]) -> Mapping[str, UUID]:
    return filled[1].tenants


@pytest.fixture
def connection(filled: tuple[str, Seeded]) -> Iterator[psycopg.Connection[Any]]:
    """The administrator, who takes back whatever a test does."""
    with psycopg.connect(filled[0]) as connection, connection.transaction(force_rollback=True):
        yield connection


def names(connection: psycopg.Connection[Any]) -> set[str]:
    return {relation.name for relation in isolation.relations(connection)}


def test_nobody_reads_a_row_of_another_tenant_or_of_none_in_any_relation(
    connection: psycopg.Connection[Any], tenants: Mapping[str, UUID]
) -> None:
    assert list(isolation.reading_complaints(connection, tenants)) == []


def test_nobody_changes_what_is_not_theirs(connection: psycopg.Connection[Any]) -> None:
    assert list(isolation.writing_complaints(connection)) == []


def test_tables_of_tenants_force_row_security_and_their_views_are_barriers(
    connection: psycopg.Connection[Any],
) -> None:
    assert list(isolation.protection_complaints(connection)) == []


def test_every_function_is_executed_by_whom_the_list_says_and_no_other(
    connection: psycopg.Connection[Any],
) -> None:
    assert list(isolation.function_complaints(connection)) == []


def test_nobody_uses_a_sequence_or_makes_anything_in_a_schema(
    connection: psycopg.Connection[Any],
) -> None:
    assert list(isolation.sequence_complaints(connection)) == []
    assert list(isolation.schema_complaints(connection)) == []


def test_what_was_tried_is_everything_that_readings_are_in(
    connection: psycopg.Connection[Any], engine: StorageEngine
) -> None:
    """Partitions and segments; or chunks, columns, and what aggregates are made of."""
    found = names(connection)
    wanted = {
        "plain": ("public.m_raw_2", "public.m_segment_2", "public.r_1h_2", "public.m_message_2"),
        "timescale": (
            "_timescaledb_internal._hyper_", "_timescaledb_internal.compress_hyper_",
            "_timescaledb_internal._materialized_hypertable_",
            "_timescaledb_internal._partial_view_", "_timescaledb_internal._direct_view_",
            "public.r_1h",
        ),
    }[engine]  # fmt: skip
    for prefix in wanted:
        assert any(name.startswith(prefix) for name in found), prefix
    late = connection.execute(
        "SELECT count(*) FROM level_chunks('raw') WHERE is_compressed AND has_rows"
        if engine == "timescale"
        else "SELECT count(*) FROM late_days()"
    ).fetchone()
    assert late == (1,), "late rows lie beside what is closed"
    for relation in isolation.relations(connection):
        storage = relation.table.startswith(("m_", "r_", "dim_point", "raw_", "segment"))
        if storage or relation.schema != "public":
            assert [
                role
                for role in isolation.ROLES
                if isolation.read(connection, role, relation, None) is not None
            ] == [], relation.name


def test_the_tenants_views_are_these(connection: psycopg.Connection[Any]) -> None:
    assert {name for name in names(connection) if name.endswith("_tenant")} == {
        "public.ts_measure_tenant",
        "public.ts_measure_1m_tenant",
        "public.ts_measure_5m_tenant",
        "public.ts_measure_1h_tenant",
        "public.ts_consumption_monthly_tenant",
        "public.messages_tenant",
    }


def test_a_tenant_cannot_write_a_row_into_another(filled: tuple[str, Seeded]) -> None:
    url, seeded = filled
    database = Database(url)
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        database.transaction("traksense_app", seeded.tenants["acme"]) as cursor,
    ):
        cursor.execute(
            "INSERT INTO public.sites (tenant_id, slug, name) VALUES (%s, 'x', 'X')",
            (seeded.tenants["globex"],),
        )
    with database.transaction("traksense_app", seeded.tenants["acme"]) as cursor:
        cursor.execute(
            "UPDATE public.devices SET metadata = '{}' WHERE tenant_id = %s",
            (seeded.tenants["globex"],),
        )
        assert cursor.rowcount == 0
    database.close()


def test_the_list_of_functions_names_none_that_is_gone() -> None:
    text = "".join(
        path.read_text()
        for folder in ("migrations", "engine")
        for path in (queries.sql_directory() / folder).rglob("*.sql")
    )
    assert [name for name in isolation.FUNCTIONS if f"FUNCTION public.{name}(" not in text] == []


@pytest.mark.parametrize(
    ("statements", "complaint"),
    [
        (
            "CREATE TABLE public.novel AS SELECT tenant_id, device_id FROM public.dim_point;"
            "GRANT SELECT ON public.novel TO traksense_app",
            "traksense_app for {acme}: public.novel shows a row of another",
        ),
        (
            "CREATE TABLE public.novel AS SELECT tenant_id, device_id FROM public.dim_point",
            "novel has rows of tenants and no forced row security",
        ),
        (
            "CREATE TABLE public.novel AS SELECT 1 AS number;"
            "GRANT SELECT ON public.novel TO PUBLIC",
            "traksense_readonly for None: public.novel shows a row of another or of nobody",
        ),
        (
            "CREATE VIEW public.novel AS SELECT * FROM public.raw_readings;"
            "GRANT SELECT ON public.novel TO traksense_readonly",
            "traksense_readonly for {globex}: public.novel shows a row of another or of nobody",
        ),
        (
            "CREATE TABLE public.novel (number integer);"
            "GRANT DELETE ON public.novel TO traksense_ops",
            "traksense_ops may DELETE public.novel",
        ),
        (
            "CREATE SCHEMA novel; CREATE TABLE novel.novel AS SELECT * FROM public.raw_readings;"
            "GRANT USAGE ON SCHEMA novel TO traksense_ingest;"
            "GRANT SELECT ON novel.novel TO traksense_ingest",
            "novel.novel can be read, and is on no list",
        ),
        (
            "CREATE FUNCTION public.novel() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
            " AS 'SELECT count(*) FROM public.raw_readings'",
            "novel(): nobody has said who may execute it",
        ),
        (
            "GRANT EXECUTE ON FUNCTION public.purge_dead_letters TO traksense_app",
            "may be executed by ['traksense_app']",
        ),
        (
            "ALTER FUNCTION public.rollup_watermark RESET ALL",
            "acts for its owner without a search path of its own",
        ),
        (
            "CREATE SEQUENCE public.novel; GRANT USAGE ON SEQUENCE public.novel TO traksense_app",
            "traksense_app has USAGE on the sequence public.novel",
        ),
        (
            "GRANT CREATE ON SCHEMA public TO traksense_app",
            "traksense_app may make something in the schema public",
        ),
    ],
)
def test_what_is_new_and_unprotected_is_complained_of(
    connection: psycopg.Connection[Any],
    tenants: Mapping[str, UUID],
    statements: str,
    complaint: str,
) -> None:
    connection.execute(statements.encode())
    found = isolation.complaints(connection, tenants)
    wanted = complaint.format(**{slug: str(tenant) for slug, tenant in tenants.items()})
    assert any(wanted in each for each in found), found
