"""What CloudFormation would refuse, or an operator be surprised by, in an account that is empty."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_apigateway as apigateway

from infra_cdk.app import build
from infra_cdk.constructs.rest_api import Methods
from infra_cdk.settings import StageSettings
from infra_cdk.stacks.network import NetworkStack
from tests.infra.conftest import Templates
from tests.infra.stages import app, of_type, settings, stub_packages
from tests.unit.docs.pages import ROOT

GUIDES = ("deploy.md", "upgrade.md", "disaster-recovery.md", "reach-the-database.md")
IN_NO_REGION = {
    "AWS::Budgets::Budget": ("Budget", "BudgetName"),
    "AWS::CloudFront::Function": ("Name",),
    "AWS::CloudFront::OriginAccessControl": ("OriginAccessControlConfig", "Name"),
    "AWS::CloudFront::ResponseHeadersPolicy": ("ResponseHeadersPolicyConfig", "Name"),
    "AWS::CloudWatch::Dashboard": ("DashboardName",),
    "AWS::IAM::ManagedPolicy": ("ManagedPolicyName",),
    "AWS::IAM::Role": ("RoleName",),
}
"""Types whose names an account has once, whatever the region, and where the name stands."""
MAX_RESOURCES = 500
MAX_TEMPLATE_BYTES = 1_000_000
"""AWS CloudFormation quotas."""
MAX_ENVIRONMENT_BYTES = 4096
"""AWS Lambda quotas."""
AS_LONG_AS_A_REFERENCE = "x" * 128


def stages(dev: Templates, prod: Templates) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (stage, name, template)
        for stage, templates in (("dev", dev), ("prod", prod))
        for name, template in templates.items()
    ]


def test_a_stage_can_be_in_a_second_region_of_its_account(dev: Templates, prod: Templates) -> None:
    seen = set()
    for _, stack, template in stages(dev, prod):
        for kind, path in IN_NO_REGION.items():
            for name, resource in of_type(template, kind).items():
                value: Any = resource["Properties"]
                for key in path:
                    value = value.get(key) if value is not None else None
                if value is not None:
                    seen.add(kind)
                    assert {"Ref": "AWS::Region"} in value["Fn::Join"][1], f"{stack}/{name}"
    assert seen >= IN_NO_REGION.keys() - {"AWS::IAM::ManagedPolicy"}


def test_a_first_deployment_that_fails_leaves_nothing_in_the_next_ones_way(
    prod: Templates,
) -> None:
    kept = {
        f"{stack}/{name}"
        for stack, template in prod.items()
        for name, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") == "Retain"
    }
    # A migration is not undone; the account's one role for API Gateway's logs has no name of ours.
    assert {re.sub(r"[0-9A-F]{8}$", "", each) for each in kept} == {
        "data/Schema", "api/Account", "api/Logging",
    }  # fmt: skip


def test_a_bucket_that_goes_with_its_stack_is_emptied_before(
    dev: Templates, prod: Templates
) -> None:
    going = 0
    for stage, stack, template in stages(dev, prod):
        emptied = {
            each["Properties"]["BucketName"]["Ref"]
            for each in of_type(template, "Custom::S3AutoDeleteObjects").values()
        }
        for name, bucket in of_type(template, "AWS::S3::Bucket").items():
            goes = bucket["DeletionPolicy"] == "Delete"
            assert (name in emptied) == goes, f"{stage}-{stack}/{name}"
            going += goes
    assert going > 5


def test_devs_data_all_go_with_it(dev: Templates) -> None:
    for stack, template in dev.items():
        for name, resource in template["Resources"].items():
            if resource["Type"] not in ("Custom::TrakSenseSchema", "AWS::ApiGateway::Account"):
                kept = resource.get("DeletionPolicy", "Delete") != "Delete"
                assert not kept or name.startswith("Logging"), f"{stack}/{name}"


def test_every_log_that_a_service_would_make_by_itself_is_made_to_end(prod: Templates) -> None:
    (stage,) = of_type(prod["api"], "AWS::ApiGateway::Stage").values()
    (log,) = [
        name
        for name, each in of_type(prod["api"], "AWS::Logs::LogGroup").items()
        if "API-Gateway-Execution-Logs_" in str(each["Properties"]["LogGroupName"])
    ]
    assert log in stage["DependsOn"]
    (copies,) = of_type(prod["page"], "AWS::Lambda::Function").values()
    assert copies["Properties"]["LoggingConfig"]["LogGroup"]
    for template in prod.values():
        for each in of_type(template, "AWS::Logs::LogGroup").values():
            assert each["Properties"]["RetentionInDays"] <= 90


def test_no_two_stacks_make_a_thing_of_the_same_name(dev: Templates, prod: Templates) -> None:
    names = (
        "LogGroupName", "FunctionName", "QueueName", "RuleName", "StateMachineName", "TopicName",
        "AlarmName", "RoleName", "DBInstanceIdentifier", "PolicyName", "ThingTypeName",
    )  # fmt: skip
    # IoT Core's policies and thing type are an account's: one stage in each account and region.
    of_the_account = ("AWS::IoT::Policy", "AWS::IoT::ThingType", "AWS::IAM::Policy")
    found: list[str] = []
    for _, _, template in stages(dev, prod):
        for resource in template["Resources"].values():
            if resource["Type"] in of_the_account:
                continue
            properties = resource.get("Properties", {})
            found += [
                f"{resource['Type']} {json.dumps(properties[name])}"
                for name in names
                if name in properties and isinstance(properties[name], str)
            ]
    assert len(found) > 100
    assert len(found) == len(set(found))


def test_every_template_and_environment_is_within_its_quota(
    dev: Templates, prod: Templates
) -> None:
    for stage, stack, template in stages(dev, prod):
        assert len(template["Resources"]) <= MAX_RESOURCES * 0.8, f"{stage}-{stack}"
        assert len(json.dumps(template)) <= MAX_TEMPLATE_BYTES * 0.8, f"{stage}-{stack}"
        for name, function in of_type(template, "AWS::Lambda::Function").items():
            variables = function["Properties"].get("Environment", {}).get("Variables", {})
            given = re.sub(
                r'\{"(Ref|Fn::GetAtt|Fn::ImportValue)": [^{}]*\}',
                f'"{AS_LONG_AS_A_REFERENCE}"',
                json.dumps(variables),
            )
            assert len(given) <= MAX_ENVIRONMENT_BYTES, f"{stage}-{stack}/{name}"


def test_the_page_comes_after_the_api_that_it_asks(tmp_path: Path) -> None:
    platform = build(app(), settings("dev"), stub_packages(tmp_path))
    assert platform.api in platform.page.dependencies
    files = of_type(app_template(platform.page), "Custom::CDKBucketDeployment")
    assert len(files) == 2


def app_template(stack: Stack) -> dict[str, Any]:
    assembly = stack.node.root.synth()  # type: ignore[attr-defined]
    found: dict[str, Any] = assembly.get_stack_by_name(stack.stack_name).template
    return found


@pytest.mark.parametrize("port", [5432, 35001])
def test_devs_way_out_leads_to_a_database_elsewhere(port: int) -> None:
    chosen = settings("dev", database="external")
    external = replace(chosen.database.external, port=port)
    chosen = replace(chosen, database=replace(chosen.database, external=external))
    assert ports_of_the_way_out(chosen) == {443, port}
    assert ports_of_the_way_out(settings("dev")) == {443}


def ports_of_the_way_out(chosen: StageSettings) -> set[int]:
    made = app()
    network = NetworkStack(made, chosen)
    found = made.synth().get_stack_by_name(network.stack_name).template
    return {
        each["Properties"]["FromPort"]
        for each in of_type(found, "AWS::EC2::SecurityGroupIngress").values()
        if "Nat" in each["Properties"]["GroupId"]["Fn::GetAtt"][0]
    }


def deployment(uri: str = "uri", pool: str = "pool", routes: Any = None, **of_api: Any) -> str:
    """The logical id of a deployment; CloudFormation makes another one for another id."""
    made = app()
    stack = Stack(made, "s")
    api = apigateway.CfnRestApi(stack, "Api", name="api", **of_api)
    methods = Methods(stack, api, routes or {"/health": {"GET": Public()}}, pool_arn=pool, uri=uri)
    logical_id: str = stack.resolve(methods.deployment.logical_id)
    return logical_id


class Public:
    """A route's entry as Chalice has it."""

    authorizer = None


def test_the_api_is_deployed_anew_when_anything_of_it_changes() -> None:
    found = [
        deployment(),
        deployment(uri="another function"),
        deployment(pool="another pool"),
        deployment(routes={"/health": {"GET": Public(), "POST": Public()}}),
        deployment(binary_media_types=["*/*"]),
        deployment(minimum_compression_size=1024),
    ]
    assert len(set(found)) == len(found)
    assert deployment() == found[0]


def test_unusual_costs_are_watched_where_the_account_can(dev: Templates, prod: Templates) -> None:
    kinds = ("AWS::CE::AnomalyMonitor", "AWS::CE::AnomalySubscription")
    for kind in kinds:
        assert not of_type(dev["operations"], kind), "an empty account has no Cost Explorer"
        assert of_type(prod["operations"], kind)


def test_who_tries_the_topic_waits_until_it_lets_him(prod: Templates) -> None:
    (policy,) = of_type(prod["operations"], "AWS::SNS::TopicPolicy")
    for kind in ("AWS::Budgets::Budget", "AWS::CE::AnomalySubscription"):
        (made,) = of_type(prod["operations"], kind).values()
        assert policy in made["DependsOn"], kind


def test_guides_ask_stacks_for_what_they_tell(dev: Templates) -> None:
    asked = {
        found
        for guide in GUIDES
        for found in re.findall(
            r"\$\(output (\w+) (\w+)\)", (ROOT / "docs" / "howto" / guide).read_text("utf-8")
        )
    }
    assert {("web", "PageAddress"), ("api", "UserPoolId")} <= asked
    for stack, output in asked:
        assert output in dev[stack]["Outputs"], f"{stack}: {output}"
