from __future__ import annotations

import json
import threading
import time
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest

from local.demo import catalogue
from local.demo.seed import DemoFleet, seed
from traksense.db.connection import Database
from traksense.domain.errors import Conflict

DEMO = catalogue.load()
TABLES = ("tenants", "sites", "device_templates", "point_templates", "devices", "points",
          "device_state", "dim_point")  # fmt: skip


def rows(url: str, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """As the owner, who sees every tenant."""
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL ROLE traksense_owner")
        return connection.execute(query, parameters).fetchall()


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    return {table: rows(url, f"SELECT * FROM public.{table} ORDER BY 1") for table in TABLES}


def change(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL ROLE traksense_owner")
        assert connection.execute(statement).rowcount == 1


def test_every_device_gets_the_points_of_its_template(database_url: str) -> None:
    seed(database_url)
    found = rows(
        database_url,
        "SELECT t.slug, d.name, array_agg(p.name::text ORDER BY p.position)"
        " FROM points p JOIN devices d ON d.id = p.device_id JOIN tenants t ON t.id = d.tenant_id"
        " GROUP BY 1, 2",
    )
    expected = {
        (tenant.slug, name): [p.name for p in DEMO.template(template).points]
        for tenant, device in DEMO.devices()
        for name, template in [
            (device.name, device.template),
            *((child.name, child.template) for child in device.children),
        ]
        if DEMO.template(template).points
    }
    assert {(slug, name): points for slug, name, points in found} == expected


def test_points_carry_type_unit_enum_values_limits_and_labels(database_url: str) -> None:
    seed(database_url)
    found = rows(
        database_url,
        "SELECT dt.code, p.name, p.type, p.unit, p.enum_values, p.limits, p.labels, dp.type,"
        " dp.unit FROM points p JOIN devices d ON d.id = p.device_id"
        " JOIN device_templates dt ON dt.id = d.template_id"
        " JOIN dim_point dp ON dp.point_id = p.id",
    )
    assert found
    for code, name, kind, unit, enum_values, limits, labels, dim_type, dim_unit in found:
        point = next(p for p in DEMO.template(code).points if p.name == name)
        assert (kind, unit, labels) == (point.type, point.unit, point.labels)
        assert limits == (None if point.limits is None else msgspec.to_builtins(point.limits))
        assert enum_values == (None if point.enum_values is None else list(point.enum_values))
        assert (dim_type, dim_unit) == (kind, unit)


def test_templates_are_published_with_the_dashboards_of_the_files(database_url: str) -> None:
    seed(database_url)
    found = rows(
        database_url,
        "SELECT code, version, dashboard, published_at IS NOT NULL FROM device_templates",
    )
    assert {code: (version, dashboard) for code, version, dashboard, _ in found} == {
        t.code: (
            t.version,
            None if t.dashboard is None else json.loads(msgspec.json.encode(t.dashboard)),
        )
        for t in DEMO.templates
    }
    assert all(is_published for *_, is_published in found)


def test_a_home_from_before_gets_the_next_version_and_its_devices_stay(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL ROLE traksense_owner")
        connection.execute(
            "INSERT INTO device_templates (code, version, name, published_at)"
            " VALUES ('chiller-v1', 1, 'Chiller', now())"
        )
    seed(database_url)
    assert rows(
        database_url,
        "SELECT o.version, n.version FROM device_templates o"
        " JOIN device_templates n ON n.id = o.superseded_by",
    ) == [(1, 2)]


def test_the_fleet_says_who_the_devices_and_people_are(database_url: str) -> None:
    fleet = seed(database_url)
    assert [(d.tenant, d.site, d.name, d.template, d.mac, d.simulated) for d in fleet.devices] == [
        (t.slug, d.site, d.name, d.template, d.mac, d.simulated) for t, d in DEMO.devices()
    ]
    for (_, wanted), device in zip(DEMO.devices(), fleet.devices, strict=True):
        assert [(c.name, c.code, c.template) for c in device.children] == [
            (c.name, c.code, c.template) for c in wanted.children
        ]
    ids = dict(rows(database_url, "SELECT id, name FROM devices"))
    for device in fleet.devices:
        assert ids[device.id] == device.name
        assert all(ids[child.id] == child.name for child in device.children)
    tenants = dict(rows(database_url, "SELECT slug, id FROM tenants"))
    assert {(u.email, u.role, u.tenant_id) for u in fleet.users} == {
        (u.email, u.role, None if u.tenant is None else tenants[u.tenant]) for u in DEMO.users
    }


def test_children_are_behind_their_gateway_and_at_its_site(database_url: str) -> None:
    seed(database_url)
    found = rows(
        database_url,
        "SELECT g.name, d.gateway_code, d.site_id = g.site_id, d.tenant_id = g.tenant_id"
        " FROM devices d JOIN devices g ON g.id = d.gateway_id",
    )
    assert {(gateway, code) for gateway, code, _, _ in found} == {
        (device.name, child.code) for _, device in DEMO.devices() for child in device.children
    }
    assert all(same_site and same_tenant for _, _, same_site, same_tenant in found)


def test_seeding_again_changes_nothing(database_url: str) -> None:
    first = seed(database_url)
    before = everything(database_url)
    assert seed(database_url) == first
    assert everything(database_url) == before


def test_seeding_what_is_there_takes_less_than_three_tenths_of_a_second(database_url: str) -> None:
    seed(database_url)
    started = time.perf_counter()
    seed(database_url)
    assert time.perf_counter() - started < 0.3


def test_what_an_operator_changed_survives_a_restart(database_url: str) -> None:
    seed(database_url)
    change(database_url, "UPDATE tenants SET name = 'UMC Norte' WHERE slug = 'umc'")
    change(
        database_url,
        "UPDATE points SET limits = '{\"high\": 1}', is_contracted = false WHERE id IN"
        " (SELECT p.id FROM points p JOIN devices d ON d.id = p.device_id"
        "  WHERE d.name = 'geladeira-01' AND p.type = 'num' LIMIT 1)",
    )
    change(
        database_url,
        "UPDATE devices d SET site_id = s.id FROM sites s WHERE d.name = 'geladeira-01'"
        " AND s.tenant_id = d.tenant_id AND s.slug = 'almoxarifado'",
    )
    before = everything(database_url)
    fleet = seed(database_url)
    assert everything(database_url) == before
    moved = next(d for d in fleet.devices if d.name == "geladeira-01")
    assert moved.site == "almoxarifado"


def test_a_device_that_was_deleted_comes_back_and_its_neighbours_keep_their_ids(
    database_url: str,
) -> None:
    before = {(d.tenant, d.name): d.id for d in seed(database_url).devices}
    change(database_url, "DELETE FROM devices WHERE name = 'reserva-01' AND tenant_id ="
           " (SELECT id FROM tenants WHERE slug = 'umc')")  # fmt: skip
    after = {(d.tenant, d.name): d.id for d in seed(database_url).devices}
    assert {key for key in before if before[key] != after[key]} == {("umc", "reserva-01")}


def test_two_starts_at_the_same_time_make_one_demo(database_url: str) -> None:
    fleets: list[DemoFleet] = []
    barrier = threading.Barrier(2)

    def start() -> None:
        barrier.wait()
        fleets.append(seed(database_url))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(fleets) == 2
    assert fleets[0] == fleets[1]
    assert rows(database_url, "SELECT count(*) FROM tenants") == [(len(DEMO.tenants),)]


def test_a_mac_address_that_another_device_has_is_a_conflict_and_adds_nothing(
    database_url: str,
) -> None:
    mac = next(d.mac for _, d in DEMO.devices() if d.mac is not None)
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL ROLE traksense_owner")
        connection.execute(
            "WITH t AS (INSERT INTO tenants (slug, name) VALUES ('acme', 'Acme') RETURNING id),"
            " s AS (INSERT INTO sites (tenant_id, slug, name)"
            "       SELECT id, 'acme-site', 'Acme' FROM t RETURNING id),"
            " k AS (INSERT INTO device_templates (code, version, name, published_at)"
            "       VALUES ('box', 1, 'Box', now()) RETURNING id) SELECT"
        )
        connection.execute(
            "INSERT INTO devices (tenant_id, site_id, template_id, name, mac)"
            " SELECT t.id, s.id, k.id, 'box-01', %s FROM tenants t, sites s, device_templates k",
            (mac,),
        )
    before = everything(database_url)
    with pytest.raises(Conflict, match=mac):
        seed(database_url)
    assert everything(database_url) == before


def test_each_tenant_sees_its_own_half_of_the_demo(database_url: str) -> None:
    fleet = seed(database_url)
    database = Database(database_url)
    tenant_ids = {u.tenant: u.tenant_id for u in fleet.users if u.tenant is not None}
    try:
        for slug, tenant_id in tenant_ids.items():
            with database.transaction("traksense_app", tenant_id) as cursor:
                seen = {row[0] for row in cursor.execute("SELECT id FROM public.devices")}
            mine = {d.id for d in fleet.devices if d.tenant == slug}
            mine |= {c.id for d in fleet.devices if d.tenant == slug for c in d.children}
            assert seen == mine
        with database.transaction("traksense_app", uuid4()) as cursor:
            assert cursor.execute("SELECT count(*) FROM public.devices").fetchone() == (0,)
    finally:
        database.close()
