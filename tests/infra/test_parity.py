"""The contracts, the templates and the local platform know the same: none has more than another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.environment import DATABASE, DEFAULTS, LOCAL
from infra_cdk.packaging.targets import ROOT
from tests.infra.stages import of_type
from traksense.contracts.buckets import BUCKETS, Bucket
from traksense.contracts.functions import FUNCTIONS, ROTATE, Function
from traksense.contracts.queues import QUEUES, Queue
from traksense.contracts.rules import RULES
from traksense.contracts.schedules import SCHEDULES, Schedule
from traksense.contracts.state_machines import STATE_MACHINES
from traksense.contracts.user_pool import USER_POOL

Templates = dict[str, dict[str, Any]]

TRIGGERED_BY_HAND = {"migrate"}
"""Functions that only a deployment calls."""
BUCKETS_OF_THE_DEPLOYMENT = {
    "ingest/RefusedMessages": "what IoT Core's rules could not hand to a queue, for people",
    "web/Page": "the page's files, which the gateway serves from this folder on one machine",
    "web/Logs": "CloudFront's, for people",
}
"""Buckets that no function reads or writes."""
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
    assert wanted - told <= DEFAULTS | LOCAL
    if function.database_roles:
        assert wanted & DATABASE <= told


def test_rules_and_queues_are_those_of_the_contracts(prod: Templates) -> None:
    rules = {
        each["RuleName"].removeprefix("traksense_prod_"): each["TopicRulePayload"]["Sql"]
        for each in all_of(prod, "AWS::IoT::TopicRule").values()
    }
    assert rules == {rule.name: rule.sql for rule in RULES}
    queues = {
        each["QueueName"].removeprefix("traksense-prod-")
        for each in all_of(prod, "AWS::SQS::Queue").values()
    }
    assert queues == {name for each in QUEUES for name in (each.name, each.dead_letter_name)}


@pytest.mark.parametrize("queue", QUEUES, ids=lambda each: each.name)
def test_a_queue_feeds_its_function_as_the_contract_says(prod: Templates, queue: Queue) -> None:
    resources = prod["ingest"]["Resources"]
    names = {logical: each["Properties"].get("QueueName") for logical, each in resources.items()}
    (logical,) = [each for each, name in names.items() if name == f"traksense-prod-{queue.name}"]
    properties = resources[logical]["Properties"]
    assert properties["VisibilityTimeout"] == queue.visibility_s
    assert properties["MessageRetentionPeriod"] == queue.retention_s
    assert properties["RedrivePolicy"]["maxReceiveCount"] == queue.max_receives
    dead = properties["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    assert names[dead] == f"traksense-prod-{queue.dead_letter_name}"
    (source,) = [
        each
        for each in all_of(prod, "AWS::Lambda::EventSourceMapping").values()
        if each["EventSourceArn"]["Fn::GetAtt"][0] == logical
    ]
    function = resources[source["FunctionName"]["Ref"]]["Properties"]["FunctionName"]
    assert function == f"traksense-prod-{queue.function.replace('_', '-')}"
    batching = queue.batching["busy"]
    assert source["BatchSize"] == batching.size
    assert source["MaximumBatchingWindowInSeconds"] == batching.window_s
    assert source["ScalingConfig"] == {"MaximumConcurrency": queue.max_concurrency}


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


def test_the_user_pool_calls_every_trigger_and_no_other(prod: Templates) -> None:
    (pool,) = all_of(prod, "AWS::Cognito::UserPool").values()
    api = prod["api"]["Resources"]
    called = {
        trigger: api[arn["Fn::GetAtt"][0]]["Properties"]["FunctionName"]
        for trigger, arn in pool["LambdaConfig"].items()
    }
    assert called == {
        trigger: f"traksense-prod-{name.replace('_', '-')}"
        for trigger, name in USER_POOL.triggers.items()
    }
    assert {each["Name"] for each in pool["Schema"]} == {
        each.name.removeprefix("custom:") for each in USER_POOL.attributes
    }
    groups = all_of(prod, "AWS::Cognito::UserPoolGroup").values()
    assert [each["GroupName"] for each in groups] == [each.name for each in USER_POOL.groups]


def bucket_behind(templates: Templates, variable: str) -> str:
    """The one bucket whose name functions are told by a variable, as ``stack/logical id``."""
    found = set()
    for function in functions_of(templates).values():
        value = function["Environment"]["Variables"].get(variable)
        if value is not None:
            reference = value["Ref"] if "Ref" in value else exported(templates, value)
            found.add(reference)
    (logical,) = found
    (place,) = [each for each in all_of(templates, "AWS::S3::Bucket")
                if each.split("/")[1] == logical]  # fmt: skip
    return place


def exported(templates: Templates, value: dict[str, Any]) -> str:
    """The logical id of what another stack exports under a name."""
    (found,) = [
        output["Value"]["Ref"]
        for template in templates.values()
        for output in template.get("Outputs", {}).values()
        if output.get("Export", {}).get("Name") == value["Fn::ImportValue"]
    ]
    return str(found)


@pytest.mark.parametrize("bucket", BUCKETS, ids=lambda each: each.name)
def test_a_bucket_is_what_the_contract_says(prod: Templates, bucket: Bucket) -> None:
    place = bucket_behind(prod, bucket.environment_variable)
    properties = all_of(prod, "AWS::S3::Bucket")[place]
    (rule,) = properties["LifecycleConfiguration"]["Rules"]
    assert rule.get("ExpirationInDays") == bucket.expires_after_days
    assert rule["AbortIncompleteMultipartUpload"] == {
        "DaysAfterInitiation": bucket.uploads_end_after_days
    }
    assert ("VersioningConfiguration" in properties) == bucket.versioned


def test_there_is_no_bucket_besides_those_and_the_deployments(prod: Templates) -> None:
    of_functions = {bucket_behind(prod, bucket.environment_variable) for bucket in BUCKETS}
    others = all_of(prod, "AWS::S3::Bucket").keys() - of_functions
    assert {
        re.sub(r"[0-9A-F]{8}$", "", each) for each in others
    } == BUCKETS_OF_THE_DEPLOYMENT.keys()


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
