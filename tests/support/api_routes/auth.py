"""Logging in, and who one is."""

from __future__ import annotations

from tests.support.api_routes.entry import Entry, Request
from tests.unit.api.support import Tenant, World


def _credentials(world: World, tenant: Tenant) -> Request:
    return Request(body={"email": "ana@acme.example", "password": "correct horse"})


def _refresh_token(world: World, tenant: Tenant) -> Request:
    return Request(body={"refresh_token": "a.refresh.token"})


ENTRIES = (
    Entry("POST", "/api/auth/login", "public", make=_credentials),
    Entry("POST", "/api/auth/refresh", "public", make=_refresh_token),
    Entry("GET", "/api/me", "everyone"),
)
