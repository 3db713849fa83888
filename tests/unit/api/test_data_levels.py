"""Rollups through the app: levels, degradation, thinning, filling, and months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .support import NOW, OPERATOR, Answer, Tenant, World, add_readings, call

MIDNIGHT = NOW.replace(hour=0, minute=0, second=0)
BEGIN = MIDNIGHT - timedelta(days=5)
STEP = timedelta(seconds=10)
COUNT = 6 * 60 * 6
"""Readings of globex's silent point: six hours from BEGIN, one in ten seconds."""


def rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ask(tenant: Tenant, **query: str | Sequence[str]) -> Answer:
    everything: dict[str, str | Sequence[str]] = {
        "device": str(tenant.device),
        "point": "silent",
        "from": rfc3339(BEGIN),
        "to": rfc3339(BEGIN + timedelta(hours=6)),
        **query,
    }
    return call("GET", "/api/data/points", tenant.viewer, query=everything)


def only(answer: Answer) -> Mapping[str, Any]:
    assert answer.status == 200, answer.text
    (series,) = answer.json["series"]
    assert isinstance(series, Mapping)
    return series


def value_at(n: int) -> float:
    return float(n % 36) + (100.0 if n == 1000 else 0.0)


@pytest.fixture(scope="module", autouse=True)
def _filled(world: World) -> None:
    """Readings that a test can compute; a state that changes every half an hour."""
    with world.connect() as connection:
        add_readings(
            connection,
            world.globex.points["silent"],
            [(BEGIN + n * STEP, value_at(n), 0) for n in range(COUNT)],
        )
        add_readings(
            connection,
            world.globex.points["status"],
            [(BEGIN + n * STEP, "RUN" if n // 180 % 2 else "STOP", 0) for n in range(COUNT)],
        )
        # A quiet neighbour: one reading every two hours.
        add_readings(
            connection,
            world.acme.points["silent"],
            [(BEGIN + n * timedelta(hours=2), float(n), 0) for n in range(3)],
        )


@pytest.mark.parametrize(("agg", "seconds"), [("1m", 60), ("5m", 300), ("1h", 3600)])
def test_a_rollup_is_what_its_readings_come_to(world: World, agg: str, seconds: int) -> None:
    series = only(ask(world.globex, agg=agg))
    assert series["agg"] == agg
    assert series["columns"] == ["ts", "avg", "min", "max", "count"]
    assert (series["degraded"], series["truncated"], series["next_from"]) == (False, False, None)
    per = seconds // 10
    assert len(series["rows"]) == COUNT // per
    for n, (ts, avg, low, high, count) in enumerate(series["rows"]):
        values = [value_at(i) for i in range(n * per, (n + 1) * per)]
        assert ts == rfc3339(BEGIN + timedelta(seconds=seconds * n))
        assert avg == pytest.approx(sum(values) / per, rel=1e-12)
        assert (low, high, count) == (min(values), max(values), per)


@pytest.mark.parametrize(
    ("most", "agg", "rows"),
    [("2160", "raw", COUNT), ("2159", "1m", 360), ("359", "5m", 72), ("71", "1h", 6)],
)
def test_auto_takes_the_finest_level_that_fits(
    world: World, most: str, agg: str, rows: int
) -> None:
    series = only(ask(world.globex, max_points=most))
    assert (series["agg"], len(series["rows"])) == (agg, rows)
    assert (series["degraded"], series["truncated"], series["reduction"]) == (False, False, None)


def test_auto_thins_the_coarsest_level_where_even_that_is_too_long(world: World) -> None:
    series = only(ask(world.globex, max_points="4"))
    assert (series["agg"], len(series["rows"])) == ("1h", 4)
    assert (series["truncated"], series["reduction"], series["next_from"]) == (True, "lttb", None)


def test_points_of_one_question_each_have_their_level(world: World) -> None:
    answer = ask(world.globex, point="silent,temp_agua,status", max_points="400")
    levels = {series["name"]: series["agg"] for series in answer.json["series"]}
    assert levels == {"silent": "1m", "temp_agua": "raw", "status": "raw"}


def test_long_readings_are_thinned_to_true_ones(world: World) -> None:
    series = only(ask(world.globex, agg="raw", max_points="100"))
    assert (series["agg"], len(series["rows"])) == ("raw", 100)
    assert (series["truncated"], series["reduction"], series["next_from"]) == (True, "lttb", None)
    whole = {rfc3339(BEGIN + n * STEP): value_at(n) for n in range(COUNT)}
    assert all(whole[ts] == value for ts, value, _ in series["rows"])
    assert series["rows"][0][0] == rfc3339(BEGIN)
    assert series["rows"][-1][0] == rfc3339(BEGIN + (COUNT - 1) * STEP)
    assert max(value for _, value, _ in series["rows"]) == value_at(1000)


@pytest.mark.parametrize("agg", ["raw", "1m"])
def test_every_row_can_be_read_page_by_page(world: World, agg: str) -> None:
    seen: list[str] = []
    start: str | None = rfc3339(BEGIN)
    while start is not None:
        series = only(ask(world.globex, agg=agg, thin="none", max_points="70", **{"from": start}))
        assert series["reduction"] is None
        assert series["truncated"] is (series["next_from"] is not None)
        seen += [row[0] for row in series["rows"]]
        start = series["next_from"]
    step, count = (STEP, COUNT) if agg == "raw" else (timedelta(minutes=1), 360)
    assert seen == [rfc3339(BEGIN + n * step) for n in range(count)]


def test_a_state_of_too_many_readings_is_reduced_to_its_changes(world: World) -> None:
    series = only(ask(world.globex, point="status", max_points="100"))
    assert (series["agg"], series["reduction"], series["truncated"]) == ("raw", "changes", False)
    assert series["rows"] == [
        [rfc3339(BEGIN + n * 180 * STEP), "RUN" if n % 2 else "STOP", 0] for n in range(12)
    ]


def test_even_changes_that_are_too_many_end_with_next_from(world: World) -> None:
    series = only(ask(world.globex, point="status", max_points="5"))
    assert (series["reduction"], series["truncated"]) == ("changes", True)
    assert series["next_from"] == rfc3339(BEGIN + 5 * 180 * STEP)
    rest = only(ask(world.globex, point="status", max_points="7", **{"from": series["next_from"]}))
    assert len(series["rows"] + rest["rows"]) == 12
    assert rest["truncated"] is False


def test_a_state_that_fits_has_all_its_readings(world: World) -> None:
    series = only(ask(world.globex, point="status", max_points="2160"))
    assert (len(series["rows"]), series["reduction"]) == (COUNT, None)


def test_a_state_asked_for_raw_ends_and_is_read_on(world: World) -> None:
    series = only(ask(world.globex, point="status", agg="raw", max_points="100"))
    assert (len(series["rows"]), series["reduction"], series["truncated"]) == (100, None, True)
    assert series["next_from"] == rfc3339(BEGIN + 100 * STEP)


@pytest.mark.parametrize("point", ["status", "compressor_on", "note"])
@pytest.mark.parametrize("agg", ["1m", "5m", "1h"])
@pytest.mark.parametrize(("language", "word"), [("en", "aggregated"), ("pt-BR", "agregados")])
def test_a_rollup_of_what_is_no_number_is_malformed(
    world: World, point: str, agg: str, language: str, word: str
) -> None:
    answer = call(
        "GET",
        "/api/data/points",
        world.globex.viewer,
        query={
            "device": "chiller-0", "point": ["silent", point], "from": rfc3339(BEGIN), "agg": agg,
        },
        headers={"Accept-Language": language, "Accept": "text/csv"},
    )  # fmt: skip
    assert answer.status == 400
    assert answer.is_problem
    assert answer.json["errors"][0]["loc"] == "query.agg"
    assert point in answer.json["detail"]
    assert word in answer.json["detail"]


@pytest.mark.parametrize(
    ("asked", "days", "agg"),
    [("raw", 16, "1m"), ("raw", 400, "5m"), ("1m", 400, "5m"), ("5m", 800, "1h")],
)
def test_a_level_that_does_not_reach_back_gives_way_and_says_so(
    world: World, asked: str, days: int, agg: str
) -> None:
    start = rfc3339(NOW - timedelta(days=days))
    series = only(ask(world.globex, agg=asked, **{"from": start}))
    assert (series["agg"], series["degraded"], series["available_from"]) == (agg, True, None)


def test_what_a_tenant_keeps_for_less_long_gives_way_sooner(world: World) -> None:
    with world.connect() as connection:
        connection.execute("UPDATE public.tenants SET raw_retention_days = 2 WHERE slug = 'acme'")
    try:
        series = only(ask(world.acme, agg="raw"))
        assert (series["agg"], series["degraded"], len(series["rows"])) == ("1m", True, 3)
        assert only(ask(world.globex, agg="raw"))["agg"] == "raw"
    finally:
        with world.connect() as connection:
            connection.execute("UPDATE public.tenants SET raw_retention_days = NULL")


def test_auto_is_degraded_only_where_a_finer_level_would_have_fitted(world: World) -> None:
    start = rfc3339(NOW - timedelta(days=16))
    few = only(ask(world.acme, **{"from": start}))
    assert (few["agg"], few["degraded"], len(few["rows"])) == ("1m", True, 3)
    many = only(ask(world.globex, **{"from": start}))
    assert (many["agg"], many["degraded"], len(many["rows"])) == ("1m", False, 360)


def test_where_no_level_reaches_back_the_answer_says_where_it_begins(world: World) -> None:
    answer = ask(world.globex, point="silent,status", **{"from": "2001-01-01T00:00:00Z"})
    numbers, state = answer.json["series"]
    hours = MIDNIGHT - timedelta(days=1825)
    assert (numbers["agg"], numbers["available_from"]) == ("1h", rfc3339(hours))
    assert state["agg"] == "raw"
    assert state["available_from"] == rfc3339(MIDNIGHT - timedelta(days=14))


def test_empty_buckets_are_filled_when_asked_for(world: World) -> None:
    series = only(ask(world.acme, agg="1h", fill="null"))
    assert series["rows"] == [
        [rfc3339(BEGIN + timedelta(hours=n)), *((n / 2,) * 3 + (1,) if n % 2 == 0 else
                                                (None, None, None, 0))]
        for n in range(6)
    ]  # fmt: skip
    assert only(ask(world.acme, agg="1h"))["rows"] == series["rows"][::2]


def test_a_filled_series_that_does_not_fit_keeps_what_holds_something(world: World) -> None:
    series = only(ask(world.acme, agg="1m", fill="null", max_points="359"))
    assert (len(series["rows"]), series["truncated"], series["reduction"]) == (3, True, None)


def test_auto_counts_empty_buckets_that_are_to_be_filled(world: World) -> None:
    assert only(ask(world.acme, max_points="100"))["agg"] == "raw"
    start = rfc3339(NOW - timedelta(days=16))
    query = {"from": start, "to": rfc3339(NOW), "max_points": "400"}
    assert only(ask(world.acme, **query))["agg"] == "1m"
    filled = only(ask(world.acme, fill="null", **query))
    assert (filled["agg"], len(filled["rows"])) == ("1h", 384)


def test_many_points_share_the_rows_of_one_answer(world: World) -> None:
    with world.connect() as connection:
        connection.execute(
            "INSERT INTO public.points (tenant_id, device_id, position, name, type)"
            " SELECT p.tenant_id, p.device_id, 100 + n, 'many_' || n, 'bool'"
            " FROM public.points p, generate_series(1, 9) n WHERE p.id = %s",
            (world.globex.points["silent"],),
        )
        connection.execute(
            "INSERT INTO public.m_raw (point_sk, ts, v_bool)"
            " SELECT d.point_sk, t, true FROM public.dim_point d"
            " JOIN public.points p ON p.id = d.point_id, "
            " generate_series(%s::timestamptz, %s, '1 second') t WHERE p.name = 'many_1'",
            (BEGIN, BEGIN + timedelta(seconds=10_000)),
        )
    points = [f"many_{n}" for n in range(1, 10)] + ["silent"]
    answer = ask(world.globex, point=points, agg="raw", max_points="50000")
    series = answer.json["series"][0]
    assert (len(series["rows"]), series["truncated"]) == (10_000, True)
    assert series["next_from"] == rfc3339(BEGIN + timedelta(seconds=10_000))


def months(tenant: Tenant, point: str, start: str, end: str) -> Answer:
    query = {"device": str(tenant.device), "point": point, "from": start, "to": end}
    return call("GET", "/api/data/consumption", tenant.viewer, query=query)


def test_months_are_those_of_the_tenants_time_zone(world: World) -> None:
    """America/Recife is three hours behind UTC: its month begins at 03:00Z."""
    first = (NOW - timedelta(days=3)).replace(day=1, hour=3, minute=0, second=0)
    with world.connect() as connection:
        connection.execute(
            "SELECT public.ensure_raw_partitions(%s::date, %s::date)",
            (first - timedelta(days=2), NOW),
        )
        connection.execute(
            "INSERT INTO public.points (tenant_id, device_id, position, name, type, unit)"
            " SELECT p.tenant_id, p.device_id, 200, 'energy', 'num', 'kWh'"
            " FROM public.points p WHERE p.id = %s",
            (world.globex.points["silent"],),
        )
        row = connection.execute("SELECT id FROM public.points WHERE name = 'energy'").fetchone()
        assert row is not None
        add_readings(
            connection,
            row[0],
            [(first - timedelta(minutes=1), 5.0, 0), (first, 1.0, 0),
             (first + timedelta(hours=30), 2.5, 0)],
        )  # fmt: skip
    answer = months(world.globex, "energy", rfc3339(first - timedelta(hours=1)), rfc3339(NOW))
    assert answer.status == 200, answer.text
    before = first - timedelta(days=2)
    assert answer.json == {
        "time_zone": "America/Recife",
        "from": rfc3339(first - timedelta(hours=1)),
        "to": rfc3339(NOW),
        "series": [
            {
                "device_id": str(world.globex.device),
                "point_id": str(row[0]),
                "name": "energy",
                "type": "num",
                "unit": "kWh",
                "columns": ["month", "sum", "mean", "count"],
                "rows": [[f"{before:%Y-%m}", 5.0, 5.0, 1], [f"{first:%Y-%m}", 3.5, 1.75, 2]],
            }
        ],
    }
    assert months(
        world.globex, "energy", rfc3339(first), rfc3339(first + timedelta(seconds=1))
    ).json["series"][0]["rows"] == [[f"{first:%Y-%m}", 3.5, 1.75, 2]]
    assert months(world.globex, "energy", rfc3339(first - timedelta(hours=1)), rfc3339(first)).json[
        "series"
    ][0]["rows"] == [[f"{before:%Y-%m}", 5.0, 5.0, 1]]


def test_months_of_one_tenant_are_not_anothers(world: World) -> None:
    """acme's silent point has three readings, globex' has thousands."""
    end = rfc3339(NOW)
    (series,) = months(world.acme, "silent", rfc3339(BEGIN), end).json["series"]
    assert sum(row[-1] for row in series["rows"]) == 3
    foreign = str(world.globex.points["silent"])
    assert months(world.acme, foreign, rfc3339(BEGIN), end).status == 404


@pytest.mark.parametrize(
    ("query", "status", "where"),
    [
        ({"point": "status"}, 400, "query.point"),
        ({"point": []}, 422, "query.point"),
        ({"point": [f"p{n}" for n in range(11)]}, 422, "query.point"),
        ({"from": []}, 422, "query.from"),
        ({"to": []}, 422, "query.to"),
        ({"to": "2001-01-01T00:00:00Z"}, 422, "query.from"),
        ({"agg": "1h"}, 422, "query.agg"),
        ({"point": "nothing"}, 404, None),
        ({"device": "chiller-9"}, 404, None),
    ],
)
def test_a_bad_question_for_months_is_named(
    world: World, query: dict[str, str | list[str]], status: int, where: str | None
) -> None:
    everything: dict[str, str | list[str]] = {
        "device": "chiller-0", "point": "silent", "from": rfc3339(BEGIN), "to": rfc3339(NOW),
    }  # fmt: skip
    answer = call("GET", "/api/data/consumption", world.acme.viewer, query={**everything, **query})
    assert answer.status == status, answer.text
    assert answer.is_problem
    assert where in [error["loc"] for error in answer.json.get("errors", [{"loc": None}])]


def test_an_operator_asks_for_months_by_the_devices_id_or_a_chosen_tenant(world: World) -> None:
    query = {"point": "silent", "from": rfc3339(BEGIN), "to": rfc3339(NOW)}
    path = "/api/data/consumption"
    by_id = call("GET", path, OPERATOR, query={**query, "device": str(world.acme.device)})
    named = {**query, "device": "chiller-0"}
    chosen = call("GET", path, OPERATOR, query=named, headers={"X-Tenant": "acme"})
    assert by_id.json == chosen.json
    assert call("GET", path, OPERATOR, query=named).status == 422
