"""Readings."""

from __future__ import annotations

from datetime import timedelta

from tests.support.api_routes.entry import Entry, Request
from tests.unit.api.support import NOW, Tenant, World


def _range(days: int) -> dict[str, str]:
    return {
        "from": f"{NOW - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}",
        "to": f"{NOW + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
    }


def _points(world: World, tenant: Tenant) -> Request:
    points = [str(tenant.points[name]) for name in ("temp_agua", "note", "status")]
    return Request(query={"device": str(tenant.device), "point": points, **_range(13)})


def _latest(world: World, tenant: Tenant) -> Request:
    return Request(query={"device": str(tenant.device)})


def _months(world: World, tenant: Tenant) -> Request:
    point = str(tenant.points["temp_agua"])
    return Request(query={"device": str(tenant.device), "point": point, **_range(31)})


ENTRIES = (
    Entry(
        "GET",
        "/api/data/points",
        "everyone",
        make=_points,
        objects=("query.device", "query.point", "query.point.1"),
    ),
    Entry("GET", "/api/data/latest", "everyone", make=_latest, objects=("query.device",)),
    Entry(
        "GET",
        "/api/data/consumption",
        "everyone",
        make=_months,
        objects=("query.device", "query.point"),
    ),
)
