"""A Lambda function as its manifest entry says, with a role, a log and a place of its own."""

from __future__ import annotations

from typing import Final

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra_cdk.acknowledged import acknowledge
from infra_cdk.concurrency import shares
from infra_cdk.constructs.names import pascal
from infra_cdk.constructs.removal import removal
from infra_cdk.environment import environment_of
from infra_cdk.packages import Packages
from infra_cdk.packaging.names import CODE, EVERYWHERE
from infra_cdk.permissions import statements
from infra_cdk.places import DatabaseAccess, FunctionsNetwork, Places
from infra_cdk.settings import StageSettings
from traksense.contracts.functions import FUNCTIONS, Function

RUNTIME: Final = lambda_.Runtime.PYTHON_3_13
ARCHITECTURE: Final = lambda_.Architecture.ARM_64

LEAST_EVENT_AGE_S: Final = 60
"""How long Lambda may hold a scheduled call: the next one does its work as well."""

IN_A_NETWORK: Final = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
"""What Lambda needs of the role to give a function an address; tied to no resource, since the
interfaces are made and named by Lambda (AWS Lambda developer guide, "Required IAM permissions")."""


class PlatformFunction(Construct):
    """One function of the manifest."""

    def __init__(
        self,
        scope: Construct,
        contract: Function,
        *,
        settings: StageSettings,
        packages: Packages,
        places: Places,
        network: FunctionsNetwork,
        database: DatabaseAccess | None,
    ) -> None:
        """``database``: for a function that talks to it. Raises UnknownVariable, NotMade."""
        super().__init__(scope, pascal(contract.name))
        if contract.has_database != (database is not None):
            raise ValueError(f"{contract.name}: a database is for who talks to it")
        self.contract: Final = contract
        stack = Stack.of(self)
        name = f"traksense-{settings.stage}-{contract.name.replace('_', '-')}"
        self.log: Final = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/traksense/{settings.stage}/{contract.name}",
            retention=retention_of(settings.functions.log_retention_days),
            removal_policy=removal(keep=settings.keep_data),
        )
        self.role: Final = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {name} may do, by its manifest entry",
        )
        self.log.grant_write(self.role)
        for statement in statements(contract, stack, places):
            self.role.add_to_policy(statement)
        in_network = database is not None
        if in_network:
            self.role.add_to_policy(
                iam.PolicyStatement(actions=list(IN_A_NETWORK), resources=["*"])
            )
        self.function: Final = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description=f"TrakSense {contract.name}",
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            handler=contract.handler.replace(":", "."),
            code=packages.code(CODE),
            layers=[layer(stack, packages, each) for each in (*EVERYWHERE, *contract.layers)],
            memory_size=contract.memory_mb,
            timeout=Duration.seconds(contract.timeout_s),
            environment=environment_of(contract, places, settings, database),
            role=self.role,
            log_group=self.log,
            reserved_concurrent_executions=_reserved(contract, settings, database),
            # Only the schedules call a function without waiting: what fails comes again by itself.
            retry_attempts=0 if contract.trigger == "schedule" else None,
            max_event_age=(
                Duration.seconds(LEAST_EVENT_AGE_S) if contract.trigger == "schedule" else None
            ),
            **_place(network) if in_network else {},
        )
        if database is not None:
            database.grant_connect(self.function, contract)
        acknowledge(
            self.function, "L1", "python3.13 is what the layers are compiled for and tested with"
        )
        if in_network:
            acknowledge(
                self.role,
                "IAM5[Resource::*]",
                "the network interfaces that Lambda makes have no name before it makes them",
            )
        places.functions[contract.name] = self


def layer(stack: Stack, packages: Packages, name: str) -> lambda_.ILayerVersion:
    """A layer of a stack, made once. Each stack has its own: a version that another stack uses
    could not be replaced.
    """
    found = stack.node.try_find_child(f"Layer{pascal(name)}")
    if found is not None:
        return found
    return lambda_.LayerVersion(
        stack,
        f"Layer{pascal(name)}",
        code=packages.code(name),
        compatible_runtimes=[RUNTIME],
        compatible_architectures=[ARCHITECTURE],
        description=f"TrakSense {name}",
    )


def retention_of(days: int) -> logs.RetentionDays:
    """Of a log group; by the number of days."""
    return _RETENTION[days]


_RETENTION: Final = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}


def _place(network: FunctionsNetwork) -> dict[str, object]:
    return {
        "vpc": network.vpc,
        "vpc_subnets": network.functions_subnets,
        "security_groups": [network.functions_security_group],
    }


def _reserved(
    contract: Function, settings: StageSettings, database: DatabaseAccess | None
) -> int | None:
    if database is None or not contract.database_roles:
        return None
    if not settings.functions.reserve_concurrency:
        return None
    return shares(database.connections, _all_with(contract))[contract.name]


def _all_with(contract: Function) -> tuple[Function, ...]:
    return FUNCTIONS if contract in FUNCTIONS else (*FUNCTIONS, contract)
