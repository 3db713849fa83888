"""Making, changing and deleting devices, and changing points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest

from functions.api.services import services
from tests.support.api_routes.fresh import fresh
from traksense.db.connection import Database
from traksense.wiring.api import api

from .support import OPERATOR, Answer, FakeLogin, World, call, make_world, outside

ACME = {"X-Tenant": "acme"}
GLOBEX = {"X-Tenant": "globex"}


@pytest.fixture(scope="module")
def world(module_database_url: str) -> Iterator[World]:
    """acme and globex, with a template that has points."""
    login = FakeLogin()
    database = Database(module_database_url)
    world = make_world(module_database_url, login, database)
    services.use(api(database, outside(login)))
    with world.connect() as connection:
        add_template(connection, "meter", 1)
        add_template(connection, "meter", 2)
        connection.execute(
            "INSERT INTO public.device_templates (code, version, name) VALUES ('meter', 3, 'Meter')"
        )
    yield world
    services.use(None)
    database.close()


def add_template(connection: psycopg.Connection[Any], code: str, version: int) -> None:
    row = connection.execute(
        "INSERT INTO public.device_templates (code, version, name)"
        " VALUES (%s, %s, 'Meter') RETURNING id",
        (code, version),
    ).fetchone()
    assert row is not None
    for position, (name, kind) in enumerate([("power", "num"), ("on", "bool"), ("flow", "num")]):
        connection.execute(
            "INSERT INTO public.point_templates (device_template_id, position, name, type, unit)"
            " VALUES (%s, %s, %s, %s, %s)",
            (row[0], position, name, kind, "kW" if kind == "num" else None),
        )
    connection.execute(
        "UPDATE public.device_templates SET published_at = now() WHERE id = %s", (row[0],)
    )


def create(tenant: dict[str, str] = ACME, **fields: object) -> Answer:
    body = {"name": fresh("meter"), "site": "plant", "template": "meter", **fields}
    return call("POST", "/api/devices", OPERATOR, headers=tenant, body=body)


def made(tenant: dict[str, str] = ACME, **fields: object) -> dict[str, Any]:
    answer = create(tenant, **fields)
    assert answer.status == 201, answer.text
    found: dict[str, Any] = answer.json
    # Nobody asked for these, and nothing else than the device is in other answers about it.
    assert (found.pop("credentials"), found.pop("provision_error")) == (None, None)
    return found


def points(device: dict[str, Any]) -> dict[str, bool]:
    answer = call("GET", f"/api/devices/{device['id']}/points", OPERATOR)
    return {point["name"]: point["is_contracted"] for point in answer.json["items"]}


def at_fault(answer: Answer) -> set[str]:
    return {error["loc"] for error in answer.json["errors"]}


def one(world: World, sql: str, *parameters: object) -> Any:
    with world.connect() as connection:
        row = connection.execute(sql.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def at_once(world: World, times: int, ask: Callable[[], Answer]) -> list[int]:
    """The statuses of calls that are made at the same time, each over a connection of its own."""

    def status(_: int) -> int:
        try:
            return ask().status
        finally:
            world.database.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(status, range(times)))


def test_a_device_is_made_from_the_newest_published_version(world: World) -> None:
    device = made(metadata={"room": "R7"}, mac="AA-BB-CC-00-00-01")
    assert device["template"] == {"code": "meter", "version": 2}
    assert (device["tenant"], device["site"], device["metadata"]) == (
        "acme",
        "plant",
        {"room": "R7"},
    )
    assert (device["status"], device["is_online"]) == ("active", False)
    assert device["mac"] == "aa:bb:cc:00:00:01"
    assert points(device) == {"power": True, "on": True, "flow": True}
    assert one(
        world, "SELECT count(*) FROM public.dim_point WHERE device_id = %s", device["id"]
    ) == 3  # fmt: skip


def test_points_that_are_not_contracted_are_there_and_say_so(world: World) -> None:
    assert points(made(points=["flow"])) == {"power": False, "on": False, "flow": True}
    assert points(made(points=[])) == {"power": False, "on": False, "flow": False}


def test_a_device_behind_a_gateway_names_it(world: World) -> None:
    gateway = made(mac="aa:bb:cc:00:00:02")
    child = made(gateway=gateway["name"], gateway_code="D01")
    assert child["gateway"] == {"id": gateway["id"], "code": "D01"}
    again = create(gateway=gateway["name"], gateway_code="D01")
    assert (again.status, at_fault(again)) == (409, {"body.gateway_code"})
    nested = create(gateway=child["name"], gateway_code="D01")
    assert (nested.status, at_fault(nested)) == (422, {"body.gateway"})
    listed = call("GET", "/api/devices", OPERATOR, query={"gateway": gateway["id"]})
    assert [device["id"] for device in listed.json["items"]] == [child["id"]]
    assert call("DELETE", f"/api/devices/{gateway['id']}", OPERATOR).status == 409
    assert call("DELETE", f"/api/devices/{child['id']}", OPERATOR).status == 204
    assert call("DELETE", f"/api/devices/{gateway['id']}", OPERATOR).status == 204


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"site": "nowhere"}, "body.site"),
        ({"template": "nothing"}, "body.template"),
        ({"version": 9}, "body.template"),
        ({"version": 3}, "body.version"),
        ({"points": ["power", "nothing"]}, "body.points"),
        ({"gateway": "nobody", "gateway_code": "D01"}, "body.gateway"),
        ({"gateway_code": "D01"}, "body.gateway_code"),
        ({"name": "a b"}, "body.name"),
        ({"name": "a\n"}, "body.name"),
        ({"name": "a" * 33}, "body.name"),
        ({"mac": "aa:bb"}, "body.mac"),
        ({"metadata": {"a": "\x00"}}, "body.metadata"),
        ({"metadata": {"a": "b" * 4096}}, "body.metadata"),
    ],
)
def test_what_cannot_be_is_422_and_says_where(
    world: World, fields: dict[str, object], where: str
) -> None:
    answer = create(**fields)
    assert (answer.status, at_fault(answer)) == (422, {where})


def test_a_name_is_taken_in_its_tenant_and_a_mac_everywhere(world: World) -> None:
    device = made(mac="aa:bb:cc:00:00:03")
    both = create(name=device["name"], mac="AA:BB:CC:00:00:03")
    assert (both.status, at_fault(both)) == (409, {"body.name", "body.mac"})
    assert made(GLOBEX, name=device["name"])["tenant"] == "globex"
    elsewhere = create(GLOBEX, mac="aa:bb:cc:00:00:03")
    assert (elsewhere.status, at_fault(elsewhere)) == (409, {"body.mac"})
    assert "acme" not in elsewhere.text


def test_another_tenants_site_and_gateway_are_not_there(world: World) -> None:
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.sites (tenant_id, slug, name) VALUES (%s, 'secret', 'x')",
            (world.globex.id,),
        )
    theirs = made(GLOBEX)
    answer = create(site="secret", gateway=theirs["name"], gateway_code="D01")
    assert (answer.status, at_fault(answer)) == (422, {"body.site", "body.gateway"})


def test_a_tenant_has_no_more_devices_than_it_may_however_many_ask_at_once(world: World) -> None:
    there = one(world, "SELECT count(*) FROM public.devices WHERE tenant_id = %s", world.globex.id)
    with world.connect() as connection:
        connection.execute(
            "UPDATE public.tenants SET max_devices = %s WHERE id = %s", (there + 3, world.globex.id)
        )
    statuses = at_once(world, 8, lambda: create(GLOBEX))
    with world.connect() as connection:
        connection.execute("UPDATE public.tenants SET max_devices = NULL")
    assert sorted(statuses) == [201] * 3 + [409] * 5


def test_two_who_take_one_name_at_once_do_not_both_get_it(world: World) -> None:
    name = fresh("twin")
    assert sorted(at_once(world, 4, lambda: create(name=name))) == [201, 409, 409, 409]


def change(device: dict[str, Any], **fields: object) -> Answer:
    return call("PATCH", f"/api/devices/{device['id']}", OPERATOR, body=fields)


def test_what_is_given_is_changed_and_the_rest_stays(world: World) -> None:
    device = made(metadata={"room": "R1"}, mac="aa:bb:cc:00:00:04")
    assert change(device).json == device
    moved = change(device, site="depot", status="maintenance")
    assert moved.json == {**device, "site": "depot", "status": "maintenance"}
    assert change(device, metadata={}).json["metadata"] == {}
    assert change(device, mac=None).json["mac"] is None
    listed = call(
        "GET", "/api/devices", OPERATOR, headers=ACME, query={"status": "maintenance"}
    ).json["items"]
    assert device["id"] in {found["id"] for found in listed}


@pytest.mark.parametrize(
    "fields",
    [{"site": "nowhere"}, {"site": None}, {"status": "gone"}, {"status": None}, {"name": "other"}],
)
def test_a_change_that_cannot_be_changes_nothing(world: World, fields: dict[str, object]) -> None:
    device = made()
    answer = change(device, **{"metadata": {"room": "R2"}, **fields})
    assert answer.status == 422
    assert change(device).json == device


def test_a_mac_that_another_has_is_409(world: World) -> None:
    made(mac="aa:bb:cc:00:00:05")
    answer = change(made(), mac="aa:bb:cc:00:00:05")
    assert (answer.status, at_fault(answer)) == (409, {"body.mac"})


def test_a_deleted_devices_readings_are_seen_by_nobody_and_its_name_is_free(world: World) -> None:
    device = made()
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.m_raw (point_sk, ts, v_num) SELECT point_sk, now(), 1"
            " FROM public.dim_point WHERE device_id = %s AND type = 'num'",
            (device["id"],),
        )
    assert call("DELETE", f"/api/devices/{device['id']}", OPERATOR).status == 204
    assert call("GET", f"/api/devices/{device['id']}", OPERATOR).status == 404
    assert call("DELETE", f"/api/devices/{device['id']}", OPERATOR).status == 404
    keys = "SELECT count(*) FROM public.dim_point WHERE device_id = %s"
    assert one(world, keys, device["id"]) == 0
    assert made(name=device["name"])["id"] != device["id"]


def change_point(device: dict[str, Any], name: str, **fields: object) -> Answer:
    listed = call("GET", f"/api/devices/{device['id']}/points", OPERATOR).json["items"]
    (point,) = [point for point in listed if point["name"] == name]
    path = f"/api/devices/{device['id']}/points/{point['id']}"
    return call("PATCH", path, OPERATOR, body=fields)


def test_a_point_gets_labels_limits_and_a_contract(world: World) -> None:
    device = made(points=[])
    changed = change_point(
        device, "power", labels={"en": "Power", "pt-BR": "Potência"},
        limits={"low": 1, "high": 2.5}, is_contracted=True,
    ).json  # fmt: skip
    assert (changed["label"], changed["limits"]) == ("Power", {"low": 1.0, "high": 2.5})
    assert changed["is_contracted"] is True
    again = change_point(device, "power", labels={"en": None}).json
    assert (again["label"], again["limits"]) == ("power", changed["limits"])
    assert change_point(device, "power", limits=None).json["limits"] is None


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("on", {"limits": {"low": 1}}),
        ("power", {"limits": {}}),
        ("power", {"limits": {"low": 2, "high": 2}}),
        ("power", {"labels": {"fr": "x"}}),
        ("power", {"labels": {"en": "\x00"}}),
        ("power", {"is_contracted": None}),
    ],
)
def test_a_points_change_that_cannot_be_is_422(
    world: World, name: str, fields: dict[str, object]
) -> None:
    assert change_point(made(), name, **fields).status == 422


def test_a_point_of_another_device_is_not_found(world: World) -> None:
    path = f"/api/devices/{UUID(made()['id'])}/points/{world.acme.points['temp_agua']}"
    assert call("PATCH", path, OPERATOR, body={}).status == 404
