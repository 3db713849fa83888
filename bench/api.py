"""How long warm calls of the API take in the handler, and how often each asks the database.

The real app over a real database with a thousand tenants and twenty thousand devices, one
container, the calls of a round alternating so that whatever else the machine does falls on all
alike. Round trips are counted in libpq's own trace of the protocol, with the audit log set aside:
what a read asks beyond the beginning and the end of its transaction.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.pq import Trace

from bench.audit import _NoLog, _unused
from bench.results import Figures
from bench.servers import embedded_postgres
from functions.api.app import app
from functions.api.services import services
from traksense.db.connection import Database
from traksense.db.migrate import migrate
from traksense.wiring.api import ApiServices, Outside, api

TENANTS: Final = 1_000
DEVICES: Final = 20
"""Of each tenant."""
POINTS: Final = 3
ROUNDS: Final = 5
CALLS: Final = 100
"""Of each kind in a round."""
_WARM_UP: Final = 20

_SEED: Final = (
    "INSERT INTO public.tenants (slug, name)"
    " SELECT 'tenant-' || n, 'Tenant ' || n FROM generate_series(1, %(tenants)s) AS n",
    "INSERT INTO public.sites (tenant_id, slug, name) SELECT id, 'plant', 'Plant' FROM"
    " public.tenants",
    "INSERT INTO public.device_templates (code, version, name) VALUES ('chiller', 1, 'Chiller')",
    "UPDATE public.device_templates SET published_at = now()",
    "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
    " SELECT s.tenant_id, s.id, t.id, 'chiller-' || n"
    " FROM public.sites AS s, public.device_templates AS t, generate_series(1, %(devices)s) AS n",
    "INSERT INTO public.points (tenant_id, device_id, position, name, type, unit)"
    " SELECT tenant_id, id, n, 'point_' || n, 'num', '°C'"
    " FROM public.devices, generate_series(0, %(points)s - 1) AS n",
    "ANALYZE",
)

Call = tuple[str, str, str, dict[str, str]]
"""Role, route, path and query."""


def run(figures: Figures) -> None:
    """Fill a database, time the calls and count their round trips."""
    with embedded_postgres() as url:
        migrate(url)
        tenant, device = _fill(url)
        with closing(Database(url)) as database:
            _measure(figures, database, tenant, device)


def _calls(device: UUID) -> dict[str, Call]:
    one = {"device": str(device)}
    return {
        "devices_list": ("viewer", "/api/devices", "/api/devices", {}),
        "devices_list_of_all": ("internal_ops", "/api/devices", "/api/devices", {}),
        "device": ("viewer", "/api/devices/{device_id}", f"/api/devices/{device}", {}),
        "points_list": (
            "viewer", "/api/devices/{device_id}/points", f"/api/devices/{device}/points", {},
        ),
        "sites_list": ("viewer", "/api/sites", "/api/sites", {}),
        "tenants_list": ("internal_ops", "/api/tenants", "/api/tenants", {}),
        "tenant": ("internal_ops", "/api/tenants/{slug}", "/api/tenants/tenant-500", {}),
        "templates_list": ("viewer", "/api/templates", "/api/templates", {}),
        "latest": ("viewer", "/api/data/latest", "/api/data/latest", one),
    }  # fmt: skip


def _measure(figures: Figures, database: Database, tenant: UUID, device: UUID) -> None:
    served = api(database, Outside(**_unused()))
    events = {name: _event(tenant, *call) for name, call in _calls(device).items()}
    try:
        services.use(served)
        for _ in range(_WARM_UP):
            for event in events.values():
                _timed(event)
        for _ in range(ROUNDS):
            times: dict[str, list[float]] = {name: [] for name in events}
            for _ in range(CALLS):
                for name, event in events.items():
                    times[name].append(_timed(event))
            for name, each in times.items():
                figures.add(f"api_{name}_p50_ms", statistics.median(each), "ms")
                figures.add(f"api_{name}_p95_ms", statistics.quantiles(each, n=20)[-1], "ms")
            every = [ms for each in times.values() for ms in each]
            figures.add("api_warm_p95_ms", statistics.quantiles(every, n=20)[-1], "ms")
        _count(figures, database, served, events)
    finally:
        services.use(None)


def _count(
    figures: Figures, database: Database, served: ApiServices, events: dict[str, dict[str, Any]]
) -> None:
    services.use(replace(served, audit=_NoLog()))
    beyond = {}
    with tempfile.TemporaryFile("w+") as trace:
        connection = database._connection().pgconn
        connection.trace(trace.fileno())
        connection.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        for name, event in events.items():
            begun = trace.seek(0, 2)
            _timed(event)
            connection.untrace()  # writes what is buffered
            trace.seek(begun)
            beyond[name] = _round_trips(trace.read()) - 2
            connection.trace(trace.fileno())
            connection.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        connection.untrace()
    for name, count in beyond.items():
        figures.add(f"api_{name}_round_trips", count, "beyond own")
    figures.add("api_round_trips", max(beyond.values()), "beyond own")


def _round_trips(trace: str) -> int:
    """How often the client spoke and then waited: lines begin with F or B, for whose they are."""
    speakers = [line[0] for line in trace.splitlines() if line[:2] in ("F\t", "B\t")]
    turns = zip(["B", *speakers], speakers, strict=False)
    return sum(before == "B" and now == "F" for before, now in turns)


def _timed(event: dict[str, Any]) -> float:
    started = time.perf_counter()
    answer = app(event, None)
    elapsed_ms = (time.perf_counter() - started) * 1000
    assert answer["statusCode"] == 200, answer["body"]
    return elapsed_ms


def _fill(url: str) -> tuple[UUID, UUID]:
    sizes = {"tenants": TENANTS, "devices": DEVICES, "points": POINTS}
    with psycopg.connect(url) as connection:
        for statement in _SEED:
            connection.execute(statement, sizes if "%(" in statement else None)
        row = connection.execute(
            "SELECT tenant_id, id FROM public.devices WHERE tenant_id ="
            " (SELECT id FROM public.tenants WHERE slug = 'tenant-500') AND name = 'chiller-7'"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def _event(
    tenant: UUID, role: str, resource: str, path: str, query: dict[str, str]
) -> dict[str, Any]:
    claims = {"sub": "0" * 36, "email": "ana@acme.example", "cognito:groups": role}
    if role != "internal_ops":
        claims["custom:tenant_id"] = str(tenant)
    names = {
        step[1:-1]: value
        for step, value in zip(resource.split("/"), path.split("/"), strict=True)
        if step.startswith("{")
    }
    return {
        "resource": resource,
        "path": path,
        "httpMethod": "GET",
        "headers": {"Accept": "application/json", "User-Agent": "a browser"},
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} or None,
        "pathParameters": names or None,
        "stageVariables": None,
        "requestContext": {
            "httpMethod": "GET",
            "resourcePath": resource,
            "requestId": "0" * 36,
            "identity": {"sourceIp": "198.51.100.7"},
            "authorizer": {"claims": claims},
        },
        "body": None,
        "isBase64Encoded": False,
    }
