"""Devices and points through the app, in the sight of two tenants and of operators."""

from __future__ import annotations

from typing import Any

import pytest

from .support import NOW, OPERATOR, World, call


def names(answer: Any) -> list[tuple[str, str]]:
    return [(item["tenant"], item["name"]) for item in answer.json["items"]]


def test_a_customer_lists_her_own_devices_and_no_other(world: World) -> None:
    answer = call("GET", "/api/devices", world.acme.viewer)
    assert answer.status == 200
    assert names(answer) == [("acme", f"chiller-{n}") for n in range(5)]
    assert answer.json["next_cursor"] is None


def test_a_device_has_the_promised_shape(world: World) -> None:
    answer = call("GET", f"/api/devices/{world.acme.device}", world.acme.viewer)
    body = answer.json
    created_at = body.pop("created_at")
    assert created_at.endswith("Z")
    assert body == {
        "id": str(world.acme.device),
        "name": "chiller-0",
        "tenant": "acme",
        "site": "plant",
        "template": {"code": "chiller", "version": 2},
        "is_online": True,
        "last_seen": NOW.isoformat().replace("+00:00", "Z"),
        "metadata": {"room": "R0b", "fw": "1.2.3"},
        "status": "active",
        "mac": None,
        "gateway": None,
        "is_provisioned": False,
        "over_rate_at": None,
    }


def test_an_operator_sees_all_tenants_in_order(world: World) -> None:
    answer = call("GET", "/api/devices", OPERATOR)
    assert names(answer) == [
        (tenant, f"chiller-{n}") for tenant in ("acme", "globex") for n in range(5)
    ]


@pytest.mark.parametrize("how", ["header", "parameter"])
def test_an_operator_chooses_a_tenant(world: World, how: str) -> None:
    answer = call(
        "GET",
        "/api/devices",
        OPERATOR,
        headers={"X-Tenant": "globex"} if how == "header" else {},
        query={"tenant": "globex"} if how == "parameter" else {},
    )
    assert {tenant for tenant, _ in names(answer)} == {"globex"}


def test_pages_hold_each_device_once(world: World) -> None:
    seen: list[tuple[str, str]] = []
    cursor: str | None = None
    for _ in range(10):
        query = {"limit": "3"} | ({} if cursor is None else {"cursor": cursor})
        answer = call("GET", "/api/devices", OPERATOR, query=query)
        seen += names(answer)
        cursor = answer.json["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 10
    assert seen == sorted(set(seen))


def test_a_cursor_of_another_tenant_gives_nothing_of_it(world: World) -> None:
    cursor = call("GET", "/api/devices", world.acme.viewer, query={"limit": "2"}).json[
        "next_cursor"
    ]
    answer = call("GET", "/api/devices", world.globex.viewer, query={"cursor": cursor})
    assert {tenant for tenant, _ in names(answer)} == {"globex"}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"q": "LLER-3"}, ["chiller-3"]),
        ({"q": "%"}, []),
        ({"q": "_"}, []),
        ({"site": "depot"}, ["chiller-1", "chiller-3"]),
        ({"online": "true"}, ["chiller-0"]),
        ({"online": "false", "site": "plant"}, ["chiller-2", "chiller-4"]),
        ({"site": "nowhere"}, []),
    ],
)
def test_filters_narrow_the_list(world: World, query: dict[str, str], wanted: list[str]) -> None:
    answer = call("GET", "/api/devices", world.acme.admin, query=query)
    assert [name for _, name in names(answer)] == wanted


def test_points_come_in_the_templates_order_with_labels(world: World) -> None:
    path = f"/api/devices/{world.acme.device}/points"
    english = call("GET", path, world.acme.viewer).json["items"]
    assert english[0] == {
        "id": str(world.acme.points["temp_agua"]),
        "name": "temp_agua",
        "label": "Water temperature",
        "type": "num",
        "unit": "°C",
        "enum_values": None,
        "limits": None,
        "is_contracted": True,
    }
    assert [point["name"] for point in english] == list(world.acme.points)
    assert english[2]["label"] == "status"
    assert english[2]["enum_values"] == ["RUN", "STOP"]
    portuguese = call("GET", path, world.acme.viewer, headers={"Accept-Language": "pt"}).json
    assert [point["label"] for point in portuguese["items"]][:3] == [
        "Temperatura da água",
        "compressor_on",
        "Estado",
    ]


def test_a_device_without_points_has_an_empty_list(world: World) -> None:
    devices = call("GET", "/api/devices", world.acme.viewer).json["items"]
    answer = call("GET", f"/api/devices/{devices[1]['id']}/points", world.acme.viewer)
    assert answer.json == {"items": []}


@pytest.mark.parametrize("suffix", ["", "/points"])
def test_an_operator_opens_any_device_without_choosing(world: World, suffix: str) -> None:
    answer = call("GET", f"/api/devices/{world.globex.device}{suffix}", OPERATOR)
    assert answer.status == 200


@pytest.mark.parametrize("suffix", ["", "/points"])
def test_an_operator_in_a_tenants_sight_sees_only_that_tenant(world: World, suffix: str) -> None:
    answer = call(
        "GET",
        f"/api/devices/{world.globex.device}{suffix}",
        OPERATOR,
        headers={"X-Tenant": "acme"},
    )
    assert answer.status == 404
