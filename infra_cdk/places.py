"""What the stacks made so far that functions are told of, or may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from aws_cdk import aws_cognito as cognito
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs

from traksense.contracts.functions import Function

Thing = TypeVar("Thing")


class FunctionsNetwork(Protocol):
    """Where functions with a database are."""

    vpc: ec2.IVpc
    functions_subnets: ec2.SubnetSelection
    functions_security_group: ec2.ISecurityGroup


class DatabaseAccess(Protocol):
    """How functions get to the database."""

    @property
    def connections(self) -> int:
        """That functions may have at once, all together."""

    def environment(self, function: Function) -> Mapping[str, str]:
        """What a function is told of it: ``DATABASE_URL`` and how it proves who it is."""

    def grant_connect(self, lambda_function: lambda_.Function, contract: Function) -> None:
        """Let a function log in as the roles of its manifest entry."""


@dataclass(slots=True)
class Places:
    """Resources by their part in the platform; each stack adds its own. None: not made yet."""

    queues: dict[str, sqs.Queue] = field(default_factory=dict)
    """By the contract's name."""
    dead_letter_queues: dict[str, sqs.Queue] = field(default_factory=dict)
    """By the name of the queue before them."""
    exports_bucket: s3.IBucket | None = None
    tombstones_bucket: s3.IBucket | None = None
    user_pool: cognito.IUserPool | None = None
    user_pool_client_id: str | None = None
    export_state_machine_arn: str | None = None
    web_url: str | None = None
    """Without a slash at the end."""
    origin_secret: str | None = None
    """As a reference that CloudFormation resolves; the template never holds it."""
    login_secrets: Sequence[secretsmanager.ISecret] | None = None
    """Of the functions' log-ins, where these have passwords."""
    mail_identity_arn: str | None = None
    mail_configuration_set: str | None = None
    functions: dict[str, Any] = field(default_factory=dict)
    """Every ``PlatformFunction`` by the contract's name."""


class NotMade(Exception):
    """A function needs what no stack before its own has made."""


def made(thing: Thing | None, what: str) -> Thing:
    """What a stack made. Raises NotMade."""
    if thing is None:
        raise NotMade(f"{what} is made by no stack before this one")
    return thing
