"""One machine runs what the contracts say: all of it, and nothing else."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local import environment, functions_host, scheduler
from local.aws import server, step_functions
from local.aws.identifiers import ACCOUNT, REGION, function_arn
from local.bridge import presence, runner
from local.child import StopRequest
from local.children import BY_THE_SUPERVISOR, CHILDREN, IN_AWS_ALONE, ChildPlan, specs
from local.environment import FROM_OUTSIDE, LEFT_OUT, OF_THE_SDK, VALUES
from local.errors import StartupError
from tests.support.function_probe import ROOT
from tests.support.run_facts import FACTS
from traksense.contracts import topics
from traksense.contracts.buckets import BUCKETS
from traksense.contracts.functions import FUNCTIONS, RUNTIME_ENVIRONMENT, Function
from traksense.contracts.queues import QUEUES
from traksense.contracts.rules import RULES
from traksense.contracts.schedules import SCHEDULES
from traksense.contracts.state_machines import STATE_MACHINES, StateMachine
from traksense.contracts.user_pool import USER_POOL

OF_THE_PLATFORM = tuple(plan for plan in CHILDREN if not plan.demo)
OURS = ("TRAKSENSE_", "COGNITO_", "AWS_", "PROMETHEUS_", "DATABASE_URL")


def told(plan: ChildPlan, inherited: dict[str, str] | None = None) -> set[str]:
    """Variables of the platform's that a child is started with."""
    (spec,) = specs((plan,), FACTS, inherited or {})
    return {name for name in spec.environment if name.startswith(OURS)}


def test_every_function_is_run_by_one_child_or_by_the_supervisor() -> None:
    run = Counter(each.name for plan in OF_THE_PLATFORM for each in plan.functions)
    run.update(each.name for each in (*BY_THE_SUPERVISOR, *IN_AWS_ALONE))
    assert run == Counter(each.name for each in FUNCTIONS)


def test_the_children_run_what_they_are_said_to() -> None:
    by_name = {plan.name: {each.name for each in plan.functions} for plan in OF_THE_PLATFORM}
    assert functions_host.hosted_functions().keys() == by_name["functions"]
    assert {each.function for each in SCHEDULES} == by_name["scheduler"]
    assert set(USER_POOL.triggers.values()) == by_name["aws"]
    for queue in QUEUES:
        assert {queue.function} == by_name[f"worker.{queue.name}"]
    assert by_name["gateway"] == {"api"}
    assert "API.handler" in (ROOT / "local/gateway/__main__.py").read_text("utf-8")


def test_the_supervisor_applies_the_migrations() -> None:
    assert [each.name for each in BY_THE_SUPERVISOR] == ["migrate"]
    assert [each.name for each in IN_AWS_ALONE] == ["rotate"]
    tree = ast.parse((ROOT / "local/supervisor.py").read_text("utf-8"))
    called = {node.func.id for node in ast.walk(tree)
              if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}  # fmt: skip
    assert "migrate" in called


def test_rules_and_queues_are_those_of_the_contracts() -> None:
    names = [plan.arguments for plan in CHILDREN if plan.module == "local.worker"]
    assert names == [(queue.name,) for queue in QUEUES]
    for queue in QUEUES:
        settings = runner.BridgeSettings(queue, environment.STAGE)  # type: ignore[arg-type]
        wanted: list[str] = []
        for rule in RULES:
            if rule.queue == queue:
                of_presence = rule.topic_filter == topics.presence_filter()
                wanted += presence.LOG_FILTERS if of_presence else (rule.topic_filter,)
        assert settings.filters == tuple(wanted)
    assert {rule.queue.name for rule in RULES} == {queue.name for queue in QUEUES}


@dataclass
class Clock(StopRequest):
    """Time that passes where somebody waits, until so many seconds are over."""

    until: float
    now: float = 0.0
    calls: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def wait(self, timeout_s: float | None = None) -> bool:
        assert timeout_s is not None, "the scheduler has nothing to do"
        self.now += timeout_s
        if self.now >= self.until:
            self.request()
        return bool(self)

    def handler_of(self, function: str) -> Any:
        def handler(event: dict[str, Any], _context: object) -> None:
            self.calls.append((function, repr(event)))

        return handler


def test_every_schedule_runs_at_its_rate_with_its_payload_and_none_besides() -> None:
    minutes = 24 * 60
    clock = Clock(until=minutes * 60)
    # As the child makes it, but for the handlers and the time.
    scheduler.Scheduler(handler_of=clock.handler_of, clock=lambda: clock.now).run(clock)
    wanted = {
        (each.function, repr(each.payload)): -(-minutes // each.rate_minutes) for each in SCHEDULES
    }
    assert Counter(clock.calls) == wanted


@pytest.mark.parametrize("machine", STATE_MACHINES, ids=lambda each: each.name)
def test_a_state_machine_is_the_file_with_every_token_given(machine: StateMachine) -> None:
    text = (ROOT / machine.definition).read_text("utf-8")
    assert set(re.findall(r"\$\{(\w+)\}", text)) == machine.tokens.keys()
    for token, function in machine.tokens.items():
        assert function in functions_host.hosted_functions()
        text = text.replace(f"${{{token}}}", function_arn(function))
    assert step_functions.definition_of(machine) == text


def test_the_emulator_makes_every_state_machine_and_no_other() -> None:
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    machines = stepfunctions_parser_backends[ACCOUNT][REGION].state_machines
    machines.clear()
    step_functions.create_state_machines()
    assert [each.name for each in machines] == [each.name for each in STATE_MACHINES]
    machines.clear()


def test_the_user_pool_calls_every_trigger() -> None:
    assert server.triggers().keys() == USER_POOL.triggers.keys()


def test_the_emulator_has_every_bucket_that_is_not_in_the_home() -> None:
    from moto.s3.models import s3_backends

    held = s3_backends[ACCOUNT]["aws"].buckets
    held.clear()
    server.create_buckets()
    assert held.keys() == {each.name for each in BUCKETS if each not in server.IN_THE_HOME}
    held.clear()
    told_of = {each.environment_variable: each for each in BUCKETS}
    for name in told_of.keys() & VALUES.keys():
        assert VALUES[name](FACTS) == told_of[name].name
    assert {name for name in told_of if name in LEFT_OUT} == {
        each.environment_variable for each in server.IN_THE_HOME
    }


@pytest.mark.parametrize("plan", OF_THE_PLATFORM, ids=lambda each: each.name)
def test_a_child_is_told_what_its_functions_read(plan: ChildPlan) -> None:
    chosen = dict.fromkeys(FROM_OUTSIDE, "7")
    for function in plan.functions:
        wanted = set(function.environment) - LEFT_OUT.keys()
        assert wanted <= told(plan, chosen)
        if function.uses:
            assert set(RUNTIME_ENVIRONMENT) - LEFT_OUT.keys() <= told(plan)


@pytest.mark.parametrize("plan", CHILDREN, ids=lambda each: each.name)
def test_a_child_is_told_nothing_that_nobody_in_it_reads(plan: ChildPlan) -> None:
    read = {name for function in plan.functions for name in function.environment}
    if any(function.uses for function in plan.functions):
        read |= {*RUNTIME_ENVIRONMENT, *OF_THE_SDK}
    own = told(plan, dict.fromkeys(FROM_OUTSIDE, "7")) - read
    assert own <= named_in(plan.module)


def named_in(module: str) -> set[str]:
    """Texts in a module and in all of this project's that it imports, but for the two that hand
    variables out.
    """
    found: set[str] = set()
    seen = {"local.environment", "local.children"}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = file_of(name)
        if name in seen or path is None:
            continue
        seen.add(name)
        package = name if path.name in ("__init__.py", "__main__.py") else name.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    above = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*above, *([node.module] if node.module else [])])
                waiting += [base, *(f"{base}.{each.name}" for each in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [each.name for each in node.names]
    return found


def file_of(module: str) -> Path | None:
    """A child's package is run by its ``__main__``."""
    if not module.startswith(("local", "device_sim")):
        return None
    path = ROOT / Path(*module.split("."))
    places = (path.with_suffix(".py"), path / "__main__.py", path / "__init__.py")
    return next((each for each in places if each.is_file()), None)


def test_what_is_left_out_is_read_by_functions_and_has_a_reason() -> None:
    named = {name for each in FUNCTIONS for name in each.environment} | set(RUNTIME_ENVIRONMENT)
    assert LEFT_OUT.keys() <= named
    assert all(len(reason) > 20 for reason in LEFT_OUT.values())
    assert not LEFT_OUT.keys() & (VALUES.keys() | set(FROM_OUTSIDE))


def test_every_value_is_some_childs() -> None:
    everything = set().union(*(told(plan) for plan in CHILDREN))
    assert everything == VALUES.keys() | {environment.DATABASE_URL}
    may_be_set = set().union(*(told(plan, dict.fromkeys(FROM_OUTSIDE, "7")) for plan in CHILDREN))
    assert may_be_set - everything == set(FROM_OUTSIDE)


def test_a_variable_that_nobody_gives_a_value_stops_the_start() -> None:
    function = Function("new", "x:y", "queue", 1, 1, (), environment=("TRAKSENSE_NEW",))
    plan = ChildPlan("new", "local.worker", functions=(function,))
    with pytest.raises(StartupError, match="TRAKSENSE_NEW"):
        list(specs((plan,), FACTS, {}))
