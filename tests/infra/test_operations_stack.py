"""The operations stack: every alarm reaches somebody and has its page; money is watched, too."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_cloudwatch as cloudwatch

from infra_cdk.cost.bill import ALARMS
from infra_cdk.operations.alarms import alarms
from infra_cdk.operations.measures import by_label, own, own_of_all_labels
from infra_cdk.operations.watched import Watched, WatchedDatabase, database_of, watched_of
from infra_cdk.places import Places
from infra_cdk.settings import StageSettings
from infra_cdk.stacks.data import DataStack
from infra_cdk.stacks.network import NetworkStack
from infra_cdk.stacks.operations import OperationsStack
from tests.infra.conftest import Templates
from tests.infra.stages import app, of_type, settings, stub_packages, template_of
from tests.unit.docs.pages import ROOT, Page
from traksense.contracts import metrics as m
from traksense.contracts.functions import FUNCTIONS, ROTATE
from traksense.contracts.metrics import METRICS, NAMESPACE

PROD = settings("prod")
RUNBOOKS = ROOT / "docs" / "howto" / "alarms"
RDS = WatchedDatabase(instance="traksense-prod", memory_bytes=8 * 2**30, connections=200)
AURORA = WatchedDatabase(cluster="traksense-prod", connections=200)
EXTERNAL = WatchedDatabase(connections=200)
DATABASES = {"rds": RDS, "aurora": AURORA, "external": EXTERNAL}
SECTIONS = ["It means", "Look", "Do", "It is over"]


def watched(database: WatchedDatabase = RDS, chosen: StageSettings = PROD) -> Watched:
    kind = next(each for each, known in DATABASES.items() if known == database)
    chosen = replace(chosen, database=replace(chosen.database, kind=kind))  # type: ignore[arg-type]
    return replace(watched_of(chosen), database=database)


def template(database: WatchedDatabase = RDS, chosen: StageSettings = PROD) -> dict[str, Any]:
    made = app()
    return template_of(made, OperationsStack(made, chosen, watched(database, chosen)))


@cache
def usual() -> dict[str, Any]:
    return template()


def alarms_of(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Properties by the name without the stage's part."""
    return {
        each["Properties"]["AlarmName"].removeprefix("traksense-prod-"): each["Properties"]
        for each in of_type(found, "AWS::CloudWatch::Alarm").values()
    }


def metrics_in(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """Every metric that an alarm looks at: its own, and those of its expression."""
    if "MetricName" in properties:
        return [properties]
    stats = (each.get("MetricStat") for each in properties["Metrics"])
    return [stat["Metric"] for stat in stats if stat is not None]


@pytest.mark.parametrize("kind", DATABASES)
def test_every_alarm_tells_the_topic_when_it_begins_and_when_it_ends(kind: str) -> None:
    found = template(DATABASES[kind])
    (topic,) = of_type(found, "AWS::SNS::Topic")
    for name, alarm in alarms_of(found).items():
        assert alarm["AlarmActions"] == [{"Ref": topic}], name
        assert alarm["OKActions"] == [{"Ref": topic}], name


def test_every_alarm_names_a_page_that_is_there_and_says_what_to_do() -> None:
    for name, alarm in alarms_of(usual()).items():
        page = re.search(r"docs/howto/alarms/[\w-]+\.md", alarm["AlarmDescription"])
        assert page is not None, name
        shown = Page(ROOT / page.group())
        assert [title for level, title in shown.headings if level == 2] == SECTIONS, page.group()
        assert shown.code_blocks, f"{page.group()} has no command"


def test_every_page_belongs_to_an_alarm_and_stands_in_the_list() -> None:
    specs = [each for database in DATABASES.values() for each in alarms(watched(database))]
    expected = {each.runbook for each in specs} | {"spending"}
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == expected
    listed = Page(RUNBOOKS / "README.md").links
    assert {link.removesuffix(".md") for link in listed if "/" not in link} == expected


def test_the_list_of_pages_names_the_alarms_of_each() -> None:
    rows = {row[0]: row[1] for row in Page(RUNBOOKS / "README.md").table_rows()}
    specs = [each for database in DATABASES.values() for each in alarms(watched(database))]
    for spec in specs:
        (named,) = (said for page, said in rows.items() if page.endswith(f"({spec.runbook}.md)"))
        prefixes = re.findall(r"`([\w-]+)(?:…)?`", named)
        assert any(spec.name.startswith(prefix) for prefix in prefixes), spec.name


def test_no_two_alarms_have_one_name() -> None:
    names = [each.name for each in alarms(watched())]
    assert len(names) == len(set(names))


def test_an_alarm_on_a_metric_of_our_own_is_on_one_that_there_is() -> None:
    known = {metric.name: metric for metric in METRICS}
    own_ones = 0
    for name, alarm in alarms_of(usual()).items():
        for metric in metrics_in(alarm):
            if metric["Namespace"] != NAMESPACE:
                continue
            own_ones += 1
            dimensions = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
            label = known[metric["MetricName"]].label
            assert set(dimensions) == {"service"} | ({label} if label else set()), name
            assert dimensions["service"] in watched().functions.values(), name
    assert own_ones >= 9


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_errors_and_refusals_of_every_function_raise_an_alarm(function: Any) -> None:
    found = alarms_of(template(EXTERNAL) if function is ROTATE else usual())
    for alarm in (f"function-errors-{function.name}", f"function-throttles-{function.name}"):
        named = {
            dimension["Value"]
            for metric in metrics_in(found[alarm])
            for dimension in metric["Dimensions"]
        }
        assert named == {watched(EXTERNAL).functions[function.name]}


def test_a_single_rotation_that_fails_raises_an_alarm_where_there_are_rotations() -> None:
    alarm = alarms_of(template(EXTERNAL))["rotation-failures"]
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (0, 1)
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": "traksense-prod-rotate"}]
    assert "rotation-failures" not in alarms_of(usual())


def test_a_single_message_that_was_given_up_raises_an_alarm() -> None:
    for queue in watched().dead_letter_queues:
        alarm = alarms_of(usual())[f"dead-letter-queue-{queue}"]
        assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (0, 1)
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


@pytest.mark.parametrize("name", ["rollup-lag-1m", "database-silent"])
def test_silence_is_an_alarm_where_something_comes_each_minute(name: str) -> None:
    assert alarms_of(usual())[name]["TreatMissingData"] == "breaching"


def test_each_kind_of_database_is_watched_as_far_as_it_can_be() -> None:
    always = {"database-connections", "database-silent", "database-transaction-age"}
    seen = {
        kind: {name for name in alarms_of(template(database)) if name.startswith("database-")}
        for kind, database in DATABASES.items()
    }
    assert seen["external"] == always
    assert seen["aurora"] == always | {"database-cpu", "database-capacity"}
    assert seen["rds"] == always | {
        "database-cpu", "database-memory", "database-storage", "database-storage-trend",
    }  # fmt: skip


def test_memory_is_measured_against_the_instances_own() -> None:
    assert alarms_of(usual())["database-memory"]["Threshold"] == pytest.approx(8 * 2**30 / 20)


def named(templates: Templates, kind: str, name: str) -> set[str]:
    """What resources of a type are called, in all stacks of prod."""
    return {
        resource["Properties"][name]
        for template in templates.values()
        for resource in of_type(template, kind).values()
        if name in resource["Properties"]
    }


def test_what_is_watched_is_called_as_the_other_stacks_call_it(prod: Templates) -> None:
    looked_at = watched_of(PROD)
    queues = {*looked_at.queues.values(), *looked_at.dead_letter_queues.values()}
    assert queues == named(prod, "AWS::SQS::Queue", "QueueName")
    assert set(looked_at.rules.values()) == named(prod, "AWS::IoT::TopicRule", "RuleName")
    assert set(looked_at.functions.values()) <= named(prod, "AWS::Lambda::Function", "FunctionName")
    assert {looked_at.rest_api} == named(prod, "AWS::ApiGateway::RestApi", "Name")
    assert {looked_at.rest_api_stage} == named(prod, "AWS::ApiGateway::Stage", "StageName")
    assert {looked_at.schedule_group} == named(prod, "AWS::Scheduler::ScheduleGroup", "Name")
    assert {looked_at.mail_configuration_set} == named(prod, "AWS::SES::ConfigurationSet", "Name")
    machines = {arn.rsplit(":", 1)[-1] for arn in looked_at.state_machines.values()}
    assert machines == named(prod, "AWS::StepFunctions::StateMachine", "StateMachineName")


def test_the_stage_as_a_whole_has_its_alarms_and_no_export_for_them(prod: Templates) -> None:
    assert alarms_of(prod["operations"]).keys() == alarms_of(usual()).keys()
    assert "Fn::ImportValue" not in json.dumps(prod["operations"])


@pytest.mark.parametrize("kind", DATABASES)
def test_the_database_is_the_one_that_the_data_stack_makes(kind: str, tmp_path: Path) -> None:
    chosen = settings("prod", database=kind)
    made = app()
    data = DataStack(made, chosen, NetworkStack(made, chosen), stub_packages(tmp_path), Places())
    found = template_of(made, data)
    looked_at = database_of(chosen)
    instances = {
        each["Properties"].get("DBInstanceIdentifier")
        for each in of_type(found, "AWS::RDS::DBInstance").values()
    }
    clusters = {
        each["Properties"]["DBClusterIdentifier"]
        for each in of_type(found, "AWS::RDS::DBCluster").values()
    }
    assert looked_at.connections == chosen.database.connections
    assert clusters == ({looked_at.cluster} if kind == "aurora" else set())
    if kind == "rds":
        assert instances == {looked_at.instance}
        assert looked_at.memory_bytes == 8 * 2**30  # of an m7g.large
    else:
        assert looked_at.instance is None


def test_an_address_is_told_where_the_stage_names_one() -> None:
    (subscription,) = of_type(usual(), "AWS::SNS::Subscription").values()
    assert subscription["Properties"]["Endpoint"] == PROD.operations.alarm_email
    silent = replace(PROD, operations=replace(PROD.operations, alarm_email=None))
    assert of_type(template(chosen=silent), "AWS::SNS::Subscription") == {}


@pytest.mark.parametrize("service", ["budgets", "cloudwatch", "costalerts"])
def test_who_raises_alarms_may_publish_and_use_the_key_for_this_account_alone(
    service: str,
) -> None:
    (policy,) = of_type(usual(), "AWS::SNS::TopicPolicy").values()
    (key,) = of_type(usual(), "AWS::KMS::Key").values()
    documents = (policy["Properties"]["PolicyDocument"], key["Properties"]["KeyPolicy"])
    for document in documents:
        (statement,) = (
            each
            for each in document["Statement"]
            if each["Principal"] == {"Service": f"{service}.amazonaws.com"}
        )
        assert statement["Condition"] == {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        }


def test_the_budget_is_the_stages_and_is_told_before_it_is_spent() -> None:
    (budget,) = of_type(usual(), "AWS::Budgets::Budget").values()
    properties = budget["Properties"]
    assert properties["Budget"]["BudgetLimit"] == {"Amount": 2000, "Unit": "USD"}
    told = {
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"])
        for each in properties["NotificationsWithSubscribers"]
    }
    assert told == {("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)}


def test_an_anomaly_of_the_stages_costs_is_told_at_once() -> None:
    (monitor,) = of_type(usual(), "AWS::CE::AnomalyMonitor").values()
    assert json.loads(monitor["Properties"]["MonitorSpecification"]) == {
        "Tags": {"Key": "stage", "Values": ["prod"]}
    }
    (subscription,) = of_type(usual(), "AWS::CE::AnomalySubscription").values()
    assert subscription["Properties"]["Frequency"] == "IMMEDIATE"
    threshold = json.loads(subscription["Properties"]["ThresholdExpression"])
    assert threshold["Dimensions"]["Values"] == ["100"]


def test_the_dashboard_shows_every_metric_that_operators_are_told_to_watch() -> None:
    (dashboard,) = of_type(usual(), "AWS::CloudWatch::Dashboard").values()
    body = dashboard["Properties"]["DashboardBody"]
    text = "".join(part if isinstance(part, str) else "" for part in body["Fn::Join"][1])
    for metric in (
        m.READINGS_STORED, m.INGEST_LAG, m.DEAD_LETTERS, m.ROLLUP_LAG, m.JOB_FAILURES,
        m.DAYS_TO_CLOSE, m.DATABASE_CONNECTIONS, m.DATABASE_BYTES, m.REQUESTS, m.COMMANDS_SETTLED,
    ):  # fmt: skip
        assert metric.name in text, metric.name


def test_the_cost_model_counts_as_many_alarms_as_there_are() -> None:
    looked_at = sum(max(1, len(metrics_in(each))) for each in alarms_of(usual()).values())
    assert looked_at == pytest.approx(ALARMS, rel=0.1)


def test_a_label_that_a_metric_lacks_or_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="IngestLag"):
        own(m.INGEST_LAG, "f", statistic="p90", label="x")
    with pytest.raises(ValueError, match="DeadLetters"):
        own(m.DEAD_LETTERS, "f", statistic="Sum")
    with pytest.raises(ValueError, match="IngestLag"):
        own_of_all_labels(m.INGEST_LAG, "f")


def test_a_graph_by_label_searches_in_the_functions_own_values() -> None:
    expression = by_label(m.DEAD_LETTERS, "traksense-prod-ingest", "Sum")
    graph = cloudwatch.GraphWidget(left=[expression])
    shown = json.dumps(Stack(App(), "s").resolve(graph.to_json()))
    assert "{TrakSense,reason,service}" in shown
    assert "traksense-prod-ingest" in shown
