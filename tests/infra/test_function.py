"""A function in a template is what its manifest entry says, and may do no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_sqs as sqs

from infra_cdk.concurrency import TooFewConnections, shares
from infra_cdk.constructs.function import PlatformFunction
from infra_cdk.environment import DATABASE, DEFAULTS, LOCAL, VALUES, UnknownVariable
from infra_cdk.packages import NotBuilt, Packages
from infra_cdk.permissions import ARNS
from infra_cdk.places import NotMade, Places
from infra_cdk.settings import StageSettings
from infra_cdk.stacks.network import NetworkStack
from tests.infra.stages import (
    CONNECT,
    StubDatabase,
    app,
    of_type,
    settings,
    statements,
    stub_packages,
)
from tests.infra.stages import template_of as written
from traksense.contracts import functions
from traksense.contracts.functions import FUNCTIONS, Function
from traksense.contracts.uses import Use


def template_of(
    contract: Function, folder: Path, chosen: StageSettings, places: Places | None = None
) -> dict[str, Any]:
    """The template of a stack with this function alone."""
    made = app()
    network = NetworkStack(made, chosen)
    stack = Stack(made, "functions")
    PlatformFunction(
        stack,
        contract,
        settings=chosen,
        packages=stub_packages(folder),
        places=places or Places(),
        network=network,
        database=StubDatabase() if contract.database_roles else None,
    )
    return written(made, stack)


def test_a_function_with_a_database_is_made_as_the_manifest_says(tmp_path: Path) -> None:
    template = template_of(functions.INGEST, tmp_path, settings("prod"))
    (function,) = of_type(template, "AWS::Lambda::Function").values()
    properties = function["Properties"]
    assert properties["FunctionName"] == "traksense-prod-ingest"
    assert properties["Handler"] == "functions.ingest.handler.handler"
    assert (properties["Runtime"], properties["Architectures"]) == ("python3.13", ["arm64"])
    assert (properties["MemorySize"], properties["Timeout"]) == (1769, 60)
    assert properties["ReservedConcurrentExecutions"] == 5
    assert len(properties["Layers"]) == 2
    assert properties["VpcConfig"]["SubnetIds"]
    assert properties["Environment"]["Variables"] == {
        "DATABASE_URL": "postgresql://ingest@database.traksense.example/traksense",
        "TRAKSENSE_DATABASE_AUTH": "rds-iam",
        "TRAKSENSE_METRICS": "emf",
    }
    (log,) = of_type(template, "AWS::Logs::LogGroup").values()
    assert log["Properties"] == {"LogGroupName": "/traksense/prod/ingest", "RetentionInDays": 90}
    assert log["DeletionPolicy"] == "RetainExceptOnCreate"
    assert properties["LoggingConfig"]["LogGroup"]["Ref"].startswith("IngestLog")
    allowed = {action for statement in statements(template) for action in statement["Action"]}
    assert {each for each in allowed if not each.startswith("ec2:")} == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        CONNECT,
    }
    assert not of_type(template, "AWS::IAM::ManagedPolicy")
    (role,) = of_type(template, "AWS::IAM::Role").values()
    assert "ManagedPolicyArns" not in role["Properties"]


def test_a_function_without_a_database_is_in_no_network(tmp_path: Path) -> None:
    places = Places(web_url="https://panel.traksense.example")
    template = template_of(functions.USER_MESSAGES, tmp_path, settings("prod"), places)
    (function,) = of_type(template, "AWS::Lambda::Function").values()
    properties = function["Properties"]
    assert "VpcConfig" not in properties
    assert "ReservedConcurrentExecutions" not in properties
    assert properties["Environment"]["Variables"] == {
        "TRAKSENSE_WEB_URL": "https://panel.traksense.example"
    }
    assert ["*"] not in [statement["Resource"] for statement in statements(template)]


def test_a_new_account_reserves_no_concurrency(tmp_path: Path) -> None:
    template = template_of(functions.INGEST, tmp_path, settings("dev"))
    (function,) = of_type(template, "AWS::Lambda::Function").values()
    assert "ReservedConcurrentExecutions" not in function["Properties"]


def test_a_use_becomes_a_statement_on_its_own_resource(tmp_path: Path) -> None:
    chosen = settings("dev")
    made = app()
    network = NetworkStack(made, chosen)
    stack = Stack(made, "functions")
    places = Places(queues={"ingest": sqs.Queue(stack, "Queue")})
    PlatformFunction(
        stack,
        replace(functions.INGEST, uses=(Use(("queues",), ("sqs:GetQueueAttributes",)),)),
        settings=chosen,
        packages=stub_packages(tmp_path),
        places=places,
        network=network,
        database=StubDatabase(),
    )
    found = [each for each in statements(written(made, stack)) if "sqs" in str(each["Action"])]
    assert len(found) == 1
    assert found[0]["Action"] == ["sqs:GetQueueAttributes"]
    assert found[0]["Resource"][0]["Fn::GetAtt"][1] == "Arn"


def test_a_value_from_the_stages_settings_reaches_the_functions_that_read_it(
    tmp_path: Path,
) -> None:
    chosen = settings("dev")
    told = replace(
        chosen,
        functions=replace(chosen.functions, environment={"TRAKSENSE_AUDIT_DAYS": "30",
                                                         "TRAKSENSE_LOG_LEVEL": "DEBUG"}),
    )  # fmt: skip
    template = template_of(functions.DEVICE_EVENTS, tmp_path, told)
    (function,) = of_type(template, "AWS::Lambda::Function").values()
    variables = function["Properties"]["Environment"]["Variables"]
    assert variables["TRAKSENSE_LOG_LEVEL"] == "DEBUG"
    assert "TRAKSENSE_AUDIT_DAYS" not in variables


def test_a_variable_that_nobody_gives_a_value_stops_the_synthesis(tmp_path: Path) -> None:
    unknown = replace(functions.DEVICE_EVENTS, environment=("TRAKSENSE_NEW",))
    with pytest.raises(UnknownVariable, match="device_events reads TRAKSENSE_NEW"):
        template_of(unknown, tmp_path, settings("dev"))


def test_what_no_stack_has_made_yet_stops_the_synthesis(tmp_path: Path) -> None:
    with pytest.raises(NotMade, match="the page's address"):
        template_of(functions.USER_MESSAGES, tmp_path, settings("dev"))


def test_packages_that_are_not_there_say_how_they_are_made(tmp_path: Path) -> None:
    with pytest.raises(NotBuilt, match="make build"):
        Packages.built(tmp_path)


def test_the_table_of_variables_and_the_manifests_know_the_same() -> None:
    named = {name for each in FUNCTIONS for name in each.environment}
    tables = [DATABASE, DEFAULTS, LOCAL, VALUES.keys()]
    assert sum(map(len, tables)) == len(set().union(*tables)), "a variable is in two tables"
    assert set().union(*tables) == named


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_every_use_is_of_plain_actions_and_says_why_it_is_tied_to_nothing(
    function: Function,
) -> None:
    for use in function.uses:
        assert set(use.resources) <= ARNS.keys()
        for action in use.actions:
            service, _, name = action.partition(":")
            assert service
            assert name.isalnum(), f"{action} is no single action"
        assert ("anything" in use.resources) == bool(use.because)


def test_every_name_of_a_resource_is_used() -> None:
    used = {name for each in FUNCTIONS for use in each.uses for name in use.resources}
    assert used == ARNS.keys()


def test_the_functions_together_hold_no_more_connections_than_there_are() -> None:
    found = shares(150)
    assert sum(found.values()) <= 150
    assert found.keys() == {each.name for each in FUNCTIONS if each.database_roles}
    assert found["ingest"] == 5
    assert found["api"] == 150 - sum(count for name, count in found.items() if name != "api")


def test_a_database_that_is_too_small_is_said_so() -> None:
    with pytest.raises(TooFewConnections, match="it has 20"):
        shares(20)


def test_a_queues_functions_run_as_often_at_once_as_its_queue_calls_them() -> None:
    from traksense.contracts.queues import QUEUES

    for queue in QUEUES:
        function = next(each for each in FUNCTIONS if each.name == queue.function)
        assert function.max_concurrency == queue.max_concurrency
