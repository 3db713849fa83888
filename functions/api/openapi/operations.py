"""One route as an operation: what it takes, who may call it, every answer it can give."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from inspect import cleandoc, getdoc
from typing import Any, Final

from functions.api.openapi import problems
from functions.api.openapi.schemas import Key, Schemas
from functions.api.routing import (
    JSON,
    PATH_TEXTS,
    TENANT_HEADER,
    TENANT_PARAMETER,
    Header,
    Route,
)
from traksense.auth.identity import Role
from traksense.contracts.topics import SLUG_PATTERN

BEARER: Final = "bearer"

VARIABLES: Final[Mapping[str, str]] = {
    "slug": "A tenant's slug.",
    "code": "A template's code.",
    "version": "A template's version.",
    "cmd_id": "A command's ULID.",
    "site_id": "A site's id.",
    "device_id": "A device's id.",
    "point_id": "A point's id.",
    "user_id": "A person's id.",
    "export_id": "An export's id.",
    "token": "The secret of a mailed link.",
}
"""What each variable of a path names."""

SUCCESSES: Final[Mapping[int, str]] = {
    201: "It was made.",
    202: "It was taken on, and is done later.",
    204: "It was done; there is nothing to say.",
    302: "It can be fetched at `Location` now.",
}
"""What the statuses of answers mean that are no errors. 200 says what the route is for."""

_SLUG: Final = {"type": "string", "pattern": f"^{SLUG_PATTERN}$"}
PARAMETERS: Final[Mapping[str, dict[str, Any]]] = {
    "Tenant": {
        "name": TENANT_HEADER,
        "in": "header",
        "description": "Slug of the tenant in whose sight the call runs. For internal_ops alone:"
        " from anybody else it is 403.",
        "schema": _SLUG,
    },
    "TenantQuery": {
        "name": TENANT_PARAMETER,
        "in": "query",
        "description": f"The same as `{TENANT_HEADER}`, where a header cannot be set.",
        "schema": _SLUG,
    },
    "AcceptLanguage": {
        "name": "Accept-Language",
        "in": "header",
        "description": "The language of texts in the answer: `pt-BR` (default) or `en`.",
        "schema": {"type": "string"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of an answer that the caller has already.",
        "schema": {"type": "string"},
    },
}
"""Parameters that many operations share."""


def operation(
    key: Key, spec: Route, schemas: Schemas, example: Mapping[str, Any]
) -> dict[str, Any]:
    """A route as an operation object."""
    made: dict[str, Any] = {
        "operationId": spec.name,
        "tags": [tag_of(spec)],
        "summary": spec.summary,
        "description": _who(spec),
        "parameters": list(_parameters(key, spec, schemas, example.get("query", {}))),
        "responses": _responses(key, spec, schemas, example),
        "security": [] if spec.is_public else [{BEARER: []}],
    }
    body = _body(key, spec, schemas, example)
    if body is not None:
        made["requestBody"] = body
    return made


def tag_of(spec: Route) -> str:
    """The subject of a route."""
    return spec.subject.rpartition(".")[2]


def tag(spec: Route) -> dict[str, str]:
    """The subject of a route, with what its module says of itself."""
    said = cleandoc(sys.modules[spec.subject].__doc__ or "")
    return {"name": tag_of(spec), "description": said.splitlines()[0]}


def _who(spec: Route) -> str:
    if spec.is_public or isinstance(spec.roles, str):
        return "Public: no token is asked for."
    roles = [role.value for role in Role if role in spec.roles]
    return "For " + ", ".join(f"`{role}`" for role in roles) + "."


def _parameters(
    key: Key, spec: Route, schemas: Schemas, example: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for step in spec.path.split("/"):
        if step.startswith("{"):
            yield _variable(step[1:-1])
    for name, (schema, required) in schemas.parameters(key).items():
        given = {"example": example[name]} if name in example else {}
        yield _parameter("query", name, schema, required=required, **given)
    for header in spec.headers:
        yield {**_header(header), "name": header.name, "in": "header"}
    if not spec.is_public and Role.INTERNAL_OPS in spec.roles:
        yield _shared("Tenant")
        yield _shared("TenantQuery")
    if spec.conditional:
        yield _shared("IfNoneMatch")
    yield _shared("AcceptLanguage")


def _variable(name: str) -> dict[str, Any]:
    pattern = PATH_TEXTS.get(name)
    schema = {"type": "string", "format": "uuid"}
    if pattern is not None:
        schema = {"type": "string", "pattern": f"^{pattern.pattern}$"}
    return _parameter("path", name, {**schema, "description": VARIABLES[name]}, required=True)


def _parameter(
    place: str, name: str, schema: Mapping[str, Any], *, required: bool, **more: Any
) -> dict[str, Any]:
    rest = dict(schema)
    made = {"name": name, "in": place, "required": required, **more}
    if "description" in rest:
        made["description"] = rest.pop("description")
    return {**made, "schema": rest}


def _shared(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/parameters/{name}"}


def _header(header: Header) -> dict[str, Any]:
    schema = {"type": "string"}
    if header.pattern is not None:
        schema["pattern"] = header.pattern
    return {"description": header.description, "schema": schema}


def _body(
    key: Key, spec: Route, schemas: Schemas, example: Mapping[str, Any]
) -> dict[str, Any] | None:
    given = {"example": example["body"]} if "body" in example else {}
    if spec.text_body is not None:
        text = {"schema": {"type": "string"}, **given}
        return {"required": True, "content": {spec.text_body: text}}
    if spec.body is None:
        return None
    model = {"schema": schemas.of(key, "body"), **given}
    said = getdoc(spec.body) or ""
    required = not spec.has_optional_body
    return {"required": required, "description": said, "content": {JSON: model}}


def _responses(
    key: Key, spec: Route, schemas: Schemas, example: Mapping[str, Any]
) -> dict[str, Any]:
    made: dict[str, Any] = {
        str(status): problems.page(status)
        if spec.is_for_people
        else {"$ref": f"#/components/responses/{problems.name_of(status)}"}
        for status in problems.statuses_of(spec)
    }
    headers = {header.name: _header(header) for header in spec.answer_headers}
    etag = {"ETag": {"$ref": "#/components/headers/ETag"}} if spec.conditional else {}
    for status in spec.statuses:
        answer: dict[str, Any] = {"description": SUCCESSES.get(status, spec.summary)}
        location = {"Location": {"$ref": "#/components/headers/Location"}}
        own = headers | etag | (location if status in (201, 202, 302) else {})
        if own:
            answer["headers"] = own
        has_body = spec.response is not None or spec.media_types != (JSON,)
        if has_body and status != 302:
            answer["content"] = {
                media: _content(key, media, schemas, example, status, spec)
                for media in spec.media_types
            }
        if str(status) in made:  # a problem, too
            answer["content"] |= problems.content()
        made[str(status)] = answer
    if spec.conditional:
        made["304"] = {"description": "The caller has it already.", "headers": etag}
    return dict(sorted(made.items()))


def _content(
    key: Key,
    media: str,
    schemas: Schemas,
    example: Mapping[str, Any],
    status: int,
    spec: Route,
) -> dict[str, Any]:
    if media != JSON:
        text = {"type": "string"} if media.startswith("text/") else _BYTES
        return {"schema": text}
    given = "answer" in example and status == spec.statuses[0]
    return {
        "schema": schemas.of(key, "answer"),
        **({"example": example["answer"]} if given else {}),
    }


_BYTES: Final = {"type": "string", "format": "binary"}
