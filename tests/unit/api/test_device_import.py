"""Devices out of CSV files: all or nothing, with every error by its line."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api_routes.fresh import fresh

from .support import OPERATOR, Answer, World, call

ACME = {"X-Tenant": "acme", "Content-Type": "text/csv"}


def send(content: str, *, dry_run: bool = False) -> Answer:
    query = {"dry_run": "true"} if dry_run else {}
    return call("POST", "/api/devices/import", OPERATOR, query=query, headers=ACME, body=content)


def count(world: World) -> int:
    with world.connect() as connection:
        row = connection.execute("SELECT count(*) FROM public.devices").fetchone()
    assert row is not None
    return int(row[0])


def faults(answer: Answer) -> list[str]:
    return [error["loc"] for error in answer.json["errors"]]


def device(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = call("GET", f"/api/devices/{item['id']}", OPERATOR).json
    return found


@pytest.mark.parametrize("divider", [",", ";"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_is_read_as_spreadsheets_write_it(
    world: World, divider: str, mark: str, end: str
) -> None:
    name = fresh("row")
    rows = [
        ["template", "metadata.room", "name", "site"],
        ["chiller", '"Sala ""A"""', name, "plant"],
    ]
    answer = send(mark + end.join(divider.join(row) for row in rows) + end)
    assert answer.status == 200, answer.text
    (item,) = answer.json["items"]
    assert (item["line"], item["name"], item["template"]) == (
        2, name, {"code": "chiller", "version": 2},
    )  # fmt: skip
    assert device(item)["metadata"] == {"room": 'Sala "A"'}


def test_a_gateway_may_stand_after_its_devices(world: World) -> None:
    gateway, child, other = fresh("gw"), fresh("row"), fresh("row")
    answer = send(
        "name,site,template,mac,gateway,gateway_code\n"
        f"{child},plant,chiller,,{gateway},D01\n\n"
        f"{other},plant,chiller,,{gateway},D02\n"
        f"{gateway},depot,chiller,AA-BB-CC-02-00-01,,\n"
    )
    assert answer.status == 200, answer.text
    items = {item["name"]: item for item in answer.json["items"]}
    assert [item["line"] for item in answer.json["items"]] == [2, 4, 5]
    assert device(items[child])["gateway"] == {"id": items[gateway]["id"], "code": "D01"}
    assert device(items[gateway])["mac"] == "aa:bb:cc:02:00:01"


def test_a_dry_run_says_the_same_and_makes_nothing(world: World) -> None:
    content = f"name,site,template\n{fresh('row')},plant,chiller\n{fresh('row')},depot,chiller\n"
    before = count(world)
    dry = send(content, dry_run=True).json
    assert count(world) == before
    wet = send(content).json
    assert count(world) == before + 2
    assert (dry["dry_run"], wet["dry_run"]) == (True, False)
    assert [{**item, "id": None} for item in wet["items"]] == dry["items"]


def test_one_bad_line_keeps_the_whole_file_out_and_every_error_is_listed(world: World) -> None:
    before, good = count(world), fresh("row")
    answer = send(
        "name,site,template,version,mac,gateway,gateway_code,points\n"
        f"{good},plant,chiller,,,,,\n"
        "bad name,plant,chiller,,,,,\n"
        f"{fresh('row')},nowhere,chiller,,aa:bb,,,\n"
        f"{fresh('row')},nowhere,nothing,,,,,\n"
        f"{good},plant,chiller,,,,,\n"
        "chiller-0,plant,chiller,,,,,\n"
        f"{fresh('row')},plant,chiller,x,,,,\n"
        f"{fresh('row')},plant,chiller,,,nobody,D01,nothing\n"
        "short,plant\n"
        ",plant,chiller,,,,,\n"
    )
    assert answer.status == 422
    assert faults(answer) == [
        "body.2.name", "body.3.name", "body.4.mac", "body.5.site", "body.5.template", "body.6.name",
        "body.7.name", "body.8.version", "body.9.gateway", "body.9.points", "body.10",
        "body.11.name",
    ]  # fmt: skip
    assert answer.json["detail"].startswith("12 values are not valid")
    assert count(world) == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "name,site,template\n",
        "name,site\na,b\n",
        "name,site,template,colour\na,plant,chiller,red\n",
        "name,site,template,name\na,plant,chiller,a\n",
        'name,site,template\n"a,plant,chiller\n',
        "name,site,template,metadata.\na,plant,chiller,x\n",
    ],
)
def test_what_is_no_list_of_devices_is_422_as_a_whole(world: World, content: str) -> None:
    answer = send(content)
    assert (answer.status, faults(answer)) == (422, ["body"])


def test_more_rows_than_a_file_may_have_are_refused(world: World) -> None:
    rows = "".join(f"d{n},plant,chiller\n" for n in range(10_001))
    answer = send("name,site,template\n" + rows)
    assert (answer.status, faults(answer)) == (422, ["body"])


def test_only_so_many_errors_are_listed_and_all_are_counted(world: World) -> None:
    rows = "".join(f"d{n},nowhere,chiller\n" for n in range(500))
    answer = send("name,site,template\n" + rows)
    assert len(faults(answer)) == 200
    assert answer.json["detail"].startswith("500 values")


def test_another_tenants_site_is_not_there(world: World) -> None:
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.sites (tenant_id, slug, name) VALUES (%s, 'theirs', 'x')",
            (world.globex.id,),
        )
    answer = send(f"name,site,template\n{fresh('row')},theirs,chiller\n")
    assert (answer.status, faults(answer)) == (422, ["body.2.site"])
