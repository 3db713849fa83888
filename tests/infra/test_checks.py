"""What linters and a reading of every policy say of the whole platform."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra_cdk.acknowledged import MEANT, reason_for
from infra_cdk.constructs.function import IN_A_NETWORK
from tests.infra.conftest import Synthesised
from tests.infra.stages import of_type
from traksense.contracts.functions import FUNCTIONS

pytestmark = [pytest.mark.xdist_group("synth"), pytest.mark.timeout(600)]

LOGS_OF_A_STATE_MACHINE = {
    "logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries",
    "logs:PutResourcePolicy", "logs:UpdateLogDelivery",
}  # fmt: skip
"""CloudWatch's delivery of logs (Step Functions developer guide, "Logging to CloudWatch Logs")."""
OF_THE_CDK = "CustomCDKBucketDeployment"
"""Its own function, which puts the page into its bucket at a deployment."""
TIED_TO_NOTHING = (
    frozenset(IN_A_NETWORK)
    | LOGS_OF_A_STATE_MACHINE
    | {
        action
        for function in FUNCTIONS
        for use in function.uses
        if "anything" in use.resources
        for action in use.actions
    }
)
"""Actions that AWS ties to no resource, each with its reason where it is asked for."""

MADE_BY_THE_CDK = ("W3005",)
"""It writes a dependency out that a reference already makes, which costs nothing."""
REGIONS = ("sa-east-1", "us-east-1")


def statements(template: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of a template's IAM policies, with the name of what it is in."""
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role"):
        for name, resource in of_type(template, kind).items():
            properties = resource["Properties"]
            documents = [properties.get("PolicyDocument", {})]
            documents += [each["PolicyDocument"] for each in properties.get("Policies", [])]
            for document in documents:
                for statement in document.get("Statement", []):
                    yield name, statement


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_every_finding_of_the_checks_is_explained(synthesised: Synthesised) -> None:
    unexplained = [
        f"{each['ruleName']}: {place['constructPath']}"
        for each in synthesised.findings
        if not each.get("acknowledged")
        for place in each["violatingConstructs"]
        if reason_for(each["ruleName"], place["constructPath"]) is None
    ]
    assert unexplained == []


def test_cfn_lint_finds_nothing(synthesised: Synthesised) -> None:
    command = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run(
        [
            command, "--format", "json", "--regions", *REGIONS,
            *("--ignore-checks", *MADE_BY_THE_CDK), "--",
            *sorted(synthesised.folder.glob("*.template.json")),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout or "[]")
    assert done.stderr == ""
    assert [
        f"{each['Rule']['Id']} {each['Message']} ({'/'.join(map(str, each['Location']['Path']))})"
        for each in found
    ] == []


def test_no_policy_allows_more_than_single_actions_on_named_resources(
    synthesised: Synthesised,
) -> None:
    seen = 0
    wide = []
    for stack, template in synthesised.templates.items():
        for name, statement in statements(template):
            if name.startswith(OF_THE_CDK):
                continue
            seen += 1
            actions = listed(statement["Action"])
            if any("*" in action for action in actions):
                wide.append(f"{stack}/{name}: {actions}")
            if "*" in listed(statement["Resource"]) and not TIED_TO_NOTHING.issuperset(actions):
                wide.append(f"{stack}/{name}: {actions} on everything")
    assert seen > 5
    assert wide == []


def test_a_stage_names_no_account_and_asks_no_account_anything(synthesised: Synthesised) -> None:
    manifest = json.loads((synthesised.folder / "manifest.json").read_text("utf-8"))
    assert manifest.get("missing", []) == []
    stacks = [
        each
        for each in manifest["artifacts"].values()
        if each["type"] == "aws:cloudformation:stack"
    ]
    assert {each["environment"] for each in stacks} == {"aws://unknown-account/unknown-region"}
    for name, template in synthesised.templates.items():
        assert re.findall(r"arn:aws:[^\"]*:\d{12}:", json.dumps(template)) == [], name


def test_every_stack_is_named_by_its_stage(synthesised: Synthesised) -> None:
    assert synthesised.templates
    for name in synthesised.templates:
        assert re.fullmatch(r"traksense-(dev|prod)-[a-z]+", name), name


def test_a_finding_is_meant_by_its_rule_and_its_place() -> None:
    assert reason_for("AwsSolutions-CFR1", "traksense-dev-web/Distribution/Resource")
    assert reason_for("AwsSolutions-CFR1", "traksense-dev-api/Distribution/Resource") is None
    assert reason_for("AwsSolutions-IAM5[Action::s3:*]", "traksense-dev-api/Api/Role") is None
    assert all(len(each.because) > 20 for each in MEANT)
