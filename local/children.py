"""The platform's Python children, as data, and what each is told by its environment."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from traksense.contracts import functions
from traksense.contracts.buckets import EXPORTS
from traksense.contracts.queues import QUEUES
from traksense.contracts.state_machines import STATE_MACHINES

from .aws.identifiers import REGION, SENDER, PoolIds, state_machine_arn
from .processes import ChildSpec
from .prometheus import ENVIRONMENT as METRICS_FOLDER

STAGE: Final = "busy"
"""The batching that the local queues use, the same as a busy stage's in AWS."""

ENDPOINTS: Final = "{endpoints}"
"""Stands in a child's arguments for the path of endpoints.json."""

FROM_OUTSIDE: Final = (
    "TRAKSENSE_PREPARE",
    *functions.RETENTION_ENVIRONMENT,
    *functions.QUOTA_ENVIRONMENT,
)
"""What a person may set for the functions."""


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """One child: ``python -m module *arguments``."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    login: str | None = None
    """The function whose database log-in it uses."""
    stage: int = 1
    """Children of a higher stage are stopped first."""
    demo: bool = False
    """Part of the demo: started after READY, and the platform goes on without it."""
    announces: bool = True
    """It says when it is ready."""


AWS: Final = ChildPlan("aws", "local.aws", stage=0)

CHILDREN: Final = (
    AWS,
    *(
        ChildPlan(f"worker.{queue.name}", "local.worker", (queue.name,), login=queue.function)
        for queue in QUEUES
    ),
    # The functions of state machines take the same role, so that one log-in is enough.
    ChildPlan("functions", "local.functions_host", login=functions.EXPORT_CHUNK.name),
    ChildPlan("scheduler", "local.scheduler", login=functions.MAINTENANCE.name, stage=2),
    ChildPlan("gateway", "local.gateway", login=functions.API.name, stage=2),
    ChildPlan(
        "device_sim",
        "device_sim",
        ("--child", "--endpoints", ENDPOINTS),
        stage=3,
        demo=True,
        announces=False,
    ),
    ChildPlan(
        "history",
        "local.demo.history",
        login=functions.INGEST.name,
        stage=3,
        demo=True,
        announces=False,
    ),
)
"""Every child, in the order of their start."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is decided once for a run and told to the children."""

    home: Path
    http_port: int
    mqtt_port: int
    aws_port: int
    access_key: str
    secret_key: str = field(repr=False)
    pool: PoolIds
    log_level: str
    functions_port: int = 0
    functions_key: str = field(default="", repr=False)
    broker_port: int = 0
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Database URL by function name."""

    @property
    def web_url(self) -> str:
        """Where the page and the API are."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def aws_url(self) -> str:
        """Where the AWS emulator listens."""
        return f"http://127.0.0.1:{self.aws_port}"


def specs(
    plans: tuple[ChildPlan, ...], facts: RunFacts, inherited: Mapping[str, str]
) -> Iterator[ChildSpec]:
    """Children to start. ``inherited`` is the supervisor's own environment."""
    for plan in plans:
        arguments = (
            str(facts.home / "endpoints.json") if argument == ENDPOINTS else argument
            for argument in plan.arguments
        )
        yield ChildSpec(
            name=plan.name,
            command=(sys.executable, "-m", plan.module, *arguments),
            environment=environment(plan, facts, inherited),
            essential=not plan.demo,
            announces=plan.announces,
            stage=plan.stage,
        )


def environment(plan: ChildPlan, facts: RunFacts, inherited: Mapping[str, str]) -> dict[str, str]:
    """A child's environment: the person's own, without her databases and AWS accounts."""
    told = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(("AWS_", "PG", "TRAKSENSE_")) and name != "DATABASE_URL"
    }
    told |= {name: inherited[name] for name in FROM_OUTSIDE if name in inherited}
    told |= {
        "TRAKSENSE_HOME": str(facts.home),
        "TRAKSENSE_STAGE": STAGE,
        "TRAKSENSE_HTTP_PORT": str(facts.http_port),
        "TRAKSENSE_MQTT_PORT": str(facts.mqtt_port),
        "TRAKSENSE_BROKER_PORT": str(facts.broker_port),
        "TRAKSENSE_LOG_LEVEL": facts.log_level,
        # The child chooses its sink itself, before the function is loaded.
        "TRAKSENSE_METRICS": "none",
        METRICS_FOLDER: str(facts.home / "metrics"),
        "AWS_ENDPOINT_URL": facts.aws_url,
        "AWS_ACCESS_KEY_ID": facts.access_key,
        "AWS_SECRET_ACCESS_KEY": facts.secret_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        # No metadata service, no profile: nothing but what stands here.
        "AWS_EC2_METADATA_DISABLED": "true",
        "COGNITO_USER_POOL_ID": facts.pool.user_pool_id,
        "COGNITO_CLIENT_ID": facts.pool.client_id,
        "TRAKSENSE_WEB_URL": facts.web_url,
        "TRAKSENSE_FUNCTIONS_URL": f"http://127.0.0.1:{facts.functions_port}",
        "TRAKSENSE_FUNCTIONS_KEY": facts.functions_key,
        "TRAKSENSE_EXPORTS_BUCKET": EXPORTS.name,
        **{each.environment_variable: state_machine_arn(each.name) for each in STATE_MACHINES},
        "TRAKSENSE_MAIL_FROM": f"TrakSense <{SENDER}>",
        "TRAKSENSE_DEVICE_CA": str(facts.home / "certificates" / "ca.crt"),
    }
    if plan.login is not None:
        told["DATABASE_URL"] = facts.logins[plan.login]
    return told
