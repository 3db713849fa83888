"""The whole platform of each stage, synthesised once for all tests."""

from __future__ import annotations

from typing import Any

import pytest

from infra_cdk.app import build
from tests.infra.stages import app, settings, stub_packages

Templates = dict[str, dict[str, Any]]


def _templates(folder: Any, stage: str) -> Templates:
    made = app()
    build(made, settings(stage), stub_packages(folder))
    return {
        each.stack_name.removeprefix(f"traksense-{stage}-"): each.template
        for each in made.synth().stacks
    }


@pytest.fixture(scope="session")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The templates of prod, by the stack's name."""
    return _templates(tmp_path_factory.mktemp("prod"), "prod")


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The templates of dev, by the stack's name."""
    return _templates(tmp_path_factory.mktemp("dev"), "dev")
