"""Requests that schemathesis thinks of, sent over loopback to the real gateway before the real app.

The gateway serves two tenants out of a database of its own and checks real signatures. Each role
gets a run of its own over the description that ``GET /schema`` gives, in which the places that name
objects offer those of the test's tenants beside others: random ids would find nothing.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from functions.api.app import app
from functions.api.services import services
from local.child import StopRequest
from local.gateway.chalice_api import ChaliceApi
from local.gateway.http_server import Server
from local.gateway.refusals import refusal
from local.gateway.static import StaticFiles
from local.gateway.wsgi import MAX_BODY_BYTES, Gateway
from tests.support.api_routes import ENTRIES, Entry
from tests.unit.api.support import FakeLogin, World, make_world, outside
from tests.unit.gateway.support import bearer, verifier
from traksense.db.connection import Database
from traksense.wiring.api import api

ROLES: Final = ("nobody", "viewer", "customer_admin", "internal_ops")
CUSTOMERS: Final = frozenset({"viewer", "customer_admin"})
ANOTHER: Final = "00000000-0000-4000-8000-000000000000"
OBJECTS: Final = 12
"""Of each kind, made before a run, so that a deletion leaves some for the next call."""


@dataclass
class Counted:
    """A WSGI app that counts its answers by status."""

    inner: Gateway
    statuses: Counter[int] = field(default_factory=Counter)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        def counting(status: str, headers: list[tuple[str, str]]) -> Any:
            self.statuses[int(status.split(" ", 1)[0])] += 1
            return start_response(status, headers)

        return self.inner(environ, counting)


@dataclass(frozen=True)
class Target:
    """A running API."""

    url: str
    world: World
    counted: Counted


class _NoPage:
    def render(self) -> bytes:
        return b""


class _Remembering(Database):
    """Remembers the connection of each thread, since the threads are the server's."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.opened: list[psycopg.Connection[Any]] = []

    def _open(self) -> psycopg.Connection[Any]:
        connection = super()._open()
        self.opened.append(connection)
        return connection


@contextmanager
def target(database_url: str, folder: Path) -> Iterator[Target]:
    """The API over acme and globex, served on a free port of 127.0.0.1."""
    login = FakeLogin()
    database = _Remembering(database_url)
    world = make_world(database_url, login, database)
    services.use(api(database, outside(login)))
    counted = Counted(Gateway(ChaliceApi(app, verifier()), StaticFiles({"/": folder}), _NoPage()))
    server = Server(
        counted,
        0,
        threads=4,
        largest_body=MAX_BODY_BYTES,
        refuse=lambda status, language: refusal(status, language, ""),
    )
    stop = StopRequest()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        yield Target(f"http://127.0.0.1:{server.port}", world, counted)
    finally:
        stop.request()
        thread.join(10)
        services.use(None)
        for connection in database.opened:
            connection.close()


def token(target: Target, role: str) -> str | None:
    """The header that lets a role in."""
    if role == "nobody":
        return None
    tenant = None if role == "internal_ops" else str(target.world.acme.id)
    return bearer(**{"cognito:groups": [role], "custom:tenant_id": tenant})


def description(target: Target, role: str) -> dict[str, Any]:
    """What ``GET /schema`` says, with real objects where a role may name some."""
    found: dict[str, Any] = httpx.get(f"{target.url}/schema").raise_for_status().json()
    chosen = found["components"]["parameters"]
    for name in ("Tenant", "TenantQuery"):
        chosen[name]["schema"] = {"type": "string", "enum": ["acme"]}
    for path, methods in found["paths"].items():
        for method, operation in list(methods.items()):
            entry = ENTRIES[method.upper(), path]
            if role in CUSTOMERS and entry.refusal_of(role) is not None:
                del methods[method]  # 403 whatever is sent, which the matrix shows
                continue
            operation["parameters"] = [
                parameter
                for parameter in operation["parameters"]
                # A choice of a tenant is 403 for customers; internal_ops have one in the header.
                if not parameter.get("$ref", "").endswith("/TenantQuery")
                and not (role != "internal_ops" and parameter.get("$ref", "").endswith("/Tenant"))
            ]
            if entry.refusal_of(role) is None:
                _offer(target.world, entry, operation)
    return found


def _offer(world: World, entry: Entry, operation: dict[str, Any]) -> None:
    """Put objects of both tenants into an operation."""
    known = [entry.make(world, world.acme) for _ in range(OBJECTS)]
    foreign = entry.make(world, world.globex)
    for parameter in operation["parameters"]:
        place, name = parameter.get("in"), parameter.get("name")
        if place == "path":
            values = [request.names[name] for request in (*known, foreign)]
            if parameter["schema"].get("format") == "uuid":
                values.append(ANOTHER)
            parameter["schema"] = {"type": "string", "enum": sorted(set(values))}
        elif place == "query" and any(o.split(".")[1] == name for o in entry.objects):
            parameter["schema"] = _choice(
                parameter["schema"], known[0].query[name], foreign.query[name]
            )
    body = operation.get("requestBody", {}).get("content", {})
    for media in body.values():
        media["examples"] = {
            f"e{number}": {"value": request.body} for number, request in enumerate(known[:3])
        }


def _choice(schema: dict[str, Any], *values: Any) -> dict[str, Any]:
    if schema.get("type") != "array":
        return {"type": "string", "enum": [str(value) for value in values]}
    each = [item for value in values for item in ([value] if isinstance(value, str) else value)]
    return {**schema, "items": {"type": "string", "enum": sorted(set(each))}, "minItems": 1}


@dataclass(frozen=True)
class Found:
    """How a run ended."""

    role: str
    requests: int
    statuses: dict[int, int]
    is_clean: bool
    report: str


# A description cannot say that one instant lies after another, that a name is free, or what a
# cursor holds: a request in good form may still be answered with one of these.
GOOD: Final = ("2xx", "302", "304", "400", "401", "403", "404", "409", "410", "422", "429")
BAD: Final = ("400", "401", "403", "404", "405", "409", "413", "414", "415", "422", "429", "431")
CONFIG: Final = f"""
[checks]
positive_data_acceptance.expected-statuses = {json.dumps(GOOD)}
negative_data_rejection.expected-statuses = {json.dumps(BAD)}
"""


def run(
    target: Target,
    role: str,
    folder: Path,
    *,
    examples: int,
    seed: int,
    phases: str = "examples,coverage,fuzzing",
) -> Found:
    """Send what schemathesis makes of the description, as one role.

    ``examples`` are the most of the fuzzing of an operation; a ``seed`` makes the same requests
    again. The phase ``coverage`` tries each boundary of each value: thousands of requests.
    """
    schema = folder / f"{role}.json"
    schema.write_text(json.dumps(description(target, role)), "utf-8")
    before = Counter(target.counted.statuses)
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG, "utf-8")
    header = token(target, role)
    command = [
        str(Path(sys.executable).parent / "st"), "--config-file", str(config), "run", str(schema),
        "--url", target.url, "--phases", phases, "--checks", "all",
        "--exclude-checks", "ignored_auth,use_after_free,ensure_resource_availability",
        "--max-examples", str(examples), "--seed", str(seed), "--generation-database", "none",
        "--no-shrink", "--continue-on-failure", "--workers", "1",
        "--suppress-health-check", "all", "--warnings", "off", "--no-color",
        *(["--header", f"Authorization: {header}"] if header else []),
    ]  # fmt: skip
    log = folder / f"{role}.log"
    with log.open("w") as output:
        done = subprocess.run(
            command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    after = target.counted.statuses - before
    text = re.sub(r"Bearer [\w.-]+", "Bearer …", log.read_text("utf-8"))
    return Found(role, after.total(), dict(sorted(after.items())), done.returncode == 0, text)
