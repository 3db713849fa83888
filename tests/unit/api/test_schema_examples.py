"""Examples in the description are calls that work: each is made against the real app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from functions.api.openapi.document import read_examples
from tests.support.api_description import described, resolved
from tests.support.api_routes import ENTRIES, Key, Request

from .support import World

EXAMPLES = read_examples()


def texts(query: Mapping[str, Any]) -> dict[str, str | Sequence[str]]:
    """Values as they stand in an address."""
    return {
        name: value if isinstance(value, list) else str(value).lower()
        if isinstance(value, bool) else str(value)
        for name, value in query.items()
    }  # fmt: skip


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 10


def test_every_example_is_of_a_route_and_is_in_the_description() -> None:
    for (method, path), example in EXAMPLES.items():
        operation = described()["paths"][path][method.lower()]
        shown = {
            parameter["name"]: parameter["example"]
            for parameter in map(resolved, operation["parameters"])
            if "example" in parameter
        }
        assert shown == example.get("query", {})
        if "body" in example:
            (content,) = operation["requestBody"]["content"].values()
            assert content["example"] == example["body"]


@pytest.mark.parametrize("key", sorted(EXAMPLES))
def test_every_example_is_a_call_that_works(world: World, key: Key) -> None:
    entry, example = ENTRIES[key], EXAMPLES[key]
    made = entry.make(world, world.acme)
    request = Request(
        made.names, texts(example.get("query", {})), example.get("body"), made.headers
    )
    answer = entry.send(request, *entry.caller(world.acme))
    assert answer.status == entry.status, answer.text
