"""Two tenants to fill a database with, and the real app answering API Gateway's events."""

from __future__ import annotations

import base64
import gzip
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from functions.api.app import app
from functions.api.routing import REGISTRY
from tests.support.api_description import undescribed
from tests.support.export_jobs import FakeExportFiles, FakeExportRuns
from tests.support.fake_things import FakeThings
from tests.support.publisher import FakePublisher
from tests.support.user_directory import FakeDirectory
from traksense.auth.errors import BadCredentials, IdentityProviderAway, Throttled
from traksense.auth.identity import Role
from traksense.auth.passwords import check_password
from traksense.aws.cognito import Challenge, Tokens
from traksense.db.connection import Database
from traksense.domain.errors import Invalid
from traksense.i18n.catalogue import text
from traksense.wiring.api import Outside

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class FakeLogin:
    """Stands in for the user pool, with one person and one of each trouble."""

    asked: list[str] = field(default_factory=list)
    directory: FakeDirectory = field(default_factory=FakeDirectory)
    """The same pool, as an administrator sees it."""
    claims: dict[str, str] = field(default_factory=dict)
    """Of the token that a challenge gives."""

    def login(self, email: str, password: str) -> Tokens | Challenge:
        self.asked.append(email)
        if email == "new@acme.example":
            return Challenge("NEW_PASSWORD_REQUIRED", "a-session")
        if email == "hasty@acme.example":
            raise Throttled("too many attempts", retry_after_s=7)
        if email == "away@acme.example":
            raise IdentityProviderAway("connection refused to 10.0.0.7")
        if (email, password) != ("ana@acme.example", "correct horse"):
            raise BadCredentials("wrong e-mail or password")
        return Tokens("an id token", "an access token", "a.refresh.token", 3600)

    def refresh(self, refresh_token: str) -> Tokens:
        if refresh_token != "a.refresh.token":
            raise BadCredentials("the refresh token is expired, revoked or unknown")
        return Tokens("a new id token", "a new access token", None, 3600)

    def respond(
        self, session: str, new_password: str | None, code: str | None
    ) -> Tokens | Challenge:
        if session == "a-session" and new_password is not None:
            check_password(new_password)
            return Challenge("MFA_SETUP", "next", "ABCD", "otpauth://totp/x?secret=ABCD")
        if session == "next" and code == "123456":
            claims = {"sub": str(uuid.uuid4()), **self.claims}
            payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
            return Tokens(f"e30.{payload}.", "an access token", "a.refresh.token", 3600)
        raise BadCredentials("the log-in took too long, or was never begun")

    def forgot(self, email: str) -> None:
        self.asked.append(email)
        if email == "hasty@acme.example":
            raise Throttled("too many requests", retry_after_s=7)

    def reset(self, email: str, code: str, new_password: str) -> None:
        check_password(new_password)
        if (email, code) != ("ana@acme.example", "123456"):
            message = text("auth.bad_code")
            raise Invalid(message, (("body.code", message),))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def is_problem(self) -> bool:
        return self.headers["Content-Type"] == "application/problem+json"


@dataclass(frozen=True)
class Person:
    role: Role | None
    tenant_id: UUID | None = None
    claims: Mapping[str, str] | None = None

    def authorizer(self) -> dict[str, Any]:
        if self.claims is not None:
            return {"claims": dict(self.claims)}
        if self.role is None:
            return {}
        claims = {"sub": "0a1b", "email": "ana@acme.example", "cognito:groups": self.role.value}
        if self.tenant_id is not None:
            claims["custom:tenant_id"] = str(self.tenant_id)
        return {"claims": claims}


NOBODY = Person(None)
OPERATOR = Person(Role.INTERNAL_OPS)


def event(
    method: str,
    path: str,
    person: Person,
    query: Mapping[str, str | Sequence[str]],
    headers: Mapping[str, str],
    body: object,
) -> dict[str, Any]:
    """An event as API Gateway makes it, with the path matched to its route."""
    template, names = _match(path)
    many = {k: [v] if isinstance(v, str) else list(v) for k, v in query.items()}
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    return {
        "resource": template,
        "path": path,
        "httpMethod": method,
        "headers": {"Accept": "application/json", "Accept-Language": "en", **headers},
        "multiValueQueryStringParameters": many or None,
        "pathParameters": names or None,
        "stageVariables": None,
        "requestContext": {
            "httpMethod": method,
            "resourcePath": template,
            "requestId": str(uuid.uuid4()),
            "authorizer": person.authorizer(),
        },
        "body": text,
        "isBase64Encoded": False,
    }


def _match(path: str) -> tuple[str, dict[str, str]]:
    # Of two templates that fit, the one that says more of the path in so many words.
    for _, template in sorted(REGISTRY, key=lambda key: key[1].count("{")):
        wanted, given = template.split("/"), path.split("/")
        if len(wanted) == len(given) and all(
            w.startswith("{") or w == g for w, g in zip(wanted, given, strict=True)
        ):
            return template, {
                w[1:-1]: g for w, g in zip(wanted, given, strict=True) if w.startswith("{")
            }
    return path, {}


def call(
    method: str,
    path: str,
    person: Person = NOBODY,
    *,
    query: Mapping[str, str | Sequence[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    body: object = None,
) -> Answer:
    """One call of the real app, whose answer has to be one that its description knows."""
    asked = event(method, path, person, query or {}, headers or {}, body)
    given = app(asked, None)
    answer = Answer(given["statusCode"], given["headers"], given["body"])
    if (method, asked["resource"]) in REGISTRY:
        packed = answer.headers.get("Content-Encoding") == "gzip"
        text = gzip.decompress(base64.b64decode(answer.text)).decode() if packed else answer.text
        found = undescribed(method, asked["resource"], answer.status, answer.headers, text)
        assert found is None, f"{method} {path}: {found}"
    return answer


@dataclass(frozen=True)
class Tenant:
    """A tenant with a chiller that has readings, and some more devices."""

    id: UUID
    slug: str
    device: UUID
    points: Mapping[str, UUID]

    @property
    def admin(self) -> Person:
        return Person(Role.CUSTOMER_ADMIN, self.id)

    @property
    def viewer(self) -> Person:
        return Person(Role.VIEWER, self.id)


def outside(login: FakeLogin) -> Outside:
    """Fakes of everything that the API talks to besides its database."""
    return Outside(
        login=login,
        people=login.directory,
        publisher=FakePublisher(),
        things=FakeThings(),
        export_runs=FakeExportRuns(),
        export_files=FakeExportFiles(),
    )


@dataclass(frozen=True)
class World:
    url: str
    acme: Tenant
    globex: Tenant
    login: FakeLogin
    database: Database
    """The one that the app asks."""

    def connect(self) -> psycopg.Connection[Any]:
        """The administrator's connection, for what a test arranges."""
        return psycopg.connect(self.url)


POINTS: tuple[tuple[str, str, str | None, list[str] | None, dict[str, str]], ...] = (
    ("temp_agua", "num", "°C", None, {"pt-BR": "Temperatura da água", "en": "Water temperature"}),
    ("compressor_on", "bool", None, None, {}),
    ("status", "enum", None, ["RUN", "STOP"], {"pt-BR": "Estado"}),
    ("note", "text", None, None, {}),
    ("silent", "num", "bar", None, {}),
)


def make_tenant(connection: psycopg.Connection[Any], slug: str, template: UUID) -> Tenant:
    def one(sql: str, *parameters: object) -> Any:
        row = connection.execute(sql, parameters).fetchone()
        assert row is not None
        return row[0]

    tenant = one(
        "INSERT INTO public.tenants (slug, name, time_zone) VALUES (%s, %s, 'America/Recife')"
        " RETURNING id", slug, slug.title(),
    )  # fmt: skip
    sites = [
        one(
            "INSERT INTO public.sites (tenant_id, slug, name) VALUES (%s, %s, %s) RETURNING id",
            tenant, site, site.title(),
        )
        for site in ("plant", "depot")
    ]  # fmt: skip
    devices = [
        one(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name, metadata)"
            " VALUES (%s, %s, %s, %s, %s::jsonb) RETURNING id",
            tenant, sites[n % 2], template, f"chiller-{n}", json.dumps({"room": f"R{n}"}),
        )
        for n in range(5)
    ]  # fmt: skip
    points = {
        name: one(
            "INSERT INTO public.points"
            " (tenant_id, device_id, position, name, type, unit, enum_values, labels)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s::jsonb) RETURNING id",
            tenant, devices[0], position, name, kind, unit, values, json.dumps(labels),
        )
        for position, (name, kind, unit, values, labels) in enumerate(POINTS)
    }  # fmt: skip
    connection.execute(
        "UPDATE public.device_state SET is_online = true, last_seen = %s,"
        ' reported = \'{"fw": "1.2.3", "room": "R0b"}\' WHERE device_id = %s',
        (NOW, devices[0]),
    )
    readings: dict[str, list[tuple[datetime, float | bool | str, int]]] = {
        "temp_agua": [(NOW - timedelta(minutes=n), 20 + n / 10, 0) for n in range(100)],
        "compressor_on": [(NOW - timedelta(hours=n), n % 2 == 0, 0) for n in range(3)],
        "status": [(NOW - timedelta(days=3), "RUN", 1)],
        "note": [(NOW - timedelta(days=12), "ação", 0)],
    }
    for name, of_point in readings.items():
        add_readings(connection, points[name], of_point)
    return Tenant(tenant, slug, devices[0], points)


def add_readings(
    connection: psycopg.Connection[Any],
    point: UUID,
    readings: Sequence[tuple[datetime, float | bool | str, int]],
) -> None:
    connection.cursor().executemany(
        "INSERT INTO public.m_raw (point_sk, ts, v_num, v_bool, v_text, qual)"
        " SELECT point_sk, %s, %s, %s, %s, %s FROM public.dim_point WHERE point_id = %s",
        [
            (
                ts,
                value if isinstance(value, float) else None,
                value if isinstance(value, bool) else None,
                value if isinstance(value, str) else None,
                qual,
                point,
            )
            for ts, value, qual in readings
        ],
    )


def make_world(url: str, login: FakeLogin, database: Database) -> World:
    """Fill a migrated database with acme and globex, alike to the last value."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT public.ensure_raw_partitions(%s::date, %s::date)",
            (NOW - timedelta(days=15), NOW + timedelta(days=2)),
        )
        row = connection.execute(
            "INSERT INTO public.device_templates (code, version, name, published_at)"
            " VALUES ('chiller', 2, 'Chiller', now()) RETURNING id"
        ).fetchone()
        assert row is not None
        acme = make_tenant(connection, "acme", row[0])
        globex = make_tenant(connection, "globex", row[0])
    return World(url, acme, globex, login, database)
