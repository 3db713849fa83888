"""How functions reach the database: its address, and how their log-ins prove who they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager

from traksense.contracts.functions import Function
from traksense.db.logins import login_name

AUTHORITIES: Final = "/opt/python/traksense/aws/database-authorities.pem"
"""In the core layer."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is, and how its certificate is checked."""

    host: str
    port: int
    name: str
    tls: str

    def url(self, user: str | None = None) -> str:
        """Its URL, without a password."""
        login = "" if user is None else f"{user}@"
        return f"postgresql://{login}{self.host}:{self.port}/{self.name}?{self.tls}"


KEPT_FREE: Final = 20
"""Connections that functions do not get: the server's own, a migration's two, the second one of
maintenance's jobs, a rotation's, and people's."""
OF_AWS: Final = f"sslmode=verify-full&sslrootcert={AUTHORITIES}"
"""Signed by one of Amazon's authorities."""
PUBLICLY_TRUSTED: Final = "sslmode=verify-full&sslrootcert=/etc/pki/tls/certs/ca-bundle.crt"
"""Signed by an authority that Amazon Linux trusts."""
ENCRYPTED_ONLY: Final = "sslmode=require"
"""Encrypted, to whoever answers."""


def connect_as(stack: Stack, functions: Sequence[str]) -> iam.PolicyStatement:
    """Logging in as some functions, by their names, to whichever database of the account and region
    has these log-ins: a restored one has the name of the one before and another resource id
    (ADR 34).
    """
    return iam.PolicyStatement(
        actions=["rds-db:connect"],
        resources=[
            stack.format_arn(
                service="rds-db",
                resource="dbuser",
                resource_name=f"*/{login_name(function)}",
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            )
            for function in functions
        ],
    )


@dataclass(frozen=True, slots=True)
class IamAccess:
    """RDS, Aurora and RDS Proxy: a function's role is what it logs in by."""

    address: Address
    connections: int

    def environment(self, function: Function) -> dict[str, str]:
        """The URL with the log-in's name, for which the function signs a token."""
        return {
            "DATABASE_URL": self.address.url(login_name(function.name)),
            "TRAKSENSE_DATABASE_AUTH": "rds-iam",
        }

    def grant_connect(self, lambda_function: lambda_.Function, contract: Function) -> None:
        """Allow ``rds-db:connect`` as the one log-in."""
        stack = Stack.of(lambda_function)
        lambda_function.add_to_role_policy(connect_as(stack, [contract.name]))


@dataclass(frozen=True, slots=True)
class SecretAccess:
    """A database elsewhere: each function has a secret with its log-in's password."""

    address: Address
    connections: int
    secrets: Mapping[str, secretsmanager.ISecret] = field(repr=False)
    """By the function's name."""

    def environment(self, function: Function) -> dict[str, str]:
        """The URL with the log-in's name, and the secret that has its password."""
        return {
            "DATABASE_URL": self.address.url(login_name(function.name)),
            "TRAKSENSE_DATABASE_AUTH": self.secrets[function.name].secret_arn,
        }

    def grant_connect(self, lambda_function: lambda_.Function, contract: Function) -> None:
        """Allow the one secret."""
        allow_reading(lambda_function, self.secrets[contract.name])


@dataclass(frozen=True, slots=True)
class AdministratorAccess:
    """The administrator's way in, past any proxy: a migration's alone."""

    address: Address
    administrator: secretsmanager.ISecret
    passwords: Mapping[str, secretsmanager.ISecret] = field(default_factory=dict, repr=False)
    """Secrets that it gives to the functions' log-ins, by the function's name."""

    @property
    def connections(self) -> int:
        """One for the lock, one for the work; kept free of the functions'."""
        return 2

    def environment(self, _function: Function) -> dict[str, str]:
        """The URL without a log-in, and the secret that has it."""
        return {
            "DATABASE_URL": self.address.url(),
            "TRAKSENSE_DATABASE_ADMINISTRATOR": self.administrator.secret_arn,
        }

    def grant_connect(self, lambda_function: lambda_.Function, _contract: Function) -> None:
        """Allow the administrator's secret, and those of the log-ins."""
        for secret in (self.administrator, *self.passwords.values()):
            allow_reading(lambda_function, secret)


def allow_reading(grantee: iam.IGrantable, secret: secretsmanager.ISecret) -> None:
    """Allow the value alone: the CDK's own grant also lets the secret be described."""
    iam.Grant.add_to_principal(
        grantee=grantee,
        actions=["secretsmanager:GetSecretValue"],
        # One that is known by its name alone has six characters more, which nobody knows.
        resource_arns=[secret.secret_full_arn or f"{secret.secret_arn}-??????"],
    )


@dataclass(frozen=True, slots=True)
class LoginsAccess:
    """The way in of whoever changes the log-ins' passwords: as each of them."""

    address: Address
    connections: int = 1

    def environment(self, _function: Function) -> dict[str, str]:
        """The URL without a log-in: each secret has its own."""
        return {"DATABASE_URL": self.address.url()}

    def grant_connect(self, lambda_function: lambda_.Function, contract: Function) -> None:
        """Nothing more than its manifest's use of the secrets."""
