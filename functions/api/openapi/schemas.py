"""The models of parameters, bodies and answers as the components of the document."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from functions.api.models.problem import Problem
from functions.api.routing import Route

PREFIX: Final = "#/components/schemas/"
_PAGE: Final = re.compile(r"ListAnswer_(\w+?)(?:Answer)?_")

# A bound that stands behind a validator of ours keeps pydantic's name; these are JSON Schema's.
_KEYWORDS: Final = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
}
PAGE: Final = "A page of a list."

Key = tuple[str, str]


class Schemas:
    """JSON schemas of all that a set of routes takes and gives."""

    def __init__(self, routes: Mapping[Key, Route]) -> None:
        """Raises ValueError where two models would have one name."""
        inputs: list[tuple[Any, Literal["validation", "serialization"], TypeAdapter[Any]]] = [
            ("problem", "serialization", TypeAdapter(Problem))
        ]
        for key, spec in routes.items():
            inputs.append(((key, "params"), "validation", TypeAdapter(spec.params)))
            if spec.body is not None:
                inputs.append(((key, "body"), "validation", TypeAdapter(spec.body)))
            if spec.response is not None:
                inputs.append(((key, "answer"), "serialization", TypeAdapter(spec.response)))
        found, shared = TypeAdapter.json_schemas(inputs, ref_template=PREFIX + "{model}")
        self._uses = {key: _tidy(schema) for (key, _), schema in found.items()}
        self.components: dict[str, Any] = {}
        """Schemas by name."""
        for name, schema in shared["$defs"].items():
            # pydantic tells models of one name apart by their modules.
            if public_name(name) in self.components or "__" in name:
                raise ValueError(f"two models would have one name: {name}")
            about = {"description": PAGE} if _PAGE.fullmatch(name) else {}
            self.components[public_name(name)] = about | _tidy(schema)
        # Parameters stand in each operation, one by one: their model is nobody's component.
        self._params = {key: self.components[_name(self._uses[key, "params"])] for key in routes}
        for key in routes:
            self.components.pop(_name(self._uses[key, "params"]), None)
            if key[0] == "PATCH" and (key, "body") in self._uses:
                # What is left out of a change stays as it is, whatever the model holds for it.
                for field in self._named(self._uses[key, "body"])["properties"].values():
                    field.pop("default", None)

    def _named(self, reference: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.components[_name(reference)]
        return found

    def of(self, key: Key, use: Literal["body", "answer"]) -> dict[str, Any]:
        """The schema of a route's body or successful answer."""
        schema: dict[str, Any] = self._uses[key, use]
        return schema

    def parameters(self, key: Key) -> dict[str, tuple[dict[str, Any], bool]]:
        """A route's query parameters: their schema, and whether they must be given."""
        model = self._params[key]
        required = model.get("required", [])
        return {
            name: (_without_null(schema), name in required)
            for name, schema in model.get("properties", {}).items()
        }


def public_name(name: str) -> str:
    """What a model is called outside: ``DeviceAnswer`` is Device, a page of them DeviceList."""
    page = _PAGE.fullmatch(name)
    if page is not None:
        return f"{page[1]}List"
    return name.removesuffix("Answer").replace("-", "")


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).removeprefix(PREFIX)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter's schema: what is absent is not null."""
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    if rest.get("default", ...) is None:
        del rest["default"]
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return {**kinds[0], **rest}
    return {**rest, "anyOf": kinds} if kinds else rest


def _tidy(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with our names in its references, and without the titles that repeat its keys."""
    return {
        _KEYWORDS.get(name, name): _each(value, _tidy)
        if name in ("properties", "$defs")
        else _inside(name, value)
        for name, value in schema.items()
        if name != "title"
    }


def _each(schemas: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    return {name: change(schema) for name, schema in schemas.items()}


def _inside(name: str, value: Any) -> Any:
    if name == "$ref":
        return PREFIX + public_name(value.removeprefix(PREFIX))
    if name == "mapping":  # of a discriminator: references that are none by their key
        return {tag: _inside("$ref", reference) for tag, reference in value.items()}
    if name in ("examples", "default", "const", "enum"):
        return value
    if isinstance(value, dict):
        return _tidy(value)
    if isinstance(value, list):
        return [_tidy(part) if isinstance(part, dict) else part for part in value]
    return value
