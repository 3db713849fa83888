"""The API's own description: whole, valid, and the same as what the app does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import NoneType
from typing import Any, get_args

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, RootModel

from functions.api.errors import ANSWERS, INTERNAL
from functions.api.openapi import problems
from functions.api.openapi.document import document, encoded
from functions.api.openapi.schemas import Schemas, public_name
from functions.api.problem import problem_type
from functions.api.routing import JSON, PATH_TEXTS, REGISTRY, Route
from tests.support.api_description import described, resolved
from tests.support.api_routes import Key

from .support import NOBODY, World, call

KEYS = sorted(REGISTRY)
KEYWORDS = {
    "$ref", "type", "format", "pattern", "enum", "const", "default", "description", "examples",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "minItems", "maxItems", "uniqueItems", "items", "prefixItems", "properties",
    "required", "additionalProperties", "propertyNames", "patternProperties", "minProperties",
    "maxProperties", "anyOf", "oneOf", "allOf", "discriminator", "contentMediaType",
}  # fmt: skip


def operation(key: Key) -> dict[str, Any]:
    found: dict[str, Any] = described()["paths"][key[1]][key[0].lower()]
    return found


def test_it_is_a_valid_document_of_openapi_3_1() -> None:
    assert described()["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(described()).validate()


def test_anybody_reads_it_and_reads_it_again_only_when_it_has_changed(world: World) -> None:
    answer = call("GET", "/schema", NOBODY)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == JSON
    assert answer.json == json.loads(encoded()) == described()
    again = call("GET", "/schema", NOBODY, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.text) == (304, "")


def test_it_is_made_once() -> None:
    assert encoded() is encoded()


def test_it_has_every_route_and_no_other() -> None:
    found = {
        (method.upper(), path)
        for path, methods in described()["paths"].items()
        for method in methods
    }
    assert found == set(REGISTRY)


def test_operations_have_names_of_their_own() -> None:
    names = [operation(key)["operationId"] for key in KEYS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", name) for name in names)


def test_subjects_say_what_they_are_about() -> None:
    tags = {tag["name"]: tag["description"] for tag in described()["tags"]}
    assert {tag for key in KEYS for tag in operation(key)["tags"]} == set(tags)
    assert all(tags.values())


@pytest.mark.parametrize("key", KEYS)
def test_each_parameter_is_in_it_and_no_other(key: Key) -> None:
    spec = REGISTRY[key]
    found = {(p["in"], p["name"]) for p in map(resolved, operation(key)["parameters"])}
    expected = {("path", name) for name in re.findall(r"{(\w+)}", spec.path)}
    expected |= {("query", f.alias or name) for name, f in spec.params.model_fields.items()}
    expected |= {("header", header.name) for header in spec.headers}
    expected |= {("header", "Accept-Language")}
    if spec.conditional:
        expected.add(("header", "If-None-Match"))
    if not spec.is_public and "internal_ops" in {str(role.value) for role in spec.roles}:  # type: ignore[union-attr]
        expected |= {("header", "X-Tenant"), ("query", "tenant")}
    assert found == expected


@pytest.mark.parametrize("key", KEYS)
def test_each_parameter_is_required_where_the_model_requires_it(key: Key) -> None:
    fields = {f.alias or name: f for name, f in REGISTRY[key].params.model_fields.items()}
    for parameter in map(resolved, operation(key)["parameters"]):
        if parameter["in"] == "query" and parameter["name"] in fields:
            assert parameter["required"] == fields[parameter["name"]].is_required()
            assert {"type": "null"} not in parameter["schema"].get("anyOf", ())
        assert parameter["in"] != "path" or parameter["required"]


@pytest.mark.parametrize("name", sorted(PATH_TEXTS))
def test_the_variables_of_paths_have_the_pattern_that_checks_them(name: str) -> None:
    for key in KEYS:
        for parameter in map(resolved, operation(key)["parameters"]):
            if (parameter["in"], parameter["name"]) == ("path", name):
                assert parameter["schema"]["pattern"] == f"^{PATH_TEXTS[name].pattern}$"


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation)
    else:
        for part in get_args(annotation):
            if part is not NoneType:
                yield from models(part)


@pytest.mark.parametrize("key", KEYS)
def test_each_field_of_body_and_answer_is_in_it_and_no_other(key: Key) -> None:
    spec, components = REGISTRY[key], described()["components"]["schemas"]
    ways = [(model, "Input") for model in models(spec.body)]
    ways += [(model, "Output") for model in models(spec.response)]
    for model, way in ways:
        page = re.fullmatch(r"ListAnswer\[(\w+?)(?:Answer)?\]", model.__name__)
        name = f"{page[1]}List" if page else model.__name__.removesuffix("Answer")
        fields = {} if issubclass(model, RootModel) else model.model_fields
        expected = {f.alias or own for own, f in fields.items()}
        # A model that is read otherwise than it is written has a component for each.
        found = components.get(name, components.get(name + way, {}))
        assert set(found.get("properties", {})) == expected, name


@pytest.mark.parametrize("key", KEYS)
def test_what_a_body_may_not_hold_is_said(key: Key) -> None:
    body = operation(key).get("requestBody")
    spec = REGISTRY[key]
    assert (body is None) == (spec.body is None and spec.text_body is None)
    if spec.body is not None:
        schema = described()["components"]["schemas"][public_name(spec.body.__name__)]
        assert schema["additionalProperties"] is False


@pytest.mark.parametrize("key", KEYS)
def test_each_answer_is_in_it_with_its_media_types(key: Key) -> None:
    spec, responses = REGISTRY[key], operation(key)["responses"]
    expected = {*spec.statuses, *problems.statuses_of(spec), *([304] if spec.conditional else [])}
    assert {int(status) for status in responses} == expected
    for status in spec.statuses:
        content = set(resolved(responses[str(status)]).get("content", {}))
        problem = {"application/problem+json"} if status in problems.statuses_of(spec) else set()
        has_body = spec.response is not None or spec.media_types != (JSON,)
        has_body &= status != 302  # leads elsewhere
        assert content == (set(spec.media_types) | problem if has_body else set())
    for status in problems.statuses_of(spec):
        content = resolved(responses[str(status)])["content"]
        schema = content["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}


def test_every_error_is_in_it_with_its_type_and_no_other() -> None:
    components = described()["components"]
    answers = [*ANSWERS.values(), INTERNAL]
    known = {problem_type(answer.code) for answer in answers}
    assert set(components["schemas"]["Problem"]["properties"]["type"]["enum"]) == known
    assert {"errors", "type", "title", "status", "detail", "instance"} == set(
        components["schemas"]["Problem"]["properties"]
    )
    # 405 is an answer to a method that is no operation, so that none can have it.
    for answer in answers:
        if answer.status != 405:
            response = components["responses"][problems.name_of(answer.status)]
            assert problem_type(answer.code) in response["description"]
    assert set(components["responses"]) == {
        problems.name_of(answer.status) for answer in answers if answer.status != 405
    }


def test_who_must_wait_learns_how_long() -> None:
    responses = described()["components"]["responses"]
    for name in ("TooManyRequests", "ServiceUnavailable"):
        assert "Retry-After" in responses[name]["headers"]
    assert "WWW-Authenticate" in responses["Unauthorized"]["headers"]


@pytest.mark.parametrize("key", KEYS)
def test_a_token_is_asked_for_where_the_route_asks_for_one(key: Key) -> None:
    assert operation(key)["security"] == ([] if REGISTRY[key].is_public else [{"bearer": []}])
    scheme = described()["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_a_page_of_a_list_has_one_shape() -> None:
    for key in KEYS:
        names = {p["name"] for p in map(resolved, operation(key)["parameters"])}
        if "cursor" not in names:
            continue
        assert "limit" in names, key
        schema = operation(key)["responses"]["200"]["content"][JSON]["schema"]
        assert schema["$ref"].endswith("List"), key
        assert {"items", "next_cursor"} <= set(resolved(schema)["properties"])


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of the document, also those within others."""

    def within(where: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        yield where, schema
        for name in ("properties", "patternProperties"):
            for own, part in schema.get(name, {}).items():
                yield from within(f"{where}.{own}", part)
        for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
            for part in schema.get(name, ()):
                yield from within(f"{where}.{name}", part)
        for name in ("items", "additionalProperties", "propertyNames"):
            if isinstance(schema.get(name), dict):
                yield from within(f"{where}.{name}", schema[name])

    for name, schema in described()["components"]["schemas"].items():
        yield from within(name, schema)
    for key in KEYS:
        for parameter in map(resolved, operation(key)["parameters"]):
            yield from within(f"{key} {parameter['name']}", parameter["schema"])


def test_it_is_written_in_words_that_json_schema_knows() -> None:
    assert {
        (where, word) for where, schema in schemas() for word in set(schema) - KEYWORDS
    } == set()


def test_it_refers_to_nothing_that_is_not_there_and_holds_nothing_that_nobody_refers_to() -> None:
    text = json.dumps(described())
    used = set(re.findall(r'"#/components/(\w+)/(\w[\w-]*)"', text))
    held = {
        (kind, name)
        for kind, components in described()["components"].items()
        if kind != "securitySchemes"
        for name in components
    }
    assert used == held


def test_each_component_and_operation_says_what_it_is() -> None:
    components = described()["components"]
    for name, schema in components["schemas"].items():
        assert schema.get("description"), name
    for key in KEYS:
        assert operation(key)["summary"]
        assert operation(key)["description"]


def test_two_models_of_one_name_are_refused() -> None:
    (first, *_) = KEYS
    spec = REGISTRY["GET", "/health"]
    other = type("HealthAnswer", (BaseModel,), {"__annotations__": {"other": int}})
    routes: dict[Key, Route] = {
        ("GET", "/health"): spec,
        ("GET", "/other"): Route(
            "GET", "/other", spec.roles, spec.params, None, other, (200,), "Other.", spec.audit
        ),
    }
    with pytest.raises(ValueError, match="one name"):
        Schemas(routes)
    assert document({first: REGISTRY[first]})["paths"].keys() == {first[1]}
