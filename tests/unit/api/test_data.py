"""Readings through the app: what was stored is what comes back, to the last digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .support import NOW, OPERATOR, Answer, Person, Tenant, World, add_readings, call


def rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ask(
    tenant: Tenant,
    person: Person | None = None,
    start: datetime = NOW - timedelta(days=14),
    **query: str | Sequence[str],
) -> Answer:
    everything: dict[str, str | Sequence[str]] = {
        "device": str(tenant.device),
        "point": "temp_agua",
        "from": rfc3339(start),
        **query,
    }
    return call("GET", "/api/data/points", person or tenant.viewer, query=everything)


def only(answer: Answer) -> Mapping[str, Any]:
    assert answer.status == 200, answer.text
    (series,) = answer.json["series"]
    assert isinstance(series, Mapping)
    return series


def test_a_series_has_the_promised_shape(world: World) -> None:
    answer = ask(world.acme, start=NOW - timedelta(minutes=2), to=rfc3339(NOW))
    assert answer.json == {
        "requested_agg": "auto",
        "from": rfc3339(NOW - timedelta(minutes=2)),
        "to": rfc3339(NOW),
        "series": [
            {
                "device_id": str(world.acme.device),
                "point_id": str(world.acme.points["temp_agua"]),
                "name": "temp_agua",
                "type": "num",
                "unit": "°C",
                "agg": "raw",
                "degraded": False,
                "reduction": None,
                "truncated": False,
                "next_from": None,
                "available_from": None,
                "columns": ["ts", "value", "qual"],
                "rows": [
                    [rfc3339(NOW - timedelta(minutes=2)), 20.2, 0],
                    [rfc3339(NOW - timedelta(minutes=1)), 20.1, 0],
                ],
            }
        ],
    }


def test_values_keep_their_type_and_their_last_digit(world: World) -> None:
    with world.connect() as connection:
        for n, value in enumerate([23.5, 0.1, 1 / 3, -0.0, 1e-300, 123456789.123456789]):
            add_readings(
                connection,
                world.acme.points["silent"],
                [(NOW - timedelta(days=13, microseconds=n + 1), value, 0)],
            )
    try:
        rows = only(ask(world.acme, point="silent"))["rows"]
        assert [row[1] for row in reversed(rows)] == [
            23.5, 0.1, 1 / 3, 0.0, 1e-300, 123456789.123456789,
        ]  # fmt: skip
        assert rows[0][0] == rfc3339(NOW - timedelta(days=13, microseconds=6))
    finally:
        with world.connect() as connection:
            connection.execute(
                "DELETE FROM public.m_raw r USING public.dim_point d WHERE"
                " d.point_sk = r.point_sk AND d.point_id = %s",
                (world.acme.points["silent"],),
            )


def test_each_type_of_point_gives_its_own_type_of_value(world: World) -> None:
    answer = ask(world.acme, point="compressor_on,status,note")
    values = [[row[1:] for row in series["rows"]] for series in answer.json["series"]]
    assert values == [[[True, 0], [False, 0], [True, 0]], [["RUN", 1]], [["ação", 0]]]


def test_series_come_in_the_order_asked_and_each_once(world: World) -> None:
    by_id = str(world.acme.points["status"])
    answer = ask(world.acme, point=["note,status", by_id, "silent", "note"])
    assert [series["name"] for series in answer.json["series"]] == ["note", "status", "silent"]
    assert answer.json["series"][2]["rows"] == []


def test_from_is_inclusive_and_to_exclusive(world: World) -> None:
    rows = only(
        ask(
            world.acme,
            start=NOW - timedelta(minutes=5),
            to=rfc3339(NOW - timedelta(minutes=3)),
        )
    )["rows"]
    assert [row[0] for row in rows] == [rfc3339(NOW - timedelta(minutes=n)) for n in (5, 4)]


def test_what_does_not_fit_is_said_and_read_on_from_next_from(world: World) -> None:
    seen: list[str] = []
    start = NOW - timedelta(days=1)
    pages = 0
    for pages in range(10):  # noqa: B007 - counted below
        series = only(ask(world.acme, start=start, agg="raw", thin="none", max_points="30"))
        seen += [row[0] for row in series["rows"]]
        if not series["truncated"]:
            assert series["next_from"] is None
            break
        assert len(series["rows"]) == 30
        start = datetime.fromisoformat(series["next_from"])
    assert pages == 3
    assert seen == [rfc3339(NOW - timedelta(minutes=n)) for n in range(99, -1, -1)]


def test_a_series_that_just_fits_is_not_truncated(world: World) -> None:
    series = only(ask(world.acme, max_points="100"))
    assert len(series["rows"]) == 100
    assert series["truncated"] is False


def test_long_texts_end_a_series_before_the_answer_grows_too_large(world: World) -> None:
    long = "x" * 4000
    with world.connect() as connection:
        add_readings(
            connection,
            world.globex.points["note"],
            [(NOW - timedelta(hours=1, seconds=n), long, 0) for n in range(2000)],
        )
    answer = ask(world.globex, point="note", max_points="50000")
    series = only(answer)
    assert series["truncated"] is True
    assert len(answer.text) < 6_000_000
    assert 1000 < len(series["rows"]) < 2000
    rest = only(
        ask(
            world.globex,
            point="note",
            start=datetime.fromisoformat(series["next_from"]),
            max_points="50000",
        )
    )
    assert len(series["rows"]) + len(rest["rows"]) == 2001


def test_fill_changes_nothing_of_raw_readings(world: World) -> None:
    assert only(ask(world.acme, agg="raw", fill="null")) == only(
        ask(world.acme, agg="raw", fill="none")
    )


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"point": []}, "query.point"),
        ({"point": [""]}, "query.point.0"),
        ({"point": ",".join(f"p{n}" for n in range(11))}, "query.point"),
        ({"max_points": "0"}, "query.max_points"),
        ({"max_points": "50001"}, "query.max_points"),
        ({"max_points": "9" * 400}, "query.max_points"),
        ({"max_points": "1e3"}, "query.max_points"),
        ({"from": "1696640052"}, "query.from"),
        ({"from": "2025-10-07"}, "query.from"),
        ({"from": "2025-10-07T00:00:00"}, "query.from"),
        ({"from": "2025-02-30T00:00:00Z"}, "query.from"),
        ({"from": "2025-10-07T00:00:00 03:00"}, "query.from"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "query.from"),
        ({"from": "9999-12-31T23:59:59-14:00"}, "query.from"),
        ({"to": "2020-01-01T00:00:00Z"}, "query.from"),
        ({"agg": "2m"}, "query.agg"),
        ({"thin": "lots"}, "query.thin"),
        ({"fill": "zero"}, "query.fill"),
        ({"device": "no such device!"}, "query.device"),
        ({"device": ["a", "b"]}, "query.device"),
        ({"point": "temp\x00agua"}, "query.point.0"),
        ({"point": "temp\ud800agua"}, "query.point.0"),
        ({"wat": "1"}, "query.wat"),
    ],
)
def test_a_bad_parameter_is_named(
    world: World, query: dict[str, str | list[str]], where: str
) -> None:
    answer = ask(world.acme, None, **query)  # type: ignore[arg-type] # one of them is start
    assert answer.status == 422, answer.text
    assert answer.is_problem
    assert where in [error["loc"] for error in answer.json["errors"]]


def test_no_point_is_an_error(world: World) -> None:
    answer = call(
        "GET",
        "/api/data/points",
        world.acme.viewer,
        query={"device": "chiller-0", "from": rfc3339(NOW)},
    )
    assert answer.status == 422
    assert [error["loc"] for error in answer.json["errors"]] == ["query.point"]


def test_a_point_that_the_device_has_not_is_not_found(world: World) -> None:
    answer = ask(world.acme, point="temp_agua,nothing")
    assert answer.status == 404
    assert "nothing" in answer.json["detail"]


def test_another_tenants_point_is_not_found_on_ones_own_device(world: World) -> None:
    answer = ask(world.acme, point=str(world.globex.points["temp_agua"]))
    assert answer.status == 404


@pytest.mark.parametrize("path", ["/api/data/points", "/api/data/latest"])
@pytest.mark.parametrize("by", ["id", "name"])
def test_a_device_is_found_by_id_or_by_name(world: World, path: str, by: str) -> None:
    query = {"device": str(world.acme.device) if by == "id" else "chiller-0"}
    if path.endswith("points"):
        query |= {"point": "temp_agua", "from": rfc3339(NOW - timedelta(days=1))}
    assert call("GET", path, world.acme.viewer, query=query).status == 200
    chosen = call("GET", path, OPERATOR, query=query, headers={"X-Tenant": "acme"})
    assert chosen.status == 200
    unchosen = call("GET", path, OPERATOR, query=query)
    assert unchosen.status == (200 if by == "id" else 422)


def test_the_newest_reading_of_each_point(world: World) -> None:
    answer = call(
        "GET", "/api/data/latest", world.acme.viewer, query={"device": str(world.acme.device)}
    )
    assert answer.json["items"][0] == {
        "point_id": str(world.acme.points["temp_agua"]),
        "name": "temp_agua",
        "type": "num",
        "unit": "°C",
        "ts": rfc3339(NOW),
        "value": 20.0,
        "qual": 0,
    }
    assert [(item["name"], item["ts"], item["value"]) for item in answer.json["items"]] == [
        ("temp_agua", rfc3339(NOW), 20.0),
        ("compressor_on", rfc3339(NOW), True),
        ("status", rfc3339(NOW - timedelta(days=3)), "RUN"),
        ("note", rfc3339(NOW - timedelta(days=12)), "ação"),
        ("silent", None, None),
    ]


def test_a_reading_from_ahead_of_the_devices_clock_is_the_newest(world: World) -> None:
    ahead = NOW + timedelta(minutes=14)
    with world.connect() as connection:
        add_readings(connection, world.globex.points["silent"], [(ahead, 1.5, 0)])
    answer = call("GET", "/api/data/latest", world.globex.viewer, query={"device": "chiller-0"})
    assert answer.json["items"][-1]["ts"] == rfc3339(ahead)


def test_an_unknown_device_is_not_found(world: World) -> None:
    answer = call("GET", "/api/data/latest", world.acme.viewer, query={"device": "chiller-9"})
    assert answer.status == 404
