"""Holds what the API answers to its own description: nothing may be said that is not in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import jsonschema_rs

from functions.api.openapi import problems
from functions.api.openapi.document import document
from functions.api.problem import CONTENT_TYPE
from functions.api.routing import REGISTRY

ANYWHERE: Final = frozenset({"cache-control", "content-type", "content-encoding", "vary"})
"""Headers of every answer, which the description explains once, in its introduction."""


@cache
def described() -> dict[str, Any]:
    """The description of what is registered."""
    return document(REGISTRY)


def undescribed(
    method: str, template: str, status: int, headers: Mapping[str, str], text: str
) -> str | None:
    """What an answer of a route has that its description has not; None where all is in it."""
    operation = described()["paths"][template][method.lower()]
    response = operation["responses"].get(str(status))
    if response is None:
        return f"status {status} is not described"
    response = resolved(response)
    known = ANYWHERE | {name.lower() for name in response.get("headers", {})}
    others = {name.lower() for name in headers} - known
    if others:
        return f"headers {sorted(others)} of {status} are not described"
    missing = {name.lower() for name in _promised(status)} - {name.lower() for name in headers}
    if missing:
        return f"headers {sorted(missing)} are missing from {status}"
    if not text:
        return f"{status} has no body" if response.get("content") else None
    media = {name.lower(): value for name, value in headers.items()}["content-type"]
    media = media.partition(";")[0]
    if media not in response.get("content", {}):
        return f"{media} of {status} is not described"
    if not media.endswith("json"):
        return None
    return _mismatch(method, template, status, media, json.loads(text))


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """What a reference stands for."""
    found = described() if "$ref" in schema else schema
    for step in schema.get("$ref", "#").split("/")[1:]:
        found = found[step]
    return found


def _promised(status: int) -> list[str]:
    if status < 400 or status not in problems.NAMES:
        return []
    # DeepHealth is 503 without being an error: it has no header of one.
    return [name for name in problems.response(status)["headers"] if name == "WWW-Authenticate"]


def _mismatch(method: str, template: str, status: int, media: str, body: Any) -> str | None:
    if media == CONTENT_TYPE and body["type"] not in problems.types_of(status):
        return f"{body['type']} is no type of {status}"
    error = next(_validator(method, template, status, media).iter_errors(body), None)
    return None if error is None else f"{list(error.instance_path)}: {error.message}"


@cache
def _validator(method: str, template: str, status: int, media: str) -> Any:
    operation = described()["paths"][template][method.lower()]
    response = resolved(operation["responses"][str(status)])
    schema = {**response["content"][media]["schema"], "components": described()["components"]}
    return jsonschema_rs.Draft202012Validator(_closed(copy.deepcopy(schema)), validate_formats=True)


def _closed(schema: Any) -> Any:
    """A schema that takes no property that it does not name, so that each has to be named."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
