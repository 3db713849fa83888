"""The platform's Python children, as data, and what each is told by its environment."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from traksense.contracts import functions
from traksense.contracts.functions import Function, function_of, triggered_by
from traksense.contracts.queues import QUEUES
from traksense.contracts.schedules import SCHEDULES
from traksense.contracts.user_pool import USER_POOL

from .environment import RunFacts, environment_of
from .processes import ChildSpec
from .prometheus import ENVIRONMENT as METRICS_FOLDER

ENDPOINTS: Final = "{endpoints}"
"""Stands in a child's arguments for the path of endpoints.json."""


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """One child: ``python -m module *arguments``."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    functions: tuple[Function, ...] = ()
    """What it runs of the manifest; those with a database take the same roles."""
    reads: tuple[str, ...] = ()
    """Variables that it reads besides those that its functions do."""
    stage: int = 1
    """Children of a higher stage are stopped first."""
    demo: bool = False
    """Part of the demo: started after READY, and the platform goes on without it."""
    announces: bool = True
    """It says when it is ready."""

    @property
    def login(self) -> str | None:
        """The function whose database log-in it uses: one is enough."""
        return next((each.name for each in self.functions if each.database_roles), None)


HOST: Final = ("TRAKSENSE_FUNCTIONS_KEY", "TRAKSENSE_FUNCTIONS_URL")
"""Where the functions of state machines are called."""
EMULATOR: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_SECRET_ACCESS_KEY",
    "COGNITO_CLIENT_ID",
    "COGNITO_USER_POOL_ID",
    "TRAKSENSE_HOME",
    "TRAKSENSE_LOG_LEVEL",
    "TRAKSENSE_MQTT_PORT",
)
"""What ``AwsSettings`` requires."""

AWS: Final = ChildPlan(
    "aws",
    "local.aws",
    functions=tuple(function_of(name) for name in USER_POOL.triggers.values()),
    reads=(*EMULATOR, *HOST),
    stage=0,
)

CHILDREN: Final = (
    AWS,
    *(
        ChildPlan(
            f"worker.{queue.name}",
            "local.worker",
            (queue.name,),
            functions=(function_of(queue.function),),
            reads=("TRAKSENSE_BROKER_PORT", "TRAKSENSE_HOME", "TRAKSENSE_STAGE", METRICS_FOLDER),
        )
        for queue in QUEUES
    ),
    ChildPlan(
        "functions",
        "local.functions_host",
        functions=triggered_by("state_machine"),
        reads=(*HOST, METRICS_FOLDER),
    ),
    ChildPlan(
        "scheduler",
        "local.scheduler",
        functions=tuple(
            function_of(name) for name in dict.fromkeys(each.function for each in SCHEDULES)
        ),
        reads=(*EMULATOR, METRICS_FOLDER),
        stage=2,
    ),
    ChildPlan(
        "gateway",
        "local.gateway",
        functions=triggered_by("http"),
        reads=("TRAKSENSE_HOME", "TRAKSENSE_HTTP_PORT", METRICS_FOLDER),
        stage=2,
    ),
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
        functions=(functions.INGEST,),
        reads=("TRAKSENSE_HOME",),
        stage=3,
        demo=True,
        announces=False,
    ),
)
"""Every child, in the order of their start."""

BY_THE_SUPERVISOR: Final = (functions.MIGRATE,)
"""Functions that no child runs: the supervisor applies the migrations before anything starts."""
IN_AWS_ALONE: Final = (functions.ROTATE,)
"""Functions that one machine has no use for: its log-ins' passwords leave it never."""


def specs(
    plans: tuple[ChildPlan, ...], facts: RunFacts, inherited: Mapping[str, str]
) -> Iterator[ChildSpec]:
    """Children to start. ``inherited`` is the supervisor's own environment. Raises StartupError."""
    for plan in plans:
        arguments = (
            str(facts.home / "endpoints.json") if argument == ENDPOINTS else argument
            for argument in plan.arguments
        )
        yield ChildSpec(
            name=plan.name,
            command=(sys.executable, "-m", plan.module, *arguments),
            environment=environment_of(plan.functions, plan.reads, plan.login, facts, inherited),
            essential=not plan.demo,
            announces=plan.announces,
            stage=plan.stage,
        )
