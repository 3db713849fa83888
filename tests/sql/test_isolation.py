"""Every relation of the catalogue, tried as every role: nobody reads another tenant's rows.

The relations come from the catalogue, so that a new table without protection fails here without
anyone thinking of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from functions import sqs
from tests.sql.conftest import ingest_service
from tests.support import database as db
from tests.support import fleet, rollups
from tests.support.fleet import Seeded, channel, event, record, telem
from traksense.contracts.topics import Channel
from traksense.db.connection import Database
from traksense.db.directory import SqlDirectoryLoader
from traksense.db.event_store import SqlEventStore
from traksense.services.device_events import DeviceEventsService
from traksense.services.directory import Directory

TENANT_ROLES = ("traksense_app", "traksense_readonly")
NAME_MAP = {"ingest_devices", "ingest_points"}
"""What traksense_ingest may read of all tenants: names, never values."""


@pytest.fixture(scope="module")
def filled(admin_url: str) -> Iterator[tuple[str, Seeded]]:
    """A database in which both tenants have a row of everything."""
    with db.fresh_database(admin_url) as url:
        seeded = fleet.seed(url)
        ts = datetime.now(UTC).isoformat()
        records = []
        for tenant in ("acme", "globex"):
            payload = fleet.normalised(ts, temp=1.0, mode="COOL")
            records.append(record(telem(tenant, "chiller-1"), payload))
            records.append(record(telem(tenant, "chiller-1"), b"garbage of " + tenant.encode()))
        for tenant in ("acme", "globex"):  # one that rollups are made of
            past = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
            records.append(record(telem(tenant, "chiller-1"), fleet.normalised(past, temp=2.0)))
        service = ingest_service(url)
        assert service.ingest(sqs.messages(event(*records))).stored == 6
        database = Database(url)
        assert rollups.refresh(database).buckets == 6
        late = [
            record(telem(tenant, "chiller-1"), fleet.normalised(past, pressure=2.0))
            for tenant in ("acme", "globex")
        ]
        assert service.ingest(sqs.messages(event(*late))).stored == 2
        service.close()
        events = DeviceEventsService(
            Directory(SqlDirectoryLoader(database)), SqlEventStore(database)
        )
        alarm = {"schema": "v1", "code": "E1", "severity": "low", "active": True, "ts": ts}
        boot = {"schema": "v1", "event_type": "boot", "ts": ts}
        for tenant in ("acme", "globex"):
            events.take(
                sqs.messages(
                    event(
                        record(channel(tenant, "chiller-1", Channel.ALARM), alarm),
                        record(channel(tenant, "chiller-1", Channel.EVENT), boot),
                    )
                )
            )
        database.close()
        with psycopg.connect(url) as connection:  # templates that are one tenant's own
            for slug, tenant_id in seeded.tenants.items():
                connection.execute(
                    "WITH t AS (INSERT INTO public.device_templates (tenant_id, code, version,"
                    " name) VALUES (%s, %s, 1, 'Own') RETURNING id) INSERT INTO"
                    " public.point_templates (tenant_id, device_template_id, position, name,"
                    " type) SELECT %s, id, 0, 'own', 'num' FROM t",
                    (tenant_id, f"own-{slug}", tenant_id),
                )
        yield url, seeded


def relations(url: str) -> list[str]:
    """Every table, partition and view of ours, straight from the catalogue."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT c.relname FROM pg_catalog.pg_class c"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r','p','v','m','f')"
            " ORDER BY 1"
        ).fetchall()
    return [name for (name,) in rows]


def read(url: str, role: str, relation: str, tenant: Any) -> list[str] | None:
    """All rows of a relation as JSON, in the sight of a role and tenant; None when forbidden."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT set_config('role', %s, true), set_config('app.tenant_id', %s, true)",
            (role, "" if tenant is None else str(tenant)),
        )
        try:
            rows = connection.execute(
                sql.SQL("SELECT to_jsonb(r)::text FROM public.{} r").format(
                    sql.Identifier(relation)
                )
            ).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            return None
    return [text for (text,) in rows]


@pytest.mark.parametrize("role", TENANT_ROLES)
def test_a_tenant_role_reads_its_own_rows_and_no_others(
    filled: tuple[str, Seeded], role: str
) -> None:
    url, seeded = filled
    mine, other = seeded.tenants["acme"], seeded.tenants["globex"]
    readable = 0
    for relation in relations(url):
        rows = read(url, role, relation, mine)
        if rows is None:
            continue
        readable += 1
        assert rows, f"{relation} has no row to prove anything with"
        for text in rows:
            assert str(other) not in text, f"{role} reads a row of another tenant in {relation}"
            row = json.loads(text)
            owner = row.get("tenant_id", row["id"] if relation == "tenants" else None)
            shared = relation in ("device_templates", "point_templates") and owner is None
            assert owner == str(mine) or shared, f"{relation} shows a row of nobody: {text}"
    assert readable >= 13


@pytest.mark.parametrize("role", TENANT_ROLES)
def test_without_a_tenant_every_relation_is_empty_or_forbidden(
    filled: tuple[str, Seeded], role: str
) -> None:
    url, _ = filled
    for relation in relations(url):
        for text in read(url, role, relation, None) or []:
            assert json.loads(text)["tenant_id"] is None, f"{relation} is open without a tenant"
            assert relation in ("device_templates", "point_templates")


@pytest.mark.parametrize("role", [*TENANT_ROLES, "traksense_ops", "traksense_ingest"])
def test_no_application_role_touches_readings_but_through_the_tenant_view(
    filled: tuple[str, Seeded], role: str
) -> None:
    url, seeded = filled
    stored = [
        name
        for name in relations(url)
        if name.startswith(("m_", "r_")) or name in ("dim_point", "rollup_dirty", "rollup_source")
    ]
    assert len(stored) > 15, "no partitions were found"
    assert any(name.startswith("r_1h_") for name in stored)
    for relation in stored:
        assert read(url, role, relation, seeded.tenants["acme"]) is None, relation


def test_ingestion_reads_names_and_its_own_bookkeeping_and_no_values(
    filled: tuple[str, Seeded],
) -> None:
    url, seeded = filled
    readable = {
        relation
        for relation in relations(url)
        if read(url, "traksense_ingest", relation, seeded.tenants["acme"]) is not None
    }
    assert readable == NAME_MAP | {"device_state"}


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


def test_every_table_with_rows_of_tenants_forces_row_security(
    filled: tuple[str, Seeded],
) -> None:
    url, _ = filled
    with psycopg.connect(url) as connection:
        unprotected = connection.execute(
            "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a"
            " ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND NOT (c.relrowsecurity AND c.relforcerowsecurity)"
        ).fetchall()
    assert unprotected == []


def test_tenant_views_are_security_barriers(filled: tuple[str, Seeded]) -> None:
    url, _ = filled
    with psycopg.connect(url) as connection:
        views = connection.execute(
            "SELECT relname, coalesce('security_barrier=true' = ANY (reloptions), false)"
            " FROM pg_catalog.pg_class WHERE relname LIKE '%\\_tenant' AND relkind = 'v'"
        ).fetchall()
    assert {name for name, _ in views} == {
        "ts_measure_tenant",
        "ts_measure_1m_tenant",
        "ts_measure_5m_tenant",
        "ts_measure_1h_tenant",
        "ts_consumption_monthly_tenant",
    }
    assert all(is_barrier for _, is_barrier in views)


def test_no_function_is_open_to_everybody_and_definers_pin_their_search_path(
    filled: tuple[str, Seeded],
) -> None:
    url, _ = filled
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT p.proname, has_function_privilege('traksense_readonly', p.oid, 'EXECUTE'),"
            " p.prosecdef, p.proconfig FROM pg_catalog.pg_proc p"
            " WHERE p.pronamespace = 'public'::regnamespace"
        ).fetchall()
    assert {name for name, everybody, _, _ in rows if everybody} == {"current_tenant_id"}
    for name, _, is_definer, configuration in rows:
        assert not is_definer or "search_path=pg_catalog" in configuration, name
