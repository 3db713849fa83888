"""Stacks for fast tests: packages that hold nothing, and a database that is not there."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aws_cdk import App, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from infra_cdk.constructs.surroundings import Surroundings
from infra_cdk.packages import Packages
from infra_cdk.packaging.names import NAMES
from infra_cdk.settings import StageSettings, context_of_file, read
from infra_cdk.stacks.network import NetworkStack
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


def surroundings(made: App, folder: Path, chosen: StageSettings) -> Surroundings:
    """A network and what else a stack with functions is made with."""
    network = NetworkStack(made, chosen)
    return Surroundings(chosen, stub_packages(folder), network, StubDatabase())


def template_of(made: App, stack: Stack) -> dict[str, Any]:
    """A stack's template. Raises what the synthesis raises."""
    found: dict[str, Any] = made.synth().get_stack_by_name(stack.stack_name).template
    return found


def statements(template: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every statement of every policy of a role in a template, with lists for its actions."""
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for policy in of_type(template, kind).values():
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                yield {
                    **statement,
                    "Action": as_list(statement["Action"]),
                    "Resource": as_list(statement["Resource"]),
                }


def as_list(value: Any) -> list[Any]:
    """What IAM lets stand alone where it is one."""
    return value if isinstance(value, list) else [value]
