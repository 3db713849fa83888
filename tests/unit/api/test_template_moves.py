"""Devices that go to a newer version of their template."""

from __future__ import annotations

from typing import Any

from tests.support.api_routes.fresh import fresh
from tests.support.api_routes.templates import device, said, template

from .support import OPERATOR, Answer, World, call

ACME = {"X-Tenant": "acme"}
URL = "/api/templates"


def move(code: str, version: int, devices: Any, *, dry: bool = False, **more: Any) -> Answer:
    return call(
        "POST",
        f"{URL}/{code}/{version}/moves",
        OPERATOR,
        query={"dry_run": "true"} if dry else {},
        headers=ACME,
        body={"devices": devices, **more},
    )


def points_of(world: World, device_id: str) -> dict[str, tuple[Any, ...]]:
    with world.connect() as connection:
        rows = connection.execute(
            "SELECT p.name, p.is_contracted, p.limits, p.labels, p.hysteresis,"
            " pt.device_template_id = d.template_id, p.id::text FROM public.points p"
            " JOIN public.devices d ON d.id = p.device_id"
            " LEFT JOIN public.point_templates pt ON pt.id = p.point_template_id"
            " WHERE d.id = %s",
            (device_id,),
        ).fetchall()
    return {row[0]: row[1:] for row in rows}


def v2(**more: Any) -> dict[str, Any]:
    return said(
        points=[
            {"name": "temp", "type": "num", "unit": "°C", "limits": {"low": 1, "high": 7},
             "hysteresis": 0.5, "labels": {"en": "Temperature"}},
            {"name": "humidity", "type": "num", "unit": "%"},
        ],
        **more,
    )  # fmt: skip


def arranged(world: World) -> tuple[str, list[str]]:
    """A template of acme with a second version, and two devices of the first."""
    code = template(world, world.acme)
    devices = [device(world, world.acme, code) for _ in range(2)]
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.points (tenant_id, device_id, point_template_id, name, type)"
            " SELECT p.tenant_id, p.device_id, p.point_template_id, 'old', 'num'"
            " FROM public.points p WHERE p.device_id = ANY (%s::uuid[])",
            (devices,),
        )
    made = call("POST", f"{URL}/{code}/versions", OPERATOR, body=v2(), headers=ACME)
    assert made.status == 201, made.text
    return code, devices


def test_a_dry_run_says_what_would_change_and_changes_nothing(world: World) -> None:
    code, devices = arranged(world)
    before = [points_of(world, each) for each in devices]
    answer = move(code, 2, "all", dry=True)
    assert answer.status == 200
    assert answer.json == {
        "code": code, "version": 2, "dry_run": True, "devices": 2, "incompatible": [],
        "moved_from": [{
            "version": 1, "devices": 2, "added": ["humidity"], "removed": [],
            "changed": [
                {"name": "temp", "field": "labels", "before": {},
                 "after": {"en": "Temperature"}},
                {"name": "temp", "field": "hysteresis", "before": None, "after": 0.5},
                {"name": "temp", "field": "limits", "before": None,
                 "after": {"low": 1.0, "high": 7.0}},
            ],
            "settings": [{"name": "name", "field": "name", "before": "Fridge of acme",
                          "after": "Vaccine fridge"}],
            "dashboard_changed": False,
        }],
    }  # fmt: skip
    assert [points_of(world, each) for each in devices] == before


def test_a_move_adds_changes_and_releases_points_of_the_devices_named(world: World) -> None:
    code, (moved, other) = arranged(world)
    before, others = points_of(world, moved), points_of(world, other)
    assert move(code, 2, [moved]).json["devices"] == 1
    after = points_of(world, moved)
    assert points_of(world, other) == others
    assert set(after) == {"temp", "humidity", "old"}
    assert after["temp"][:5] == (
        True, {"low": 1.0, "high": 7.0}, {"en": "Temperature"}, 0.5, True,
    )  # fmt: skip
    assert after["humidity"][0] is True
    assert after["old"][0] is False  # kept with its readings, contracted no more
    assert {name: after[name][5] for name in before} == {n: before[n][5] for n in before}
    assert move(code, 2, [moved]).json["devices"] == 0  # it is there already
    assert move(code, 2, "all").json["devices"] == 1


def test_added_points_come_uncontracted_where_that_is_wanted(world: World) -> None:
    code, (moved, _) = arranged(world)
    assert move(code, 2, [moved], contract_added=False).status == 200
    assert points_of(world, moved)["humidity"][0] is False
    assert points_of(world, moved)["temp"][0] is True


def test_what_somebody_changed_on_a_device_stays(world: World) -> None:
    code, (moved, _) = arranged(world)
    with world.connect() as connection:
        connection.execute(
            "UPDATE public.points SET limits = '{\"high\": 5}', is_contracted = false"
            " WHERE device_id = %s AND name = 'temp'",
            (moved,),
        )
    move(code, 2, [moved])
    assert points_of(world, moved)["temp"][:4] == (
        False, {"high": 5}, {"en": "Temperature"}, 0.5,
    )  # fmt: skip


def test_another_type_or_unit_under_a_name_is_refused_as_a_whole(world: World) -> None:
    code, devices = arranged(world)
    points = [{"name": "temp", "type": "num", "unit": "K"}, {"name": "old", "type": "bool"}]
    body = said(points=points)
    call("POST", f"{URL}/{code}/versions", OPERATOR, body=body, headers=ACME)
    shown = move(code, 3, "all", dry=True).json["incompatible"]
    assert [(each["name"], each["before"], each["after"], each["devices"]) for each in shown] == [
        ("old", "num", "bool", 2), ("temp", "num °C", "num K", 2),
    ]  # fmt: skip
    before = [points_of(world, each) for each in devices]
    refused = move(code, 3, "all")
    assert refused.status == 409
    assert "old, temp" in refused.json["detail"]
    assert [points_of(world, each) for each in devices] == before


def test_devices_that_cannot_be_moved_are_named(world: World) -> None:
    code, (moved, _) = arranged(world)
    elsewhere = device(world, world.acme, template(world, world.acme))
    answer = move(code, 2, [moved, elsewhere])
    assert answer.status == 422
    assert [error["loc"] for error in answer.json["errors"]] == ["body.devices.1"]
    move(code, 2, [moved])
    assert move(code, 1, [moved]).status == 422  # never back
    foreign = device(world, world.globex, template(world, world.globex))
    assert move(code, 2, [foreign]).status == 404
    draft = call(
        "POST", f"{URL}/{code}/versions", OPERATOR, body=v2(publish=False), headers=ACME
    ).json["version"]
    assert move(code, draft, "all").status == 409


def test_a_shared_template_moves_the_chosen_tenants_devices_or_everybodys(world: World) -> None:
    code = fresh("everybodys")
    call("POST", URL, OPERATOR, body=said(code=code))
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
            " SELECT s.tenant_id, s.id, dt.id, %s FROM public.sites s"
            " JOIN public.device_templates dt ON dt.code = %s"
            " WHERE s.slug = 'plant' AND s.tenant_id = ANY (%s::uuid[])",
            (fresh("box"), code, [world.acme.id, world.globex.id]),
        )
    call("POST", f"{URL}/{code}/versions", OPERATOR, body=said())
    assert move(code, 2, "all").json["devices"] == 1
    everybodys = call("POST", f"{URL}/{code}/2/moves", OPERATOR, body={"devices": "all"})
    assert everybodys.json["devices"] == 1
