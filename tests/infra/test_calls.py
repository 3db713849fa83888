"""A function's role allows the calls of its code, and no other."""

from __future__ import annotations

from typing import Any

import pytest

from infra_cdk.constructs.function import IN_A_NETWORK
from infra_cdk.stacks.ingest import FED_BY_A_QUEUE
from tests.infra.stages import of_type, statements
from tests.infra.test_environment_reads import A_SECRET, made
from tests.infra.test_parity import Templates
from tests.support.aws_calls import DATABASE_LOGIN, actions_of
from tests.support.function_probe import Held, Probed
from traksense.contracts.functions import FUNCTIONS, ROTATE, Function

OF_EVERY_FUNCTION = {"logs:CreateLogStream", "logs:PutLogEvents"}
"""Lambda writes the log with the function's role."""
OF_THE_DATABASE = {DATABASE_LOGIN, "secretsmanager:GetSecretValue"}
KINDS = {"rds": "rds-iam", "external": A_SECRET}
"""How functions log in by the kind of database: Aurora as RDS."""


def allowed(templates: Templates, function: Function) -> set[str]:
    """What a function's role may do, apart from its log and its place in a network."""
    name = f"traksense-prod-{function.name.replace('_', '-')}"
    for template in templates.values():
        for each in of_type(template, "AWS::Lambda::Function").values():
            if each["Properties"].get("FunctionName") == name:
                return actions(template, each["Properties"]["Role"]["Fn::GetAtt"][0])
    raise AssertionError(f"there is no {name}")


def actions(template: dict[str, Any], role: str) -> set[str]:
    resource = template["Resources"][role]["Properties"]
    assert not resource.keys() & {"ManagedPolicyArns", "Policies"}
    policies = {
        logical: policy
        for logical, policy in of_type(template, "AWS::IAM::Policy").items()
        if {"Ref": role} in policy["Properties"]["Roles"]
    }
    found = {
        action
        for statement in statements({"Resources": policies})
        for action in statement["Action"]
        if statement["Effect"] == "Allow"
    }
    return found - OF_EVERY_FUNCTION - set(IN_A_NETWORK)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_a_role_allows_what_the_code_calls_and_nothing_else(
    request: pytest.FixtureRequest, function: Function, kind: str
) -> None:
    if function is ROTATE and kind == "rds":
        return  # there is none: test_parity
    templates = request.getfixturevalue("prod" if kind == "rds" else kind)
    fed = set(FED_BY_A_QUEUE) if function.trigger == "queue" else set()
    assert allowed(templates, function) - fed == actions_of(made(function, KINDS[kind]))
    assert fed <= allowed(templates, function)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_a_manifests_uses_are_its_codes_calls(function: Function) -> None:
    stated = {action for use in function.uses for action in use.actions}
    found = actions_of(made(function, "rds-iam"))
    # The database's construct grants how functions log in.
    assert stated == found if function is ROTATE else stated == found - OF_THE_DATABASE


def probe(holder: str, name: str, adapter: str) -> Probed:
    held = frozenset({Held(holder, name, adapter, None)})
    return Probed(frozenset(), held, frozenset())


@pytest.mark.parametrize(
    ("holder", "name", "adapter", "wanted"),
    [
        (
            "traksense.services.export_upkeep:ExportUpkeep", "_runs",
            "traksense.aws.step_functions:StepFunctionsRuns",
            {"states:DescribeExecution", "states:StartExecution"},
        ),
        (
            "traksense.services.exports:Exports", "_runs",
            "traksense.aws.step_functions:StepFunctionsRuns",
            {"states:StartExecution"},
        ),
        (
            "traksense.services.commands:Commands", "_publisher",
            "traksense.aws.iot_data:IotDataPublisher", {"iot:Publish"},
        ),
        (
            "traksense.wiring.erasure:BrokersRetained", "_publisher",
            "traksense.aws.iot_data:IotDataPublisher", {"iot:Publish", "iot:RetainPublish"},
        ),
        (
            "traksense.services.export_mail:ExportMail", "_mailer",
            "traksense.aws.ses:SesMailer", {"ses:SendRawEmail"},
        ),
    ],
)  # fmt: skip
def test_the_search_finds_the_calls_of_who_holds_an_adapter(
    holder: str, name: str, adapter: str, wanted: set[str]
) -> None:
    assert actions_of(probe(holder, name, adapter)) == wanted
