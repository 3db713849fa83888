"""The forms of an answer: CSV, gzip, and what a caller has already."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.api.app import app
from functions.api.representation import matches, preferred, takes_gzip

from .support import NOW, Tenant, World, add_readings, event


def rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ask(tenant: Tenant, headers: dict[str, str] | None = None, **query: str) -> dict[str, Any]:
    everything = {
        "device": "chiller-0",
        "point": "temp_agua",
        "from": rfc3339(NOW - timedelta(days=13)),
        "to": rfc3339(NOW + timedelta(minutes=1)),
        **query,
    }
    answer = app(
        event("GET", "/api/data/points", tenant.viewer, everything, headers or {}, None), None
    )
    assert isinstance(answer, dict)
    return answer


def table(answer: dict[str, Any]) -> list[dict[str, str]]:
    assert answer["statusCode"] == 200, answer["body"]
    assert answer["headers"]["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer["body"], newline="")))


CSV = {"Accept": "text/csv"}


def test_csv_has_the_same_rows_as_json(world: World) -> None:
    rows = json.loads(ask(world.acme)["body"])["series"][0]["rows"]
    lines = table(ask(world.acme, CSV))
    assert [list(line) for line in lines[:1]] == [["point", "unit", "agg", "ts", "value", "qual"]]
    assert [[line["ts"], float(line["value"]), int(line["qual"])] for line in lines] == rows
    assert {(line["point"], line["unit"], line["agg"]) for line in lines} == {
        ("temp_agua", "°C", "raw")
    }


def test_csv_ends_its_lines_and_quotes_its_texts_as_the_rfc_says(world: World) -> None:
    text = 'ação, "à noite"\r\nna linha'
    with world.connect() as connection:
        add_readings(connection, world.globex.points["note"], [(NOW - timedelta(days=1), text, 0)])
    answer = ask(world.globex, CSV, point="note")
    assert answer["body"].startswith("point,unit,agg,ts,value,qual\r\n")
    assert answer["body"].endswith("\r\n")
    assert [line["value"] for line in table(answer)] == ["ação", text]


def test_csv_of_several_levels_is_one_table(world: World) -> None:
    lines = table(ask(world.acme, CSV, point="temp_agua,compressor_on", max_points="50"))
    assert list(lines[0]) == [
        "point", "unit", "agg", "ts", "value", "qual", "avg", "min", "max", "count",
    ]  # fmt: skip
    numbers = [line for line in lines if line["point"] == "temp_agua"]
    states = [line for line in lines if line["point"] == "compressor_on"]
    assert {line["agg"] for line in numbers} == {"5m"}
    assert {line["value"] for line in numbers} == {""}
    assert {line["value"] for line in states} == {"true", "false"}
    assert {line["avg"] for line in states} == {""}


def test_a_csv_that_is_not_whole_says_so_in_its_headers(world: World) -> None:
    point = str(world.acme.points["temp_agua"])
    whole = ask(world.acme, CSV)["headers"]
    assert not {"X-Truncated", "X-Reduced", "X-Degraded", "X-Available-From"} & set(whole)
    cut = ask(world.acme, CSV, agg="raw", thin="none", max_points="10")["headers"]
    assert cut["X-Truncated"] == f"{point};next_from={rfc3339(NOW - timedelta(minutes=89))}"
    thin = ask(world.acme, CSV, agg="raw", max_points="10")["headers"]
    assert (thin["X-Truncated"], thin["X-Reduced"]) == (point, f"{point};by=lttb")
    old = {"from": rfc3339(NOW - timedelta(days=20))}
    assert ask(world.acme, CSV, **old)["headers"]["X-Degraded"] == point
    state = ask(world.acme, CSV, point="status", **old)["headers"]["X-Available-From"]
    assert state.startswith(f"{world.acme.points['status']};available_from=")


def test_an_empty_csv_has_its_header_line(world: World) -> None:
    assert ask(world.acme, CSV, point="silent")["body"] == "point,unit,agg,ts,value,qual\r\n"


@pytest.mark.parametrize("form", ["application/json", "text/csv"])
def test_an_unchanged_answer_is_not_sent_again(world: World, form: str) -> None:
    first = ask(world.acme, {"Accept": form})
    tag = first["headers"]["ETag"]
    for given in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = ask(world.acme, {"Accept": form, "If-None-Match": given})
        assert (again["statusCode"], again["body"]) == (304, "")
        assert again["headers"]["ETag"] == tag
        assert again["headers"]["Cache-Control"] == "private, no-cache"
        assert "Content-Type" not in again["headers"]
    assert ask(world.acme, {"Accept": form, "If-None-Match": '"other"'})["statusCode"] == 200


def test_another_reading_another_form_and_another_tenant_have_other_tags(world: World) -> None:
    tags = [
        ask(tenant, {"Accept": form}, point="temp_agua,silent")["headers"]["ETag"]
        for tenant in (world.acme, world.globex)
        for form in ("application/json", "text/csv")
    ]
    with world.connect() as connection:
        add_readings(connection, world.acme.points["silent"], [(NOW - timedelta(days=2), 1.0, 0)])
    tags.append(ask(world.acme, point="temp_agua,silent")["headers"]["ETag"])
    # CSV has no ids: two tenants whose devices are alike to the last value may share a tag.
    assert len({tags[0], tags[1], tags[2], tags[4]}) == 4


def test_what_the_answer_depends_on_is_said(world: World) -> None:
    for answer in (ask(world.acme), ask(world.acme, {"If-None-Match": "*"})):
        assert set(answer["headers"]["Vary"].split(", ")) == {
            "Accept", "Accept-Encoding", "Authorization", "Accept-Language", "X-Tenant",
        }  # fmt: skip
        assert answer["headers"]["Cache-Control"].startswith("private")


def test_gzip_comes_to_whoever_takes_it_in_the_form_that_api_gateway_wants(world: World) -> None:
    plain = ask(world.acme)
    packed = ask(world.acme, {"Accept-Encoding": "br, gzip;q=0.8"})
    assert packed["isBase64Encoded"] is True
    assert packed["headers"]["Content-Encoding"] == "gzip"
    assert packed["headers"]["Content-Type"] == "application/json"
    assert packed["headers"]["ETag"] == plain["headers"]["ETag"]
    assert gzip.decompress(base64.b64decode(packed["body"])).decode() == plain["body"]
    assert len(base64.b64decode(packed["body"])) < len(plain["body"]) / 3
    assert "Content-Encoding" not in plain["headers"]
    assert not plain.get("isBase64Encoded")


def test_a_short_answer_is_not_worth_packing(world: World) -> None:
    answer = ask(world.acme, {"Accept-Encoding": "gzip"}, point="status")
    assert "Content-Encoding" not in answer["headers"]


def test_an_error_is_a_problem_whatever_was_accepted(world: World) -> None:
    answer = ask(world.acme, {**CSV, "Accept-Encoding": "gzip"}, agg="2m")
    assert answer["statusCode"] == 422
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert "ETag" not in answer["headers"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("TEXT/CSV", "text/csv"),
        ("text/csv, */*", "text/csv"),
        ("text/csv, */*;q=0.1", "text/csv"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("text/csv;header=present;q=0.9, application/json;q=0.8", "text/csv"),
        ("text/csv;q=0, */*", "application/json"),
        ("application/json, text/csv", "application/json"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("image/png", "application/json"),
        ("\x00;;,,q=", "application/json"),
        ("text/csv" + " " * 2000, "text/csv"),
    ],
)
def test_the_media_type_is_negotiated(accept: str | None, chosen: str) -> None:
    assert preferred(accept, ("application/json", "text/csv")) == chosen


@pytest.mark.parametrize(
    ("header", "takes"),
    [(None, False), ("", False), ("gzip", True), ("GZIP", True), ("br", False), ("*", True),
     ("gzip;q=0", False), ("gzip;q=0, *", False), ("*;q=0", False), ("identity", False),
     ("deflate, gzip;q=0.001", True), ("gzip;q=9", True)],
)  # fmt: skip
def test_the_coding_is_negotiated(header: str | None, takes: bool) -> None:
    assert takes_gzip(header) is takes


@pytest.mark.parametrize(
    ("header", "match"),
    [(None, False), ('W/"a"', True), ('"a"', True), ("*", True), ('"b", W/"a"', True),
     ('"b"', False), ("a", False), ("", False)],
)  # fmt: skip
def test_tags_are_compared_weakly(header: str | None, match: bool) -> None:
    assert matches('W/"a"', header) is match
