"""The devices' side in a template: what the contracts say, and nothing that reaches further."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.stacks.ingest import IngestStack
from tests.infra.stages import app as new_app
from tests.infra.stages import (
    as_list,
    of_type,
    settings,
    statements,
    surroundings,
    template_of,
)
from traksense.contracts import things
from traksense.contracts.queues import QUEUES, Queue
from traksense.contracts.rules import RULES, Rule

Template = dict[str, Any]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    made = new_app()
    around = surroundings(made, tmp_path_factory.mktemp("packages"), settings("prod"))
    return template_of(made, IngestStack(made, around))


def queue_named(template: Template, name: str) -> tuple[str, dict[str, Any]]:
    """Logical id and properties of a queue."""
    found = [
        (logical, queue["Properties"])
        for logical, queue in of_type(template, "AWS::SQS::Queue").items()
        if queue["Properties"]["QueueName"] == f"traksense-prod-{name}"
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_hands_over_to_its_queue_and_what_fails_to_the_bucket(
    template: Template, rule: Rule
) -> None:
    found = [
        each["Properties"]["TopicRulePayload"]
        for each in of_type(template, "AWS::IoT::TopicRule").values()
        if each["Properties"]["RuleName"] == f"traksense_prod_{rule.name}"
    ]
    assert len(found) == 1
    payload = found[0]
    assert payload["Sql"] == rule.sql
    assert payload["AwsIotSqlVersion"] == "2016-03-23"
    logical, _ = queue_named(template, rule.queue.name)
    (action,) = payload["Actions"]
    assert action["Sqs"]["QueueUrl"] == {"Ref": logical}
    assert action["Sqs"]["UseBase64"] is False, "the statement has done it already"
    (bucket,) = of_type(template, "AWS::S3::Bucket")
    assert payload["ErrorAction"]["S3"]["BucketName"] == {"Ref": bucket}


def test_there_are_as_many_rules_and_queues_as_the_contracts_have(template: Template) -> None:
    assert len(of_type(template, "AWS::IoT::TopicRule")) == len(RULES)
    assert len(of_type(template, "AWS::SQS::Queue")) == 2 * len(QUEUES)
    assert len(of_type(template, "AWS::Lambda::EventSourceMapping")) == len(QUEUES)


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_a_queue_waits_as_long_as_the_contract_says_before_it_gives_up(
    template: Template, queue: Queue
) -> None:
    _, properties = queue_named(template, queue.name)
    dead, dead_properties = queue_named(template, queue.dead_letter_name)
    assert properties["VisibilityTimeout"] == queue.visibility_s
    assert properties["RedrivePolicy"]["maxReceiveCount"] == queue.max_receives
    assert properties["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": [dead, "Arn"]}
    for each in (properties, dead_properties):
        assert each["MessageRetentionPeriod"] == queue.retention_s
        assert each["SqsManagedSseEnabled"] is True


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_a_queue_calls_its_function_with_the_batches_of_the_contract(
    template: Template, queue: Queue
) -> None:
    logical, _ = queue_named(template, queue.name)
    found = [
        each["Properties"]
        for each in of_type(template, "AWS::Lambda::EventSourceMapping").values()
        if each["Properties"]["EventSourceArn"] == {"Fn::GetAtt": [logical, "Arn"]}
    ]
    assert len(found) == 1
    batching = queue.batching["busy"]
    assert found[0]["BatchSize"] == batching.size
    assert found[0]["MaximumBatchingWindowInSeconds"] == batching.window_s
    assert found[0]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert found[0]["ScalingConfig"] == {"MaximumConcurrency": queue.max_concurrency}
    function = template["Resources"][found[0]["FunctionName"]["Ref"]]["Properties"]
    assert function["FunctionName"] == f"traksense-prod-{queue.function.replace('_', '-')}"


def test_devices_get_the_policies_and_the_type_of_the_contract(template: Template) -> None:
    policies = {
        each["Properties"]["PolicyName"]: each["Properties"]["PolicyDocument"]
        for each in of_type(template, "AWS::IoT::Policy").values()
    }
    assert policies.keys() == things.POLICIES.keys()
    for name, document in policies.items():
        text = document if isinstance(document, str) else json.dumps(document)
        assert json.loads(text) == json.loads(things.POLICIES[name])
    (kind,) = of_type(template, "AWS::IoT::ThingType").values()
    assert kind["Properties"]["ThingTypeName"] == things.THING_TYPE


def test_with_basic_ingest_devices_may_publish_to_the_rule_that_there_is(tmp_path: Path) -> None:
    chosen = settings("dev")
    chosen = replace(chosen, ingest=replace(chosen.ingest, basic_ingest=True))
    made = new_app()
    template = template_of(made, IngestStack(made, surroundings(made, tmp_path, chosen)))
    rules = {
        each["Properties"]["RuleName"] for each in of_type(template, "AWS::IoT::TopicRule").values()
    }
    documents = json.dumps(template["Resources"])
    assert "$aws/rules/traksense_dev_telemetry/traksense/" in documents
    assert "traksense_dev_telemetry" in rules


def test_the_brokers_role_reaches_our_queues_and_one_folder_of_the_bucket(
    template: Template,
) -> None:
    (logical,) = [
        name
        for name, role in of_type(template, "AWS::IAM::Role").items()
        if "iot.amazonaws.com" in json.dumps(role["Properties"]["AssumeRolePolicyDocument"])
    ]
    (policy,) = [
        each["Properties"]
        for each in of_type(template, "AWS::IAM::Policy").values()
        if each["Properties"]["Roles"] == [{"Ref": logical}]
    ]
    allowed = policy["PolicyDocument"]["Statement"]
    assert [each["Action"] for each in allowed] == ["sqs:SendMessage", "s3:PutObject"]
    queues = {
        name
        for name, queue in of_type(template, "AWS::SQS::Queue").items()
        if "RedrivePolicy" in queue["Properties"]
    }
    assert {each["Fn::GetAtt"][0] for each in as_list(allowed[0]["Resource"])} == queues
    assert "/rules/*" in json.dumps(allowed[1]["Resource"])
    assume = template["Resources"][logical]["Properties"]["AssumeRolePolicyDocument"]
    assert assume["Statement"][0]["Condition"] == {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    }


def test_what_provisions_by_hand_needs_a_second_factor(template: Template) -> None:
    (role,) = [
        each["Properties"]
        for each in of_type(template, "AWS::IAM::Role").values()
        if "traksense-prod-provisioning" in str(each["Properties"].get("RoleName"))
    ]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    assert any("iot:CreateCertificateFromCsr" in each["Action"] for each in statements(template))


def test_what_is_kept_outlives_the_stack_in_prod(template: Template) -> None:
    (bucket,) = of_type(template, "AWS::S3::Bucket").values()
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["Properties"]["PublicAccessBlockConfiguration"]["RestrictPublicBuckets"] is True


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_a_dead_letter_queue_is_handed_back_to_its_queue_each_day(
    template: Template, queue: Queue
) -> None:
    schedules = {
        each["Properties"]["Name"]: each["Properties"]
        for each in of_type(template, "AWS::Scheduler::Schedule").values()
    }
    schedule = schedules[f"traksense-prod-{queue.name}-redrive"]
    assert schedule["ScheduleExpression"] == "rate(24 hours)"
    dead, _ = queue_named(template, queue.dead_letter_name)
    live, _ = queue_named(template, queue.name)
    assert dead in json.dumps(schedule["Target"]["Input"])
    assert "startMessageMoveTask" in json.dumps(schedule["Target"]["Arn"])
    role = schedule["Target"]["RoleArn"]["Fn::GetAtt"][0]
    (policy,) = [
        each["Properties"]["PolicyDocument"]["Statement"]
        for each in of_type(template, "AWS::IAM::Policy").values()
        if each["Properties"]["Roles"] == [{"Ref": role}]
    ]
    moves, sends = policy
    assert "sqs:StartMessageMoveTask" in moves["Action"]
    assert {"Fn::GetAtt": [dead, "Arn"]} in moves["Resource"]
    assert {"Fn::GetAtt": [live, "Arn"]} not in moves["Resource"]
    assert sends["Action"] == "sqs:SendMessage"
    assert {"Fn::GetAtt": [live, "Arn"]} in sends["Resource"]
