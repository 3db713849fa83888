"""The whole platform of each stage, synthesised once for all tests; and once more with every check
that there is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks

from infra_cdk.app import build, settings_of
from infra_cdk.settings import context_of_file
from tests.infra.stages import app, settings, stub_packages

Templates = dict[str, dict[str, Any]]


def _templates(folder: Any, stage: str, **changes: str) -> Templates:
    made = app()
    build(made, settings(stage, **changes), stub_packages(folder))
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


@pytest.fixture(scope="session")
def external(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """The templates of prod with a database elsewhere, by the stack's name."""
    return _templates(tmp_path_factory.mktemp("external"), "prod", database="external")


@dataclass(frozen=True, slots=True)
class Synthesised:
    """What `cdk synth` writes."""

    folder: Path

    @property
    def templates(self) -> Mapping[str, dict[str, Any]]:
        """By the stack's name."""
        return {
            path.name.removesuffix(".template.json"): json.loads(path.read_text("utf-8"))
            for path in sorted(self.folder.glob("*.template.json"))
        }

    @property
    def findings(self) -> list[dict[str, Any]]:
        """Everything that cdk-nag and the CDK's own rules found, acknowledged or not."""
        report = json.loads((self.folder / "validation-report.json").read_text("utf-8"))
        return [
            {"plugin": each["pluginName"], **violation}
            for each in report["pluginReports"]
            for violation in each["violations"]
        ]


STAGES = [("dev", "rds"), ("prod", "rds"), ("prod", "aurora"), ("prod", "external")]


@pytest.fixture(scope="session", params=STAGES, ids=["-".join(each) for each in STAGES])
def synthesised(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Synthesised:
    """A stage with a kind of database; the tests that use it are of one xdist group."""
    stage, database = request.param
    folder = tmp_path_factory.mktemp("cdk") / "cdk.out"
    made = App(context=context_of_file(stage=stage, database=database), outdir=str(folder))
    build(made, settings_of(made), stub_packages(tmp_path_factory.mktemp("packages")))
    Validations.of(made).add_plugins(AwsSolutionsChecks(made))
    try:
        made.synth()
    except RuntimeError as error:
        # The findings are the tests' to tell; whatever else went wrong is not.
        if "ValidationFailed" not in str(error):
            raise
    return Synthesised(folder)
