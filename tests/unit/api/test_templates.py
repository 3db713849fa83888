"""Templates: drafts, versions, publication, and who sees them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.api_routes.fresh import fresh
from tests.support.api_routes.templates import said

from .support import OPERATOR, Answer, Person, World, call

ACME = {"X-Tenant": "acme"}
URL = "/api/templates"


def make(code: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
    return call("POST", URL, OPERATOR, body=said(code=code, **more), headers=headers)


def next_version(code: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
    return call("POST", f"{URL}/{code}/versions", OPERATOR, body=said(**more), headers=headers)


def read(person: Person, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    return call("GET", f"{URL}/{path}", person, headers=headers)


def test_a_template_is_read_as_it_was_written(world: World) -> None:
    code = fresh("whole")
    points = [
        {"name": "temp", "type": "num", "unit": "°C", "labels": {"en": "Temperature"},
         "limits": {"low": 2.0, "high": 8.0}, "hysteresis": 0.5},
        {"name": "door", "type": "bool", "polarity": "inverted"},
        {"name": "mode", "type": "enum", "enum_values": ["OFF", "COOL"]},
        {"name": "note", "type": "text"},
    ]  # fmt: skip
    dashboard = {
        "panels": [
            {"type": "kpi", "points": [{"point_template": "temp"}], "stat": "max", "decimals": 1},
            {"type": "button", "op": "reset_fault", "params": {"pulse_ms": 500, "deep": True},
             "confirm": {"pt-BR": "Agora?", "en": "Now?"}},
        ]
    }  # fmt: skip
    body = {
        "code": code, "name": "Câmara", "vendor": "Initech", "adapter": "senml",
        "offline_after_s": 900, "keep_raw": True, "max_messages_per_minute": 6,
        "points": points, "dashboard": dashboard,
    }  # fmt: skip
    made = call("POST", URL, OPERATOR, body=body)
    assert (made.status, made.headers["Location"]) == (201, f"{URL}/{code}/1")
    shown = read(world.acme.viewer, f"{code}/1")
    assert shown.json == made.json
    everything = shown.json
    assert {name: everything[name] for name in body if name not in ("points", "dashboard")} == {
        name: value for name, value in body.items() if name not in ("points", "dashboard")
    }
    for was, becomes in zip(points, everything["points"], strict=True):
        assert {name: becomes[name] for name in was} == was
        assert all(becomes[name] in (None, {}) for name in becomes.keys() - was.keys())
    kpi, button = everything["dashboard"]["panels"]
    assert (kpi["stat"], kpi["range"], kpi["decimals"]) == ("max", "24h", 1)
    assert button["params"] | {"pulse_ms": 500} == {"pulse_ms": 500, "deep": True}
    assert everything["published_at"] is not None
    assert (everything["version"], everything["tenant"], everything["superseded_by"]) == (
        1, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("language", "expected"),
    [("en", "Units are case-sensitive"), ("pt-BR", "Unidades distinguem")],
)
def test_all_faults_come_at_once_in_the_callers_language(
    world: World, language: str, expected: str
) -> None:
    points = [
        {"name": "temp", "type": "num", "unit": "°c", "limits": {"low": 8, "high": 2}},
        {"name": "temp", "type": "enum"},
    ]
    body = {"code": fresh("faulty"), "name": "Faulty", "points": points, "adapter": "nobody"}
    answer = call("POST", URL, OPERATOR, body=body, headers={"Accept-Language": language})
    assert answer.status == 422
    errors = {error["loc"]: error["msg"] for error in answer.json["errors"]}
    assert set(errors) == {
        "body.adapter", "body.points.0.unit", "body.points.0.limits", "body.points.1.enum_values",
        "body.points.1.name",
    }  # fmt: skip
    assert errors["body.points.0.unit"].startswith(expected)


@pytest.mark.parametrize(
    ("dashboard", "where"),
    [
        ({"panels": []}, "body.dashboard.panels"),
        ({"panels": [{"type": "gauge"}]}, "body.dashboard.panels.0"),
        ({"panels": [{"type": "kpi", "points": [], "surprise": 1}]}, "body.dashboard.panels.0.kpi"),
        ({"panels": [{"type": "button", "op": "x", "params": {"pulse_ms": 0}}]},
         "body.dashboard.panels.0.button.params.pulse_ms"),
        ({"panels": [{"type": "kpi", "points": [{"point_template": "gone"}]}]},
         "body.dashboard.panels.0.points.0.point_template"),
    ],
)  # fmt: skip
def test_a_dashboard_is_held_to_its_schema_and_to_the_points(
    world: World, dashboard: Any, where: str
) -> None:
    answer = make(fresh("board"), dashboard=dashboard)
    assert answer.status == 422
    assert all(error["loc"].startswith(where) for error in answer.json["errors"]), answer.text


def test_a_published_version_is_never_changed(world: World) -> None:
    code = fresh("fixed")
    assert make(code).status == 201
    before = read(OPERATOR, f"{code}/1").text
    for method, path, body in (
        ("PUT", f"{URL}/{code}/1", said(name="Other")),
        ("DELETE", f"{URL}/{code}/1", None),
        ("POST", f"{URL}/{code}/1/publish", None),
    ):
        answer = call(method, path, OPERATOR, body=body)
        assert (answer.status, answer.json["type"]) == (409, "urn:traksense:problem:conflict")
    assert read(OPERATOR, f"{code}/1").text == before


def test_a_draft_is_replaced_published_and_seen_by_customers_only_then(world: World) -> None:
    code = fresh("draft")
    assert make(code, publish=False).json["published_at"] is None
    viewer = world.acme.viewer
    assert read(viewer, f"{code}/1").status == read(viewer, code).status == 404
    assert code not in call("GET", URL, viewer, query={"q": code}).text
    assert code in call("GET", URL, OPERATOR, query={"q": code}).text
    replaced = call(
        "PUT", f"{URL}/{code}/1", OPERATOR,
        body=said(points=[{"name": "other", "type": "num"}]),
    )  # fmt: skip
    assert [point["name"] for point in replaced.json["points"]] == ["other"]
    published = call("POST", f"{URL}/{code}/1/publish", OPERATOR)
    assert published.status == 200
    assert read(viewer, f"{code}/1").json == published.json


def test_a_removed_draft_is_gone_and_its_code_free(world: World) -> None:
    code = fresh("gone")
    make(code, publish=False)
    assert call("DELETE", f"{URL}/{code}/1", OPERATOR).status == 204
    assert read(OPERATOR, f"{code}/1").status == read(OPERATOR, code).status == 404
    assert make(code).status == 201


def test_the_next_version_supersedes_the_one_before_once_it_is_published(world: World) -> None:
    code = fresh("next")
    make(code)
    assert next_version(code, publish=False).json["version"] == 2
    assert read(OPERATOR, f"{code}/1").json["superseded_by"] is None
    assert next_version(code).status == 409  # there is a draft
    call("POST", f"{URL}/{code}/2/publish", OPERATOR)
    assert read(world.acme.viewer, f"{code}/1").json["superseded_by"] == 2
    assert next_version(code).json["version"] == 3
    versions = read(world.acme.viewer, code).json["items"]
    assert [(each["version"], each["superseded_by"]) for each in versions] == [
        (3, None), (2, 3), (1, 2),
    ]  # fmt: skip
    listed = call("GET", URL, world.acme.viewer, query={"q": code}).json["items"]
    assert [(each["code"], each["version"], each["points"]) for each in listed] == [(code, 3, 2)]


def test_who_has_not_seen_the_newest_version_makes_none(world: World) -> None:
    code = fresh("based")
    make(code)
    assert next_version(code, based_on=1).status == 201
    late = next_version(code, based_on=1)
    assert (late.status, "newer" in late.json["detail"]) == (409, True)
    assert next_version(code, based_on=2).json["version"] == 3


def test_of_many_that_make_the_next_version_at_once_one_does(world: World) -> None:
    code = fresh("race")
    make(code)
    start = threading.Barrier(4)
    statuses: list[int] = []

    def race() -> None:
        start.wait()
        statuses.append(next_version(code, based_on=1).status)
        world.database.close()  # this thread's connection

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(statuses) == [201, 409, 409, 409]
    assert [each["version"] for each in read(OPERATOR, code).json["items"]] == [2, 1]


def test_versions_and_templates_come_page_by_page(world: World) -> None:
    code = fresh("paged")
    make(code)
    next_version(code)
    next_version(code)
    seen, cursor = [], None
    for _ in range(4):
        query = {"limit": "1"} | ({"cursor": cursor} if cursor else {})
        page = call("GET", f"{URL}/{code}", OPERATOR, query=query).json
        seen += [each["version"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [3, 2, 1]
    make(fresh("paged"))
    first = call("GET", URL, OPERATOR, query={"limit": "1", "q": "paged"}).json
    second = call(
        "GET", URL, OPERATOR, query={"limit": "1", "q": "paged", "cursor": first["next_cursor"]}
    ).json
    assert first["items"][0]["code"] < second["items"][0]["code"]


def test_a_tenants_own_template_is_its_own(world: World) -> None:
    code = fresh("own")
    assert make(code, ACME).json["tenant"] == "acme"
    assert read(world.acme.viewer, f"{code}/1").json["tenant"] == "acme"
    assert read(world.globex.viewer, f"{code}/1").status == 404
    assert code not in call("GET", URL, world.globex.viewer, query={"limit": "500"}).text
    assert make(code, {"X-Tenant": "globex"}).status == 201  # each its own
    assert make(code, ACME).status == 409
    assert make(code).status == 409  # in acme's sight the code would be two
    listed = call("GET", URL, OPERATOR, query={"q": code, "shared": "false"}).json["items"]
    assert [each["tenant"] for each in listed] == ["acme", "globex"]


def test_a_shared_template_is_not_changed_in_a_tenants_sight(world: World) -> None:
    code = fresh("shared")
    make(code)
    assert make(code, ACME).status == 409
    answer = next_version(code, ACME)
    assert (answer.status, "everybody" in answer.json["detail"]) == (409, True)
    assert call("DELETE", f"{URL}/{code}/1", OPERATOR, headers=ACME).status == 409


def test_filters_narrow_the_list(world: World) -> None:
    senml, plain = fresh("filter-senml"), fresh("filter-plain")
    make(senml, adapter="senml")
    make(plain)

    def codes(**query: str) -> set[str]:
        items = call("GET", URL, OPERATOR, query={"limit": "500", **query}).json["items"]
        return {each["code"] for each in items}

    assert codes(q="FILTER-") == {senml, plain}
    assert codes(q="filter-", adapter="senml") == {senml}
    assert codes(q="filter-", shared="false") == set()


def test_what_is_not_there_is_not_found(world: World) -> None:
    assert read(OPERATOR, "nothing/1").status == read(OPERATOR, "nothing").status == 404
    assert next_version("nothing").status == 404
    for method, body in (("PUT", said()), ("DELETE", None)):
        assert call(method, f"{URL}/nothing/1", OPERATOR, body=body).status == 404
    assert call("POST", f"{URL}/nothing/1/publish", OPERATOR).status == 404
    assert read(OPERATOR, "nothing/0").status == read(OPERATOR, "nothing/x").status == 404
