"""What the API records of its calls, and how operators read it."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from functions.api.auditing import Audited
from functions.api.routing import REGISTRY
from functions.api.services import services
from traksense.aws.cognito import Tokens
from traksense.contracts.metrics import AUDIT_FAILURES, REQUESTS_REFUSED, Metric
from traksense.db.connection import Database
from traksense.observability import NoMetrics, metrics
from traksense.services.quotas import Limits
from traksense.wiring.api import api

from .support import NOBODY, OPERATOR, Answer, World, call, outside

AGENT = {"User-Agent": "a browser"}


@pytest.fixture(autouse=True)
def empty(world: World) -> None:
    with world.connect() as connection:
        connection.execute("TRUNCATE public.audit_log")


def recorded(world: World) -> list[dict[str, Any]]:
    """Every entry, oldest first."""
    with world.connect() as connection:
        rows = connection.execute(
            "SELECT to_jsonb(a) || jsonb_build_object('tenant', t.slug)"
            " FROM public.audit_log a LEFT JOIN public.tenants t ON t.id = a.tenant_id"
            " ORDER BY a.id"
        ).fetchall()
    return [row[0] for row in rows]


def one(world: World) -> dict[str, Any]:
    (entry,) = recorded(world)
    return entry


def test_a_list_is_recorded_with_who_what_and_how_many(world: World) -> None:
    call("GET", "/api/devices", world.acme.viewer, query={"q": "CHILLER"}, headers=AGENT)
    entry = one(world)
    assert (entry["action"], entry["status"], entry["record_count"]) == ("devices.list", 200, 5)
    assert (entry["user_id"], entry["email"], entry["role"]) == (
        "0a1b", "ana@acme.example", "viewer",
    )  # fmt: skip
    assert (entry["tenant"], entry["user_agent"]) == ("acme", "a browser")
    assert entry["filters"] == {"query": {"q": None}}, "a search is text that a person chose"
    assert 0 < entry["duration_ms"] < 60_000


def test_a_detail_is_recorded_with_its_object_and_a_foreign_one_as_refused(world: World) -> None:
    call("GET", f"/api/devices/{world.acme.device}", world.acme.viewer)
    call("GET", f"/api/devices/{world.globex.device}", world.acme.viewer)
    call("GET", "/api/devices/no-id", world.acme.viewer)
    assert [(e["object_id"], e["status"], e["tenant"]) for e in recorded(world)] == [
        (str(world.acme.device), 200, "acme"),
        (str(world.globex.device), 404, "acme"),
        (None, 404, "acme"),
    ]


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_the_rows_of_series_are_counted_in_json_and_in_csv(world: World, accept: str) -> None:
    query = {"device": str(world.acme.device), "point": "temp_agua", "agg": "raw",
             "from": "2025-10-07T00:00:00Z"}  # fmt: skip
    answer = call(
        "GET", "/api/data/points", world.acme.viewer, query=query, headers={"Accept": accept}
    )
    assert answer.status == 200
    entry = one(world)
    shown = (
        answer.text.count("\r\n") - 1
        if accept == "text/csv"
        else len(answer.json["series"][0]["rows"])
    )
    assert entry["record_count"] == shown > 10
    assert entry["filters"]["query"] == {
        "device": str(world.acme.device), "agg": "raw", "point": None, "from": None,
    }  # fmt: skip


def test_refusals_are_recorded_with_their_status(world: World) -> None:
    call("GET", "/api/dlq", world.acme.viewer)
    call("GET", "/api/devices", world.acme.admin, headers={"X-Tenant": "globex"})
    call("GET", "/api/devices", world.acme.viewer, query={"limit": "0", "hunter2": "x"})
    call("GET", "/api/devices", OPERATOR, headers={"X-Tenant": "nobody"})
    found = recorded(world)
    assert [(e["action"], e["status"], e["tenant"]) for e in found] == [
        ("dead_letters.list", 403, "acme"),
        ("devices.list", 403, "acme"),
        ("devices.list", 422, "acme"),
        ("devices.list", 404, None),
    ]
    assert found[2]["filters"] == {"query": {"limit": None}, "unknown": 1}
    assert "hunter2" not in json.dumps(found)


def test_an_operator_is_recorded_in_the_sight_that_she_chose(world: World) -> None:
    call("GET", "/api/devices", OPERATOR, query={"tenant": "globex"})
    call("GET", "/api/devices", OPERATOR)
    assert [(e["role"], e["tenant"]) for e in recorded(world)] == [
        ("internal_ops", "globex"), ("internal_ops", None),
    ]  # fmt: skip


def test_who_has_no_token_and_what_says_nothing_leave_no_entry(world: World) -> None:
    call("GET", "/api/devices", NOBODY)
    call("GET", "/health", NOBODY)
    call("GET", "/api/me", world.acme.viewer)
    assert recorded(world) == []


def test_a_login_is_recorded_without_its_password(world: World) -> None:
    good = {"email": "ana@acme.example", "password": "correct horse"}
    assert call("POST", "/api/auth/login", body=good).status == 200
    bad = {"email": "Eve@acme.example", "password": "battery staple"}
    assert call("POST", "/api/auth/login", body=bad).status == 401
    swapped = {"email": "battery staple", "password": "ana@acme.example"}
    assert call("POST", "/api/auth/login", body=swapped).status == 401
    found = recorded(world)
    assert [(e["action"], e["status"], e["email"]) for e in found] == [
        ("sessions.login", 200, "ana@acme.example"),
        ("sessions.login", 401, "eve@acme.example"),
        ("sessions.login", 401, None),
    ]
    assert found[0]["filters"] == {"body": ["email", "password"]}
    for secret in ("correct horse", "battery staple", "token"):
        assert secret not in json.dumps(found)


class KnownLogin:
    """A user pool whose tokens say who they are for."""

    def __init__(self, tenant_id: str) -> None:
        claims = {"sub": "u-1", "email": "ana@acme.example", "cognito:groups": ["viewer"],
                  "custom:tenant_id": tenant_id, "token_use": "id"}  # fmt: skip
        payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        self.token = f"e30.{payload}.c2ln"

    def login(self, email: str, password: str) -> Tokens:
        return Tokens(self.token, "an access token", "a.refresh.token", 3600)

    def refresh(self, refresh_token: str) -> Tokens:
        return Tokens(self.token, "an access token", None, 3600)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/auth/login", {"email": "ana@acme.example", "password": "x"}),
        ("/api/auth/refresh", {"refresh_token": "a.refresh.token"}),
    ],
)
def test_whom_a_token_was_given_to_is_known_from_the_token(
    world: World, path: str, body: dict[str, str]
) -> None:
    before = services.get()
    services.use(replace(before, login=KnownLogin(str(world.acme.id))))  # type: ignore[arg-type]
    assert call("POST", path, body=body).status == 200
    services.use(before)
    entry = one(world)
    assert (entry["user_id"], entry["role"], entry["tenant"]) == ("u-1", "viewer", "acme")


def test_whatever_a_caller_calls_herself_is_bounded_and_clean(world: World) -> None:
    call("GET", "/api/devices", OPERATOR, headers={"User-Agent": "a\x00\ud800\n" + "b" * 9_000})
    agent = one(world)["user_agent"]
    assert agent == "a???" + "b" * 252


class Counted(NoMetrics):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []

    def count(self, metric: Metric, n: float, label: str | None = None) -> None:
        self.seen.append((metric.name, label))


@pytest.fixture
def counted() -> Iterator[Counted]:
    sink = Counted()
    metrics.use(sink)
    yield sink
    metrics.use(NoMetrics())


def test_an_entry_that_cannot_be_added_is_logged_whole_and_counted_and_the_call_goes_on(
    world: World, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    before = services.get()
    with closing(Database("postgresql://nobody@127.0.0.1:1/none")) as away:
        services.use(replace(before, audit=api(away, outside(world.login)).audit))
        answer = call("GET", "/api/devices", world.acme.viewer, query={"site": "plant"})
        services.use(before)
    assert (answer.status, len(answer.json["items"])) == (200, 3)
    (record,) = [record for record in caplog.records if hasattr(record, "audit")]
    assert record.levelname == "ERROR"
    kept = vars(record)["audit"]
    assert (kept["action"], kept["status"], kept["tenant_id"]) == (
        "devices.list", 200, str(world.acme.id),
    )  # fmt: skip
    assert (kept["email"], kept["record_count"]) == ("ana@acme.example", 3)
    of_audit = [seen for seen in counted.seen if not seen[0].startswith("Cache")]
    assert of_audit == [(AUDIT_FAILURES.name, None)]


def test_every_route_that_writes_is_audited() -> None:
    careless = [
        key for key, spec in REGISTRY.items()
        if spec.method != "GET" and not isinstance(spec.audit, Audited)
    ]  # fmt: skip
    assert careless == []


def listed(**query: str) -> Answer:
    return call("GET", "/api/audit", OPERATOR, query=query)


def test_operators_read_the_log_by_its_filters(world: World) -> None:
    call("GET", "/api/devices", world.acme.viewer, headers=AGENT)
    call("GET", "/api/devices", world.globex.viewer)
    call("GET", f"/api/devices/{world.acme.device}", world.acme.viewer)

    def actions(**query: str) -> list[str]:
        answer = listed(**query)
        assert answer.status == 200, answer.text
        return [item["action"] for item in answer.json["items"] if item["action"] != "audit.list"]

    assert actions() == ["devices.read", "devices.list", "devices.list"]
    assert actions(action="devices.read") == ["devices.read"]
    assert actions(tenant="globex") == ["devices.list"]
    assert actions(user="ana@acme.example", tenant="acme") == ["devices.read", "devices.list"]
    assert actions(user="0a1b", action="devices.list") == ["devices.list"] * 2
    assert actions(ip="192.0.2.1") == []
    assert actions(q="BROWSER") == ["devices.list"]
    assert actions(q=str(world.acme.device)[:13]) == ["devices.read"]
    assert actions(to="2025-10-07T00:00:00Z") == []
    first = listed(limit="2")
    assert [item["action"] for item in first.json["items"]][1:] == ["audit.list"]
    following = listed(limit="2", cursor=first.json["next_cursor"])
    ids = [item["id"] for answer in (first, following) for item in answer.json["items"]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    "query",
    [{"ip": "nowhere"}, {"action": "x"}, {"q": "a"}, {"user": ""}, {"from": "yesterday"}],
)
def test_a_filter_of_no_use_is_refused(world: World, query: dict[str, str]) -> None:
    assert listed(**query).status == 422


def test_the_log_comes_as_csv_that_no_spreadsheet_takes_for_formulas(world: World) -> None:
    call("GET", "/api/devices", world.acme.viewer, headers={"User-Agent": '=cmd|"/c calc"!A1'})
    answer = call(
        "GET", "/api/audit", OPERATOR, query={"limit": "1"}, headers={"Accept": "text/csv"}
    )
    assert answer.headers["Content-Type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert row["user_agent"] == '\'=cmd|"/c calc"!A1'
    assert row["action"] == "devices.list"
    assert recorded(world)[-1]["record_count"] == 1


def test_a_spent_quota_is_a_problem_that_is_recorded_once(world: World, counted: Counted) -> None:
    before = services.get()
    with closing(Database(world.url)) as database:
        services.use(api(database, outside(world.login), limits=Limits(user=3, address=2)))
        viewer = world.acme.viewer
        answers = [call("GET", "/api/devices", viewer) for _ in range(6)]
        others = [call("GET", "/api/devices", world.globex.viewer), call("GET", "/health")]
        logins = [call("POST", "/api/auth/login", body={}).status for _ in range(4)]
        services.use(before)
    assert [answer.status for answer in answers] == [200] * 3 + [429] * 3
    refused = answers[-1]
    assert refused.json["type"] == "urn:traksense:problem:too-many-requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert [answer.status for answer in others] == [200, 200]
    assert logins == [422, 422, 429, 429]
    by_action = [(e["action"], e["status"]) for e in recorded(world) if e["status"] == 429]
    assert by_action == [("devices.list", 429), ("sessions.login", 429)]
    assert counted.seen.count((REQUESTS_REFUSED.name, "user")) == 3
    assert counted.seen.count((REQUESTS_REFUSED.name, "address")) == 2
