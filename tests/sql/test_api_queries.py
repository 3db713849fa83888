"""The API's queries against the database itself: plans, isolation, and the edges of windows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.unit.api.support import NOW, FakeLogin, World, add_readings, make_world
from traksense.db import queries
from traksense.db.connection import Database
from traksense.db.devices import SqlDeviceStore
from traksense.db.readings_query import SqlReadingStore
from traksense.db.scope import transaction
from traksense.services.devices import DeviceFilter
from traksense.services.scope import Scope
from traksense.services.series_levels import Window, microseconds


@pytest.fixture(scope="module")
def world(module_database_url: str) -> Iterator[World]:
    database = Database(module_database_url)
    yield make_world(module_database_url, FakeLogin(), database)
    database.close()


def plan(world: World, scope: Scope, area: str, name: str, parameters: dict[str, Any]) -> str:
    with transaction(world.database, scope) as cursor:
        rows = cursor.execute(
            "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) " + queries.load(area)[name],
            parameters,
        ).fetchall()
    return "\n".join(row[0] for row in rows)


def fill(world: World, point: str) -> None:
    """A week of readings every ten minutes, so that an index is worth its while."""
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.m_raw (point_sk, ts, v_num)"
            " SELECT d.point_sk, t, 1 FROM public.dim_point d,"
            " generate_series(%s::timestamptz - interval '7 days', %s, '1 minute') t"
            " WHERE d.point_id = ANY (%s) ON CONFLICT DO NOTHING",
            (NOW, NOW, [tenant.points[point] for tenant in (world.acme, world.globex)]),
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")


@pytest.mark.engine("plain")
def test_a_series_opens_only_the_days_that_it_asks_for_and_searches_them_by_key(
    world: World,
) -> None:
    fill(world, "silent")
    start = NOW - timedelta(days=3)
    shown = plan(
        world,
        Scope.of(world.acme.id),
        "readings",
        "rows_raw",
        {
            "point_ids": [world.acme.points["silent"]],
            "start": start,
            "end": start + timedelta(minutes=30),
            "rows": 100,
        },
    )
    days = {start.date(), (start + timedelta(minutes=30)).date()}
    assert {f"m_raw_{day:%Y%m%d}" for day in days} == set(_partitions(shown))
    assert "Seq Scan on m_raw" not in shown
    assert "point_sk = " in shown
    assert "ts >= " in shown


def _partitions(shown: str) -> Iterator[str]:
    for line in shown.splitlines():
        found = line.partition(" on m_raw_")[2]
        if found and "Bitmap Index Scan" not in line and "never executed" not in line:
            yield "m_raw_" + found.split()[0].split("_point")[0]


def test_a_page_of_devices_reads_no_more_devices_than_it_holds(world: World) -> None:
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
            " SELECT d.tenant_id, d.site_id, d.template_id, 'many-' || n"
            " FROM public.devices d, generate_series(1, 2000) n WHERE d.id = ANY (%s)",
            ([world.acme.device, world.globex.device],),
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")
    parameters = {
        "after_tenant": "acme",
        "after_name": "many-5",
        "q": None,
        "site": None,
        "online": None,
        "status": None,
        "gateway": None,
        "limit": 20,
    }
    for scope in (Scope.of(world.acme.id), Scope.all_tenants()):
        shown = plan(world, scope, "devices", "devices_page", parameters)
        assert "devices_tenant_id_name_key" in shown
        assert "rows=2000" not in shown


def test_without_a_tenant_the_application_sees_nothing(world: World) -> None:
    with world.database.transaction("traksense_app") as cursor:
        for relation in ("devices", "points", "tenants", "sites", "ts_measure_tenant"):
            row = cursor.execute(f"SELECT count(*) FROM public.{relation}").fetchone()
            assert row == (0,), relation


def test_a_store_in_one_tenants_sight_finds_nothing_of_another(world: World) -> None:
    devices = SqlDeviceStore(world.database)
    readings = SqlReadingStore(world.database)
    acme = Scope.of(world.acme.id)
    theirs = world.globex.device
    assert devices.get(acme, theirs) is None
    assert devices.points(acme, theirs, "en") is None
    assert readings.latest(acme, theirs) is None
    with readings.reading(acme) as reads:
        assert reads.points(theirs, ["temp_agua"]) is None
        point = world.globex.points["temp_agua"]
        assert reads.count("raw", [point], EVER, 10) == {point: 0}
        assert len(reads.numbers("raw", [point], EVER, 10)[point]) == 0
        for level in ("1m", "5m", "1h"):
            assert len(reads.numbers(level, [point], EVER, 10)[point]) == 0
    found = devices.page(acme, DeviceFilter(), ("acme", "a"), 10_000)
    assert {device.tenant for device in found} == {"acme"}


EVER = Window(microseconds(NOW - timedelta(days=14)), microseconds(NOW + timedelta(days=1)))


def test_a_point_of_another_device_is_missing_whichever_way_it_is_named(world: World) -> None:
    foreign = world.globex.points["status"]
    with SqlReadingStore(world.database).reading(Scope.of(world.acme.id)) as reads:
        found = reads.points("chiller-0", ["nothing", foreign, "note"])
    assert found is not None
    assert found.points[:2] == [None, None]
    assert found.points[2] is not None
    assert found.points[2].name == "note"


def test_counting_ends_just_beyond_what_was_asked(world: World) -> None:
    point = world.acme.points["temp_agua"]
    with SqlReadingStore(world.database).reading(Scope.of(world.acme.id)) as reads:
        counts = [reads.count("raw", [point], EVER, most)[point] for most in (99, 100, 5)]
    assert counts == [100, 100, 6]


def test_the_tenant_of_a_device_that_is_not_there_is_none(world: World) -> None:
    devices = SqlDeviceStore(world.database)
    assert devices.tenant_of(world.globex.device) == world.globex.id
    assert devices.tenant_of(uuid4()) is None


@pytest.mark.parametrize(
    "ago",
    [
        timedelta(minutes=-15),
        timedelta(0),
        timedelta(minutes=10) - timedelta(microseconds=1),
        timedelta(minutes=10),
        timedelta(minutes=10, microseconds=1),
        timedelta(minutes=50),
        timedelta(minutes=50, microseconds=1),
        timedelta(hours=20, minutes=50),
        timedelta(days=4),
        timedelta(days=13),
        timedelta(days=14, hours=20),
        timedelta(days=25),
    ],
)
@pytest.mark.parametrize("seen", [NOW, None, NOW - timedelta(days=5)])
def test_the_newest_reading_is_found_in_whichever_window_it_lies(
    world: World, ago: timedelta, seen: datetime | None
) -> None:
    """Three readings, the newest of them ``ago``; the device was last heard at ``seen``."""
    point, newest = world.globex.points["silent"], NOW - ago
    older = [
        ts for ts in (newest - timedelta(microseconds=1), NOW - timedelta(days=26)) if ts < newest
    ]
    with world.connect() as connection:
        connection.execute(
            "SELECT public.ensure_raw_partitions(%s::date, %s::date)",
            (NOW - timedelta(days=26), NOW),
        )
        connection.execute(
            "DELETE FROM public.m_raw r USING public.dim_point d"
            " WHERE d.point_sk = r.point_sk AND d.point_id = %s",
            (point,),
        )
        connection.execute(
            "UPDATE public.device_state SET last_seen = %s WHERE device_id = %s",
            (seen, world.globex.device),
        )
        add_readings(connection, point, [(newest, 7.5, 3), *((ts, 1.0, 0) for ts in older)])
    found = SqlReadingStore(world.database).latest(Scope.of(world.globex.id), world.globex.device)
    assert found is not None
    silent = found[-1]
    assert (silent.name, silent.ts, silent.value, silent.qual) == ("silent", newest, 7.5, 3)


def test_instants_are_in_utc_whatever_the_time_zone_of_the_session(world: World) -> None:
    with world.connect() as connection:
        name = connection.info.dbname
        connection.execute(
            psycopg.sql.SQL("ALTER DATABASE {} SET timezone = 'Europe/London'").format(
                psycopg.sql.Identifier(name)
            )
        )
    database = Database(world.url)
    point = world.acme.points["temp_agua"]
    try:
        with SqlReadingStore(database).reading(Scope.of(world.acme.id)) as reads:
            rows = reads.numbers("raw", [point], EVER, 5)[point]
    finally:
        database.close()
        with world.connect() as connection:
            connection.execute(
                psycopg.sql.SQL("ALTER DATABASE {} RESET timezone").format(
                    psycopg.sql.Identifier(name)
                )
            )
    assert rows.ts[0] == microseconds(NOW - timedelta(minutes=99))
    assert rows.more
    assert len(rows) == 6
