"""What functions read of their environment is what their manifest entries name, both ways.

Each function's services are made in a process of its own, as Lambda makes them (function_probe).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.function_probe import ROOT, Probed, probed
from traksense.contracts.functions import FUNCTIONS, RUNTIME_ENVIRONMENT, Function

RUNTIME = frozenset(RUNTIME_ENVIRONMENT)
A_SECRET = "arn:aws:secretsmanager:sa-east-1:1:secret:login"
AUTHENTICATIONS = ("rds-iam", A_SECRET)
"""The ways of logging in to a database in AWS."""
ONE_PLACE = Path("layers/core/python/traksense/settings")
"""That reads the environment."""


def made(function: Function, authentication: str) -> Probed:
    return probed(function.name, frozenset(function.environment) | RUNTIME, authentication)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_a_function_reads_what_its_entry_names_and_nothing_else(function: Function) -> None:
    reads = {name for each in AUTHENTICATIONS for name in made(function, each).reads}
    assert reads - RUNTIME == set(function.environment)


def test_what_lambda_tells_by_itself_is_named_by_no_entry_and_read_by_somebody() -> None:
    for function in FUNCTIONS:
        assert not RUNTIME & set(function.environment), function.name
        assert len(function.environment) == len(set(function.environment)), function.name
    assert set().union(*(made(each, "rds-iam").reads for each in FUNCTIONS)) >= RUNTIME


def reaches_for_the_environment(tree: ast.AST) -> Iterator[int]:
    """Lines of a module that take the process's environment up."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for each in node.names if "env" in each.name)


def test_one_place_reads_the_environment_of_functions() -> None:
    found = [
        path.relative_to(ROOT)
        for folder in ("layers/core/python/traksense", "functions")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if list(reaches_for_the_environment(ast.parse(path.read_text("utf-8"))))
    ]
    assert found
    assert {path.parent for path in found} == {ONE_PLACE}
