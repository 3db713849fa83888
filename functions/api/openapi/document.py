"""The whole document, made when it is first asked for and kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import traksense
from functions.api.openapi import problems
from functions.api.openapi.operations import BEARER, PARAMETERS, operation, tag
from functions.api.openapi.schemas import Key, Schemas
from functions.api.routing import REGISTRY, Route

VERSION: Final = "3.1.0"
EXAMPLES: Final = Path(__file__).parents[1] / "examples"

ABOUT: Final = """\
Devices of many tenants, their readings, commands and alarms.

**Identity.** `Authorization: Bearer <ID token>`, from `POST /api/auth/login`. Somebody of a tenant
sees that tenant alone; `internal_ops` choose one with `X-Tenant`, and see all where they do not.
What belongs to another tenant is answered as if it were not there: 404.

**Lists** come in pages: `limit` items (50 by default, at most 500), and `next_cursor`, which is
given back as `cursor` for the next page and is null at the end.

**Errors** are `application/problem+json` (RFC 9457), each with a `type` that programs go by.
429 and 503 say in `Retry-After` how many seconds to wait.

**Instants** are RFC 3339. Answers have them in UTC with `Z`; what is sent may have any offset,
between 1970 and 2200.

**Caches.** Answers with an `ETag` may be kept and asked for again with `If-None-Match`; all others
are `no-store`. Answers of more than 1 KiB with an `ETag` are compressed for who accepts gzip.

Fields may be added to answers, so ignore those you do not know; none is renamed. Unknown
parameters and fields of what is sent are refused.
"""


def document(routes: Mapping[Key, Route]) -> dict[str, Any]:
    """An OpenAPI document of routes. Raises ValueError where their declarations clash."""
    schemas = Schemas(routes)
    examples = read_examples()
    paths: dict[str, dict[str, Any]] = {}
    for key, spec in routes.items():
        made = operation(key, spec, schemas, examples.get(key, {}))
        paths.setdefault(spec.path, {})[spec.method.lower()] = made
    tags = {made["name"]: made for made in map(tag, routes.values())}
    statuses = {status for spec in routes.values() for status in problems.statuses_of(spec)}
    return {
        "openapi": VERSION,
        "info": {"title": "TrakSense", "version": traksense.__version__, "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": list(tags.values()),
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "parameters": dict(PARAMETERS),
            "headers": problems.HEADERS,
            "responses": {
                problems.name_of(status): problems.response(status) for status in sorted(statuses)
            },
            "securitySchemes": {
                BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The ID token of a login.",
                }
            },
        },
    }


def read_examples() -> dict[Key, dict[str, Any]]:
    """What is sent to each route and comes back, by (method, path): `query`, `body`, `answer`."""
    found: dict[Key, dict[str, Any]] = {}
    for file in sorted(EXAMPLES.glob("*.json")):
        for route, example in json.loads(file.read_text("utf-8")).items():
            method, _, path = route.partition(" ")
            found[method, path] = example
    return found


@cache
def encoded() -> bytes:
    """The document of every route that is registered, as JSON."""
    return json.dumps(document(REGISTRY), ensure_ascii=False, separators=(",", ":")).encode()
