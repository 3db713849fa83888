"""Exports through the real app: asked for once, followed, cancelled, downloaded by who may."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.api.services import services
from tests.support.export_jobs import (
    FakeExportFiles,
    FakeExportRuns,
    add_chunk,
    add_export,
    add_link,
)
from traksense.auth.identity import Identity, Role
from traksense.db.connection import Database
from traksense.db.exports import SqlExportStore
from traksense.domain.exports import MOST_RUNNING
from traksense.services.exports import Exports, Order, TooManyExports
from traksense.services.scope import Scope
from traksense.wiring.api import api

from .support import NOW, OPERATOR, Answer, Person, World, call, outside

RANGE = {"from": "2025-01-01T00:00:00Z", "to": "2025-02-01T00:00:00Z"}
BODY = {**RANGE, "agg": "raw", "format": "csv"}


@dataclass
class Around:
    runs: FakeExportRuns
    files: FakeExportFiles


@pytest.fixture
def around(world: World) -> Iterator[Around]:
    made = Around(FakeExportRuns(), FakeExportFiles())
    before = services.made
    services.use(
        api(
            world.database,
            replace(outside(world.login), export_runs=made.runs, export_files=made.files),
        )
    )
    with world.connect() as connection:
        connection.execute("DELETE FROM public.exports")
        connection.execute("DELETE FROM public.audit_log")
    yield made
    services.use(before)


def ask(world: World, person: Person | None = None, key: str | None = None, **more: Any) -> Answer:
    headers = {} if key is None else {"Idempotency-Key": key}
    return call(
        "POST", "/api/exports", person or world.acme.viewer, body={**BODY, **more}, headers=headers
    )


def count(world: World) -> int:
    with world.connect() as connection:
        row = connection.execute("SELECT count(*) FROM public.exports").fetchone()
    assert row is not None
    return int(row[0])


def made(world: World, **columns: Any) -> Any:
    with world.connect() as connection:
        return add_export(connection, world.acme, **columns)


def test_an_export_is_stored_and_started_with_what_was_asked_for(
    world: World, around: Around
) -> None:
    points = ["temp_agua", str(world.acme.points["note"])]
    answer = ask(world, device="chiller-0", points=points, format="csv.gz", for_spreadsheet=True)
    assert answer.status == 202, answer.text
    job = answer.json
    assert answer.headers["Location"] == f"/api/exports/{job['id']}"
    assert (job["status"], job["progress"], job["record_count"]) == ("PENDING", 0, None)
    assert (job["device"], job["device_id"]) == ("chiller-0", str(world.acme.device))
    assert job["points"] == ["temp_agua", "note"]
    assert job["point_ids"] == [str(world.acme.points[name]) for name in ("temp_agua", "note")]
    assert (job["from"], job["to"]) == (RANGE["from"], RANGE["to"])
    assert (job["agg"], job["format"], job["for_spreadsheet"]) == ("raw", "csv.gz", True)
    assert (job["tenant"], job["time_zone"]) == ("acme", "America/Recife")
    assert (job["requested_by"], job["locale"]) == ("ana@acme.example", "pt-BR")
    (run,) = around.runs.started
    assert (str(run.tenant_id), str(run.export_id), run.attempt) == (
        str(world.acme.id), job["id"], 1,
    )  # fmt: skip


def test_an_end_in_the_future_is_the_present(world: World, around: Around) -> None:
    end = f"{NOW + timedelta(days=3):%Y-%m-%dT%H:%M:%SZ}"
    job = ask(world, to=end).json
    assert datetime.fromisoformat(job["to"]) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("more", "status", "where"),
    [
        ({"from": RANGE["to"], "to": RANGE["from"]}, 422, "body.from"),
        ({"from": "2190-01-01T00:00:00Z", "to": "2191-01-01T00:00:00Z"}, 422, "body.from"),
        ({"format": "parquet", "for_spreadsheet": True}, 422, "body.for_spreadsheet"),
        ({"points": ["temp_agua"]}, 422, "body.points"),
        ({"device": "chiller-0", "points": ["status"], "agg": "1m"}, 400, "body.points.0"),
        ({"agg": "1d"}, 422, "body.agg"),
        ({"points": []}, 422, "body.points"),
    ],
)
def test_what_cannot_be_exported_is_refused_where_it_is_wrong(
    world: World, around: Around, more: dict[str, Any], status: int, where: str
) -> None:
    answer = ask(world, **more)
    assert (answer.status, answer.json["errors"][0]["loc"]) == (status, where)
    assert (count(world), around.runs.started) == (0, [])


def test_anothers_device_or_point_is_not_there(world: World, around: Around) -> None:
    assert ask(world, device=str(world.globex.device)).status == 404
    assert ask(world, points=[str(world.globex.points["temp_agua"])]).status == 404
    assert ask(world, device="chiller-0", points=["nothing"]).status == 404
    assert count(world) == 0


def test_an_operator_names_a_tenant_or_a_device(world: World, around: Around) -> None:
    assert ask(world, OPERATOR).status == 422
    assert ask(world, OPERATOR, device=str(world.globex.device)).json["tenant"] == "globex"
    chosen = call("POST", "/api/exports", OPERATOR, body=BODY, headers={"X-Tenant": "acme"})
    assert chosen.json["tenant"] == "acme"
    both = call("GET", "/api/exports", OPERATOR).json["items"]
    assert [job["tenant"] for job in both] == ["acme", "globex"]
    seen = call("GET", "/api/exports", world.globex.viewer).json["items"]
    assert [job["tenant"] for job in seen] == ["globex"]


def test_the_same_key_is_the_same_export_and_another_request_is_refused(
    world: World, around: Around
) -> None:
    first, again = ask(world, key="k"), ask(world, key="k")
    assert first.json["id"] == again.json["id"]
    assert len(set(around.runs.started)) == count(world) == 1
    for other in (ask(world, key="k", agg="1h"), ask(world, OPERATOR, key="k")):
        assert other.status == 422
    of_another_tenant = ask(world, world.globex.viewer, key="k")
    assert of_another_tenant.json["id"] != first.json["id"]
    assert ask(world, key="ü").json["errors"][0]["loc"] == "header.Idempotency-Key"


def test_an_export_that_could_not_be_started_waits(world: World, around: Around) -> None:
    around.runs.is_away = True
    answer = ask(world, key="k")
    assert (answer.status, answer.json["status"]) == (202, "PENDING")
    around.runs.is_away = False
    assert ask(world, key="k").json["id"] == answer.json["id"]
    assert len(around.runs.started) == 1


def test_a_tenant_has_no_more_running_than_may(world: World, around: Around) -> None:
    jobs = [ask(world).json["id"] for _ in range(MOST_RUNNING)]
    refused = ask(world)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
    assert refused.json["type"].endswith(":too-many-exports")
    assert "3 exports" in refused.json["detail"]
    assert ask(world, world.globex.viewer).status == 202
    call("POST", f"/api/exports/{jobs[0]}/cancel", world.acme.viewer)
    assert ask(world).status == 202


def test_of_many_who_ask_at_once_no_more_get_one_than_may(world: World, around: Around) -> None:
    caller = Identity("0a1b", "ana@acme.example", Role.VIEWER, world.acme.id)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    order = Order(None, None, start, start + timedelta(days=1), "raw", "csv")

    def one(_: int) -> bool:
        with closing(Database(world.url)) as database:
            exports = Exports(
                SqlExportStore(database), FakeExportRuns(), FakeExportFiles(), lambda _: None
            )
            try:
                exports.create(Scope.of(world.acme.id), caller, order)
            except TooManyExports:
                return False
            return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(one, range(6))) == MOST_RUNNING
    assert count(world) == MOST_RUNNING


def test_progress_is_what_its_parts_have_written(world: World, around: Around) -> None:
    export_id = made(world, status="PROCESSING", planned_rows=200)
    with world.connect() as connection:
        add_chunk(connection, world.acme, export_id, 1, 10)
        add_chunk(connection, world.acme, export_id, 0, 40)
    job = call("GET", f"/api/exports/{export_id}", world.acme.viewer).json
    assert (job["progress"], job["record_count"], job["planned_rows"]) == (0.25, 50, 200)
    assert [(part["number"], part["rows"], part["bytes"]) for part in job["parts"]] == [
        (0, 40, None), (1, 10, None),
    ]  # fmt: skip
    (listed,) = call("GET", "/api/exports", world.acme.viewer).json["items"]
    assert (listed["progress"], listed["record_count"]) == (0.25, 50)


def test_a_list_is_filtered_by_what_is_shown_and_goes_on_where_it_ended(
    world: World, around: Around
) -> None:
    over = datetime.now(UTC) - timedelta(minutes=1)
    expired = made(world, expires_at=over)
    ids = [str(made(world)) for _ in range(3)]
    made(world, status="FAILED")
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        query = {"status": "COMPLETED", "limit": "1", **({"cursor": cursor} if cursor else {})}
        page = call("GET", "/api/exports", world.acme.viewer, query=query).json
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (ids[::-1], None)
    (gone,) = call("GET", "/api/exports", world.acme.viewer, query={"status": "EXPIRED"}).json[
        "items"
    ]
    assert (gone["id"], gone["status"], gone["progress"]) == (str(expired), "EXPIRED", 1)
    bad = call("GET", "/api/exports", world.acme.viewer, query={"cursor": "nonsense"})
    assert bad.status == 400


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"status": "PENDING"}, "pending"),
        ({"status": "PROCESSING"}, "pending"),
        ({}, "pending"),
        ({"status": "FAILED"}, "pending"),
        ({"notified_at": NOW}, "sent"),
        ({"status": "FAILED", "mail_refused_at": NOW}, "refused"),
        ({"mail_refused_at": NOW}, "refused"),
        ({"finished_at": NOW - timedelta(hours=2)}, "unsent"),
        ({"status": "EXPIRED"}, "unsent"),
        ({"status": "EXPIRED", "notified_at": NOW}, "sent"),
        ({"status": "CANCELLED"}, None),
    ],
)
def test_what_came_of_the_e_mail_is_told(
    world: World, around: Around, columns: dict[str, Any], wanted: str | None
) -> None:
    export_id = made(world, **columns)
    one = call("GET", f"/api/exports/{export_id}", world.acme.viewer).json
    (listed,) = call("GET", "/api/exports", world.acme.viewer).json["items"]
    assert (one["notification"], listed["notification"]) == (wanted, wanted)


def test_a_failure_is_told_in_the_callers_language(world: World, around: Around) -> None:
    path = f"/api/exports/{made(world, status='FAILED', error='too_large')}"
    for language, words in (("en", "more rows"), ("pt", "mais linhas")):
        error = call("GET", path, world.acme.viewer, headers={"Accept-Language": language}).json[
            "error"
        ]
        assert error["code"] == "too_large"
        assert words in error["message"]


def test_a_running_export_is_cancelled_once_and_for_good(world: World, around: Around) -> None:
    path = f"/api/exports/{made(world, status='PROCESSING')}/cancel"
    for _ in range(2):
        answer = call("POST", path, world.acme.viewer)
        assert (answer.status, answer.json["status"]) == (200, "CANCELLED")
        assert answer.json["finished_at"] is not None
    ended = call("POST", f"/api/exports/{made(world)}/cancel", world.acme.viewer)
    assert ended.status == 409


def test_a_file_is_opened_under_its_name_for_some_minutes(world: World, around: Around) -> None:
    path = f"/api/exports/{made(world)}/download"
    answer = call("GET", path, world.acme.viewer)
    assert answer.status == 200
    assert answer.json["url"].startswith(f"https://files.example/{world.acme.id}/of-acme.csv")
    assert answer.json["file_name"] == "of-acme.csv"
    for accept in ("text/html,*/*;q=0.8", "*/*"):
        led = call("GET", path, world.acme.viewer, headers={"Accept": accept})
        assert (led.status, led.headers["Location"], led.text) == (302, answer.json["url"], "")
    _, name, media_type, opens_for = around.files.asked[0]
    assert (name, media_type) == ("of-acme.csv", "text/csv; charset=utf-8")
    assert opens_for == timedelta(minutes=5)


def test_an_address_never_outlives_its_file(world: World, around: Around) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)
    path = f"/api/exports/{made(world, expires_at=soon)}/download"
    assert call("GET", path, world.acme.viewer).status == 200
    assert timedelta(seconds=60) < around.files.asked[0][3] <= timedelta(seconds=90)


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        ({"status": "PENDING"}, 409),
        ({"status": "PROCESSING"}, 409),
        ({"status": "FAILED"}, 409),
        ({"status": "CANCELLED"}, 409),
        ({"status": "EXPIRED"}, 410),
        ({"expires_at": datetime(2025, 1, 1, tzinfo=UTC)}, 410),
    ],
)
def test_without_a_file_there_is_nothing_to_download(
    world: World, around: Around, columns: dict[str, Any], status: int
) -> None:
    path = f"/api/exports/{made(world, **columns)}/download"
    assert call("GET", path, world.acme.viewer).status == status
    assert around.files.asked == []


def test_a_file_that_is_not_there_makes_its_export_expired(world: World, around: Around) -> None:
    export_id = made(world)
    around.files.gone.add(f"{world.acme.id}/of-acme.csv")
    assert call("GET", f"/api/exports/{export_id}/download", world.acme.viewer).status == 410
    job = call("GET", f"/api/exports/{export_id}", world.acme.viewer).json
    assert job["status"] == "EXPIRED"


def link(world: World, export_id: Any) -> str:
    token = secrets.token_urlsafe(32)
    with world.connect() as connection:
        add_link(connection, world.acme, export_id, token)
    return f"/d/{token}"


def opened(path: str, language: str | None = "en", **query: str) -> Answer:
    headers = {"Accept": "text/html", "Accept-Language": language or ""}
    return call("GET", path, headers=headers, query=query)


def test_a_mailed_link_leads_to_the_file_without_a_session(world: World, around: Around) -> None:
    export_id = made(world)
    path = link(world, export_id)
    answer = opened(path, utm_source="mail")
    assert (answer.status, answer.text) == (302, "")
    assert answer.headers["Location"].startswith(f"https://files.example/{world.acme.id}/")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "columns",
    [{"status": "EXPIRED"}, {"status": "CANCELLED"}, {"status": "FAILED"},
     {"expires_at": datetime(2025, 1, 1, tzinfo=UTC)}],
)  # fmt: skip
def test_a_link_whose_file_is_gone_says_so_in_the_readers_language(
    world: World, around: Around, columns: dict[str, Any]
) -> None:
    path = link(world, made(world, locale="en", **columns))
    for language, words in (("en", "no longer valid"), ("pt-BR", "não vale mais"),
                            (None, "no longer valid")):  # fmt: skip
        answer = opened(path, language)
        assert answer.status == 410
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert words in answer.text
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("token", ["x" * 43, "z", "x" * 44, "ä" * 43, "%00"])
def test_a_link_that_was_never_mailed_leads_nowhere(
    world: World, around: Around, token: str
) -> None:
    answer = opened(f"/d/{token}")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "leads nowhere" in answer.text


def test_a_link_stays_good_while_the_storage_is_away(world: World, around: Around) -> None:
    path = link(world, made(world))
    around.files.is_away = True
    answer = opened(path)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "stays good" in answer.text
    assert "10.0.0.9" not in answer.text
    around.files.is_away = False
    assert opened(path).status == 302


def test_who_asks_and_who_opens_is_in_the_audit_log_and_no_token_is(
    world: World, around: Around
) -> None:
    export_id = made(world)
    path = link(world, export_id)
    over = link(world, made(world, status="EXPIRED"))
    ask(world)
    call("GET", f"/api/exports/{export_id}/download", world.acme.viewer)
    opened(path)
    opened(over)
    with world.connect() as connection:
        rows = connection.execute(
            "SELECT action, status, tenant_id, user_id, object_id FROM public.audit_log ORDER BY id"
        ).fetchall()
        everything = connection.execute(
            "SELECT string_agg(l::text, ' ') FROM public.audit_log l"
        ).fetchone()
    acme = world.acme.id
    assert [row[:4] for row in rows] == [
        ("exports.create", 202, acme, "0a1b"),
        ("exports.download", 200, acme, "0a1b"),
        ("exports.open_link", 302, acme, None),
        ("exports.open_link", 410, acme, None),
    ]
    assert rows[1][4] == rows[2][4] == str(export_id)
    assert everything is not None
    for secret in (path, over):
        assert secret.removeprefix("/d/") not in everything[0]
