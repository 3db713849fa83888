"""Logging in, and who one is."""

from __future__ import annotations

from tests.support.api_routes.entry import Entry, Request
from tests.unit.api.support import Tenant, World


def _credentials(world: World, tenant: Tenant) -> Request:
    return Request(body={"email": "ana@acme.example", "password": "correct horse"})


def _refresh_token(world: World, tenant: Tenant) -> Request:
    return Request(body={"refresh_token": "a.refresh.token"})


def _code(world: World, tenant: Tenant) -> Request:
    return Request(body={"session": "next", "code": "123456"})


def _email(world: World, tenant: Tenant) -> Request:
    return Request(body={"email": "ana@acme.example"})


def _reset(world: World, tenant: Tenant) -> Request:
    new = "another long passphrase"
    return Request(body={"email": "ana@acme.example", "code": "123456", "new_password": new})


ENTRIES = (
    Entry("POST", "/api/auth/login", "public", make=_credentials),
    Entry("POST", "/api/auth/refresh", "public", make=_refresh_token),
    Entry("POST", "/api/auth/challenge", "public", make=_code),
    Entry("POST", "/api/auth/forgot", "public", make=_email, status=202),
    Entry("POST", "/api/auth/reset", "public", make=_reset, status=204),
    Entry("GET", "/api/me", "everyone"),
)
