"""The dashboard of a device, and the schema of those that templates have."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.api_routes.fresh import fresh

from .support import OPERATOR, Answer, World, call

POINTS = [
    {"name": "temp", "type": "num", "unit": "°C", "limits": {"low": 2, "high": 8},
     "hysteresis": 0.5, "labels": {"pt-BR": "Temperatura", "en": "Temperature"}},
    {"name": "return", "type": "num", "unit": "°C"},
    {"name": "door", "type": "bool", "polarity": "normal"},
]  # fmt: skip


def named(*names: str) -> list[dict[str, str]]:
    return [{"point_template": name} for name in names]


DASHBOARD = {
    "panels": [
        {"type": "timeseries", "points": named("temp", "return"), "range": "7d",
         "title": {"pt-BR": "Água", "en": "Water"}},
        {"type": "kpi", "points": named("temp"), "stat": "max"},
        {"type": "timeline", "points": named("door"), "title": {"pt-BR": "Porta"}},
        {"type": "button", "op": "close_door", "points": named("door")},
        {"type": "button", "op": "reset_fault", "params": {"pulse_ms": 500},
         "title": {"en": "Reset", "pt-BR": "Rearmar"},
         "confirm": {"en": "Now?", "pt-BR": "Agora?"}},
    ]
}  # fmt: skip


def device(world: World, dashboard: Any = DASHBOARD, points: Any = POINTS) -> str:
    """A fresh device of acme with all points of a fresh template."""
    code = fresh("board")
    body = {"code": code, "name": "Cold room", "points": points, "dashboard": dashboard}
    made = call("POST", "/api/templates", OPERATOR, body=body)
    assert made.status == 201, made.text
    with world.connect() as connection:
        row = connection.execute(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
            " SELECT s.tenant_id, s.id, dt.id, %s FROM public.device_templates dt, public.sites s"
            " WHERE dt.code = %s AND s.tenant_id = %s AND s.slug = 'plant' RETURNING id",
            (fresh("room"), code, world.acme.id),
        ).fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO public.points (tenant_id, device_id, point_template_id, position, name,"
            " labels, type, unit, enum_values, limits, polarity, hysteresis)"
            " SELECT d.tenant_id, d.id, p.id, p.position, p.name, p.labels, p.type, p.unit,"
            " p.enum_values, p.limits, p.polarity, p.hysteresis FROM public.devices d"
            " JOIN public.point_templates p ON p.device_template_id = d.template_id"
            " WHERE d.id = %s",
            row,
        )
    return str(row[0])


def release(world: World, device_id: str, *names: str) -> None:
    with world.connect() as connection:
        connection.execute(
            "UPDATE public.points SET is_contracted = false"
            " WHERE device_id = %s AND name = ANY (%s)",
            (device_id, list(names)),
        )


def show(world: World, device_id: str, language: str = "en") -> Answer:
    return call(
        "GET",
        f"/api/dashboards/{device_id}",
        world.acme.viewer,
        headers={"Accept-Language": language},
    )


def outline(answer: Answer) -> list[tuple[str, str, list[str]]]:
    return [
        (panel["type"], panel["title"], [point["name"] for point in panel["points"]])
        for panel in answer.json["panels"]
    ]


def test_names_of_the_template_become_points_of_the_device(world: World) -> None:
    answer = show(world, device_id := device(world))
    assert answer.status == 200
    with world.connect() as connection:
        ids = dict(
            connection.execute(
                "SELECT name, id::text FROM public.points WHERE device_id = %s", (device_id,)
            ).fetchall()
        )
    water = answer.json["panels"][0]
    assert (water["range"], water["show_limits"], water["width"]) == ("7d", True, None)
    assert water["points"][0] == {
        "point_id": ids["temp"], "name": "temp", "label": "Temperature", "type": "num",
        "unit": "°C", "enum_values": None, "polarity": None, "hysteresis": 0.5,
        "limits": {"low": 2, "high": 8},
    }  # fmt: skip
    assert "point_template" not in answer.text
    assert answer.json["is_generated"] is False


@pytest.mark.parametrize(
    ("language", "titles"),
    [
        ("en", ["Water", "Temperature", "Porta", "close_door", "Reset"]),
        ("pt-BR", ["Água", "Temperatura", "Porta", "close_door", "Rearmar"]),
    ],
)
def test_texts_are_in_the_callers_language_or_in_the_other(
    world: World, language: str, titles: list[str]
) -> None:
    answer = show(world, device(world), language)
    assert [title for _, title, _ in outline(answer)] == titles
    assert answer.json["panels"][4]["confirm"] == {"en": "Now?", "pt-BR": "Agora?"}[language]


def test_panels_of_points_that_are_not_contracted_are_left_out(world: World) -> None:
    device_id = device(world)
    release(world, device_id, "return", "door")
    assert outline(show(world, device_id)) == [
        ("timeseries", "Water", ["temp"]),
        ("kpi", "Temperature", ["temp"]),
        ("button", "Reset", []),
    ]
    release(world, device_id, "temp")
    assert outline(show(world, device_id)) == [("button", "Reset", [])]


def test_a_template_without_a_dashboard_gets_one_from_its_points(world: World) -> None:
    points = [
        *POINTS,
        {"name": "mode", "type": "enum", "enum_values": ["OFF", "COOL"]},
        {"name": "note", "type": "text"},
        {"name": "starts", "type": "num"},
        {"name": "errors", "type": "num"},
        {"name": "power", "type": "num", "unit": "kW"},
    ]
    answer = show(world, device(world, None, points))
    assert answer.json["is_generated"] is True
    assert outline(answer) == [
        ("status", "Status", ["door", "mode", "note"]),
        ("timeseries", "Readings in °C", ["temp", "return"]),
        ("timeseries", "starts", ["starts"]),
        ("timeseries", "errors", ["errors"]),
        ("timeseries", "power", ["power"]),
        ("timeline", "States over time", ["door", "mode"]),
    ]


def test_many_points_of_a_unit_need_more_than_one_panel(world: World) -> None:
    points = [{"name": f"t{n}", "type": "num", "unit": "°C"} for n in range(11)]
    assert [len(names) for _, _, names in outline(show(world, device(world, None, points)))] == [
        10, 1,
    ]  # fmt: skip


def test_a_device_without_points_has_an_empty_dashboard(world: World) -> None:
    assert show(world, device(world, None, [])).json["panels"] == []


def test_another_tenants_dashboard_is_not_there(world: World) -> None:
    device_id = device(world)
    assert call("GET", f"/api/dashboards/{device_id}", world.globex.viewer).status == 404


def test_the_schema_is_public_and_of_the_dialect_that_it_names(world: World) -> None:
    answer = call("GET", "/schema/dashboard")
    assert answer.status == 200
    assert answer.json["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(answer.json)
    Draft202012Validator(answer.json).validate(DASHBOARD)
