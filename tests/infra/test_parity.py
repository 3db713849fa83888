"""The contracts, the templates and the local platform know the same: none has more than another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.environment import DATABASE, DEFAULTS, LOCAL, RUNTIME
from infra_cdk.packaging.targets import ROOT
from local import children
from local.bridge import runner
from tests.infra.stages import of_type
from traksense.contracts.functions import FUNCTIONS, ROTATE, Function
from traksense.contracts.queues import QUEUES
from traksense.contracts.rules import RULES
from traksense.contracts.schedules import SCHEDULES, Schedule
from traksense.contracts.state_machines import STATE_MACHINES
from traksense.contracts.user_pool import USER_POOL

Templates = dict[str, dict[str, Any]]

TRIGGERED_BY_HAND = {"migrate"}
"""Functions that only a deployment calls."""
OF_THE_CDK = re.compile(r"^(Custom|AWS679f53fac002430cb0da5b7982bd2287|.*Provider)")
"""Logical ids of functions that the CDK brings along for its custom resources."""


def all_of(templates: Templates, kind: str) -> dict[str, dict[str, Any]]:
    """Resources of a type over all stacks, by stack and logical id."""
    return {
        f"{stack}/{name}": resource["Properties"]
        for stack, template in templates.items()
        for name, resource in of_type(template, kind).items()
    }


def functions_of(templates: Templates) -> dict[str, dict[str, Any]]:
    """Functions by the contract's name."""
    return {
        properties["FunctionName"].removeprefix("traksense-prod-").replace("-", "_"): properties
        for logical, properties in all_of(templates, "AWS::Lambda::Function").items()
        if not OF_THE_CDK.match(logical.split("/")[1])
    }


def test_every_function_is_in_the_templates_and_no_other(
    prod: Templates, external: Templates
) -> None:
    assert functions_of(external).keys() == {each.name for each in FUNCTIONS}
    assert functions_of(external).keys() - functions_of(prod).keys() == {ROTATE.name}


@pytest.mark.parametrize("kind", ["prod", "external"])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_a_function_is_told_what_its_manifest_entry_names(
    kind: str, function: Function, request: pytest.FixtureRequest
) -> None:
    if kind == "prod" and function is ROTATE:
        return
    properties = functions_of(request.getfixturevalue(kind))[function.name]
    assert properties["Handler"] == function.handler.replace(":", ".")
    assert properties["MemorySize"] == function.memory_mb
    assert properties["Timeout"] == function.timeout_s
    assert len(properties["Layers"]) == 2 + len(function.layers)
    told = set(properties["Environment"]["Variables"])
    wanted = set(function.environment)
    assert told <= wanted
    assert wanted - told <= DEFAULTS | LOCAL | RUNTIME
    if function.database_roles:
        assert wanted & DATABASE <= told


def test_rules_and_queues_are_the_same_in_all_three(prod: Templates) -> None:
    rules = {
        each["RuleName"].removeprefix("traksense_prod_"): each["TopicRulePayload"]["Sql"]
        for each in all_of(prod, "AWS::IoT::TopicRule").values()
    }
    assert rules == {rule.name: rule.sql for rule in RULES}
    assert runner.RULES is RULES
    queues = {
        each["QueueName"].removeprefix("traksense-prod-")
        for each in all_of(prod, "AWS::SQS::Queue").values()
    }
    assert queues == {name for each in QUEUES for name in (each.name, each.dead_letter_name)}
    workers = {
        each.name.removeprefix("worker.")
        for each in children.CHILDREN
        if each.name.startswith("worker.")
    }
    assert workers == {queue.name for queue in QUEUES}


def test_schedules_are_those_of_the_contracts(prod: Templates) -> None:
    found = of_type(prod["maintenance"], "AWS::Scheduler::Schedule").values()
    by_name = {each["Properties"]["Name"]: each["Properties"] for each in found}
    assert by_name.keys() == {schedule.name for schedule in SCHEDULES}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda each: each.name)
def test_a_schedule_calls_its_function_at_its_rate(prod: Templates, schedule: Schedule) -> None:
    (found,) = [
        each["Properties"]
        for each in of_type(prod["maintenance"], "AWS::Scheduler::Schedule").values()
        if each["Properties"]["Name"] == schedule.name
    ]
    count, unit = re.fullmatch(r"rate\((\d+) (minutes?)\)", found["ScheduleExpression"]).groups()  # type: ignore[union-attr]
    assert int(count) == schedule.rate_minutes
    assert unit == ("minute" if schedule.rate_minutes == 1 else "minutes")
    assert json.loads(found["Target"]["Input"]) == schedule.payload
    target = prod["maintenance"]["Resources"][found["Target"]["Arn"]["Fn::GetAtt"][0]]
    assert target["Properties"]["FunctionName"] == f"traksense-prod-{schedule.function}"
    assert found["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 0


def test_the_state_machine_is_the_file_with_every_token_given(prod: Templates) -> None:
    machines = all_of(prod, "AWS::StepFunctions::StateMachine")
    assert len(machines) == len(STATE_MACHINES)
    (properties,) = machines.values()
    (contract,) = STATE_MACHINES
    text = Path(ROOT / contract.definition).read_text("utf-8")
    assert properties["DefinitionString"] == text
    tokens = set(re.findall(r"\$\{(\w+)\}", text))
    assert tokens == contract.tokens.keys() == properties["DefinitionSubstitutions"].keys()
    for token, name in contract.tokens.items():
        logical = properties["DefinitionSubstitutions"][token]["Fn::GetAtt"][0]
        function = prod["exports"]["Resources"][logical]["Properties"]
        assert function["FunctionName"] == f"traksense-prod-{name.replace('_', '-')}"


def test_every_function_has_who_calls_it(prod: Templates, external: Templates) -> None:
    """By its trigger: nothing in the manifest waits for a call that never comes."""
    called = {queue.function for queue in QUEUES}
    called |= {schedule.function for schedule in SCHEDULES}
    called |= {name for machine in STATE_MACHINES for name in machine.tokens.values()}
    called |= set(USER_POOL.triggers.values()) | {"api"} | TRIGGERED_BY_HAND
    assert called == {each.name for each in FUNCTIONS} - {ROTATE.name}
    rotated = all_of(external, "AWS::SecretsManager::RotationSchedule").values()
    secrets = {json.dumps(each["SecretId"]) for each in rotated}
    assert len(secrets) == len([each for each in FUNCTIONS if each.database_roles])
    assert not all_of(prod, "AWS::SecretsManager::RotationSchedule")
    assert len(all_of(prod, "AWS::Lambda::EventSourceMapping")) == len(QUEUES)


def test_both_stages_have_the_same_functions_rules_and_schedules(
    prod: Templates, dev: Templates
) -> None:
    for kind in ("AWS::IoT::TopicRule", "AWS::Scheduler::Schedule", "AWS::ApiGateway::Method"):
        assert all_of(prod, kind).keys() == all_of(dev, kind).keys()
