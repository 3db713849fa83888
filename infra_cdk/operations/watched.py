"""What the operations stack watches: names of resources, so that it ties no stack to itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Aws

from infra_cdk.constructs.postgresql import name_of
from infra_cdk.cost.sizing import GIB, memory_gib_of
from infra_cdk.settings import StageSettings, functions_of
from infra_cdk.stacks.ingest import rule_name
from infra_cdk.stacks.web import API_STAGE
from traksense.contracts.queues import QUEUES
from traksense.contracts.rules import RULES
from traksense.contracts.state_machines import STATE_MACHINES


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedDatabase:
    """The database, as far as AWS measures it. Nothing of it for an external one."""

    instance: str | None = None
    """Of RDS: its identifier."""
    cluster: str | None = None
    """Of Aurora: its identifier."""
    memory_bytes: int | None = None
    """Of the instance; None where it changes with the load."""
    connections: int
    """Its ``max_connections``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Names of one stage's resources, as CloudWatch's dimensions have them."""

    queues: Mapping[str, str]
    """Names of SQS queues, by the contract's name."""
    dead_letter_queues: Mapping[str, str]
    """Names of the queues behind them, by the name of the queue before."""
    functions: Mapping[str, str]
    """Names of Lambda functions, by the contract's name."""
    rules: Mapping[str, str]
    """Names of IoT rules, by the contract's name."""
    rest_api: str
    rest_api_stage: str
    state_machines: Mapping[str, str]
    """ARNs, by the contract's name."""
    schedule_group: str
    mail_configuration_set: str
    database: WatchedDatabase


def watched_of(settings: StageSettings) -> Watched:
    """What the stacks of a stage are called; the tests hold it to their templates.

    Raises UnknownClass for an instance whose memory is not known.
    """
    made = f"traksense-{settings.stage}"
    return Watched(
        queues={each.name: f"{made}-{each.name}" for each in QUEUES},
        dead_letter_queues={each.name: f"{made}-{each.dead_letter_name}" for each in QUEUES},
        functions={
            each.name: f"{made}-{each.name.replace('_', '-')}" for each in functions_of(settings)
        },
        rules={each.name: rule_name(settings.stage, each) for each in RULES},
        rest_api=made,
        rest_api_stage=API_STAGE,
        state_machines={
            each.name: f"arn:{Aws.PARTITION}:states:{Aws.REGION}:{Aws.ACCOUNT_ID}:stateMachine:"
            f"{each.name}-{settings.stage}"
            for each in STATE_MACHINES
        },
        schedule_group=made,
        mail_configuration_set=made,
        database=database_of(settings),
    )


def database_of(settings: StageSettings) -> WatchedDatabase:
    """The stage's database, by the name that its stack gives it.

    Raises UnknownClass for an instance whose memory is not known.
    """
    chosen = settings.database
    if chosen.kind == "rds":
        memory = memory_gib_of(f"db.{chosen.rds.instance_type}") * GIB
        return WatchedDatabase(
            instance=name_of(settings), memory_bytes=memory, connections=chosen.connections
        )
    if chosen.kind == "aurora":
        return WatchedDatabase(cluster=name_of(settings), connections=chosen.connections)
    return WatchedDatabase(connections=chosen.connections)
