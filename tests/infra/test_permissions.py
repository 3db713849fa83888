"""What the roles of the templates may do: nothing to everything, unless a reason is given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra_cdk.constructs.function import IN_A_NETWORK
from infra_cdk.stacks.exports import LOG_DELIVERY
from tests.infra.stages import of_type, statements
from tests.infra.test_parity import OF_THE_CDK, Templates
from traksense.contracts.functions import FUNCTIONS

TIED_TO_NOTHING = {
    **dict.fromkeys(IN_A_NETWORK, "interfaces that Lambda itself makes and names"),
    **dict.fromkeys(LOG_DELIVERY, "deliveries of logs, which have no ARN"),
    **{
        action: use.because
        for function in FUNCTIONS
        for use in function.uses
        if "anything" in use.resources
        for action in use.actions
    },
}
"""Actions that may stand beside ``*``, each with its reason."""


@pytest.fixture(params=["prod", "external"])
def templates(request: pytest.FixtureRequest) -> Templates:
    """Those of a stage whose functions log in by their roles, and by passwords."""
    found: Templates = request.getfixturevalue(request.param)
    return found


def own_statements(templates: Templates) -> Iterator[tuple[str, dict[str, Any]]]:
    """Statements of roles that are ours, with the stack they are in."""
    for stack, template in templates.items():
        for logical, policy in of_type(template, "AWS::IAM::Policy").items():
            if OF_THE_CDK.match(logical):
                continue
            alone = {"Resources": {logical: policy}}
            for statement in statements(alone):
                yield f"{stack}/{logical}", statement


def test_no_role_may_do_all_of_something(templates: Templates) -> None:
    found = [
        (where, action)
        for where, statement in own_statements(templates)
        for action in statement["Action"]
        if "*" in action
    ]
    assert found == []


def test_what_is_tied_to_no_resource_has_a_reason(templates: Templates) -> None:
    found = {
        (where, action)
        for where, statement in own_statements(templates)
        if "*" in statement["Resource"]
        for action in statement["Action"]
        if action not in TIED_TO_NOTHING
    }
    assert found == set()


def test_nobody_may_pass_a_role_or_change_rights(templates: Templates) -> None:
    for where, statement in own_statements(templates):
        for action in statement["Action"]:
            assert not action.startswith(("iam:", "sts:", "organizations:", "kms:")), where


def test_every_function_has_a_role_of_its_own(templates: Templates) -> None:
    roles = [
        (stack, json.dumps(each["Properties"]["Role"]))
        for stack, template in templates.items()
        for logical, each in of_type(template, "AWS::Lambda::Function").items()
        if not OF_THE_CDK.match(logical)
    ]
    assert len(roles) == len(set(roles)) >= len(FUNCTIONS) - 1


def test_only_who_keeps_people_may_make_them(prod: Templates) -> None:
    makers = {
        where
        for where, statement in own_statements(prod)
        if "cognito-idp:AdminCreateUser" in statement["Action"]
    }
    assert len(makers) == 1
    assert next(iter(makers)).startswith("api/ApiRole")


def test_only_the_rotation_may_write_a_secret_and_only_where_log_ins_have_one(
    prod: Templates, external: Templates
) -> None:
    def writers(found: Templates) -> set[str]:
        return {
            where
            for where, statement in own_statements(found)
            if "secretsmanager:PutSecretValue" in statement["Action"]
        }

    assert writers(prod) == set()
    (writer,) = writers(external)
    assert writer.startswith("data/RotationRotateRole")
