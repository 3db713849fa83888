"""The description is good enough for a generator of clients."""

from __future__ import annotations

from pathlib import Path

from functions.api.openapi.document import encoded
from functions.api.routing import REGISTRY
from tests.support.generated_client import NAME, generate


def test_a_client_with_every_operation_comes_out_of_it(tmp_path: Path) -> None:
    assert generate(encoded(), tmp_path) == ""
    made = {file.stem for file in (tmp_path / NAME / "api").glob("*/*.py")} - {"__init__"}
    assert made == {spec.name for spec in REGISTRY.values()}
