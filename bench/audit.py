"""What the audit log and the quotas add to a call: the same handler with and without, in turns.

One container, one person; warm; in each round the calls alternate, so that whatever else the
machine does falls on all alike. A read is ``GET /api/devices/{device_id}``; a write's entry is
measured by itself, because its commit waits for the disk.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

import psycopg

from bench.results import Figures
from bench.servers import embedded_postgres
from functions.api.app import app
from functions.api.services import services
from traksense.aws.cognito import Cognito
from traksense.db.audit import SqlAuditStore
from traksense.db.connection import Database
from traksense.db.migrate import migrate
from traksense.services.audit import AuditEntry, AuditLog
from traksense.services.quotas import Limits
from traksense.wiring.api import ApiServices, Outside, api

ROUNDS: Final = 5
CALLS: Final = 300
"""Of each kind in a round."""
_WARM_UP: Final = 50


class _NoLog(AuditLog):
    """Takes an entry and lets it go: what is left is the call without its log."""

    def __init__(self) -> None:
        pass

    def record(self, entry: AuditEntry) -> None:
        """Let it go."""


def run(figures: Figures) -> None:
    """Time the calls, and add their medians and the differences."""
    with embedded_postgres() as url:
        migrate(url)
        tenant, device = _one_device(url)
        with closing(Database(url)) as database:
            _measure(figures, database, _event(tenant, device), tenant)


def _measure(figures: Figures, database: Database, event: dict[str, Any], tenant: UUID) -> None:
    outside = Outside(**_unused())
    audited = api(database, outside)
    bare = replace(audited, audit=_NoLog())
    # With room for every call of the run: what is measured is the counting.
    counted = replace(api(database, outside, limits=Limits(10**7, 10**6)), audit=bare.audit)
    ways = {"bare": bare, "audited": audited, "counted": counted}
    store = SqlAuditStore(database)
    entry = AuditEntry(
        request_id="0" * 36, action="devices.update", status=200, user_id="0" * 36,
        email="ana@acme.example", role="customer_admin", tenant_id=tenant, filters={},
        duration_ms=5.0, ip="198.51.100.7", user_agent="a browser", is_write=True,
    )  # fmt: skip
    for of_way in ways.values():
        for _ in range(_WARM_UP):
            _call(of_way, event)
    for _ in range(ROUNDS):
        times: dict[str, list[float]] = {name: [] for name in (*ways, "write")}
        for _ in range(CALLS):
            for name, of_way in ways.items():
                times[name].append(_timed(lambda w=of_way: _call(w, event)))  # type: ignore[misc]
            times["write"].append(_timed(lambda: store.add(entry)))
        median = {name: statistics.median(each) for name, each in times.items()}
        figures.add("audit_call_without_ms", median["bare"], "ms")
        figures.add("audit_call_with_ms", median["audited"], "ms")
        figures.add("audit_added_ms", median["audited"] - median["bare"], "ms")
        figures.add("audit_write_entry_ms", median["write"], "ms")
        figures.add("quota_added_ms", median["counted"] - median["bare"], "ms")
    services.use(None)


def _unused() -> dict[str, Any]:
    """Adapters that no call here asks."""
    cognito = Cognito("0" * 26, "sa-east-1")
    return dict.fromkeys(Outside.__dataclass_fields__, cognito)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _call(of_way: ApiServices, event: dict[str, Any]) -> None:
    services.use(of_way)
    answer = app(event, None)
    assert answer["statusCode"] == 200, answer["body"]


def _one_device(url: str) -> tuple[UUID, UUID]:
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO public.device_templates (code, version, name)"
            " VALUES ('chiller', 1, 'Chiller')"
        )
        connection.execute("UPDATE public.device_templates SET published_at = now()")
        row = connection.execute(
            "WITH tenant AS (INSERT INTO public.tenants (slug, name) VALUES ('acme', 'Acme')"
            " RETURNING id), site AS (INSERT INTO public.sites (tenant_id, slug, name)"
            " SELECT id, 'plant', 'Plant' FROM tenant RETURNING id, tenant_id)"
            " INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
            " SELECT site.tenant_id, site.id, t.id, 'chiller-1'"
            " FROM site, public.device_templates t"
            " RETURNING tenant_id, id"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def _event(tenant: UUID, device: UUID) -> dict[str, Any]:
    claims = {"sub": "0" * 36, "email": "ana@acme.example", "cognito:groups": "viewer",
              "custom:tenant_id": str(tenant)}  # fmt: skip
    resource = "/api/devices/{device_id}"
    event = {
        "resource": resource,
        "path": f"/api/devices/{device}",
        "httpMethod": "GET",
        "headers": {"Accept": "application/json", "User-Agent": "a browser"},
        "multiValueQueryStringParameters": None,
        "pathParameters": {"device_id": str(device)},
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
    loaded: dict[str, Any] = json.loads(json.dumps(event))
    return loaded
