"""Stacks for fast tests: packages that hold nothing, and a database that is not there."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import App
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from infra_cdk.packages import NAMES, Packages
from infra_cdk.settings import StageSettings, context_of_file, read
from traksense.contracts.functions import Function

CONNECT = "rds-db:connect"


def app() -> App:
    """An app that validates nothing, which would take most of a test's time."""
    return App(context={"aws:cdk:enable-asset-metadata": False})


def settings(stage: str = "prod", **changes: str) -> StageSettings:
    """What cdk.json says of a stage."""
    return read(context_of_file(stage=stage, **changes))


def stub_packages(folder: Path) -> Packages:
    """Packages with the right names and nothing in them."""
    for name in NAMES:
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("stub"), name)
    return Packages.built(folder)


class StubDatabase:
    """Implements ``infra_cdk.places.DatabaseAccess``."""

    connections = 150

    def environment(self, function: Function) -> Mapping[str, str]:
        return {
            "DATABASE_URL": f"postgresql://{function.name}@database.traksense.example/traksense",
            "TRAKSENSE_DATABASE_AUTH": "rds-iam",
        }

    def grant_connect(self, lambda_function: lambda_.Function, contract: Function) -> None:
        lambda_function.add_to_role_policy(
            iam.PolicyStatement(
                actions=[CONNECT],
                resources=[f"arn:aws:rds-db:*:*:dbuser:stub/{contract.name}"],
            )
        )


def of_type(template: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """A template's resources of a type, by logical id."""
    return {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }
