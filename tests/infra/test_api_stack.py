"""The API in a template: the routes of the app, each with its authorizer, and the user pool."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.api.app import app
from infra_cdk.constructs.rest_api import GATEWAY_RESPONSES
from tests.infra.stages import of_type
from traksense.contracts.user_pool import (
    USER_POOL,
    attribute_parameters,
    client_parameters,
    pool_parameters,
)

Templates = dict[str, dict[str, Any]]
ROUTES = [(path, method) for path, methods in app.routes.items() for method in methods]


def path_of(template: dict[str, Any], resource_id: Any) -> str:
    """The path of a resource, followed up to the root, which is another stack's."""
    if "Ref" not in resource_id:
        return ""
    properties = template["Resources"][resource_id["Ref"]]["Properties"]
    return f"{path_of(template, properties['ParentId'])}/{properties['PathPart']}"


@pytest.fixture(name="methods", scope="module")
def _methods(prod: Templates) -> dict[tuple[str, str], dict[str, Any]]:
    template = prod["api"]
    return {
        (path_of(template, each["Properties"]["ResourceId"]), each["Properties"]["HttpMethod"]): (
            each["Properties"]
        )
        for each in of_type(template, "AWS::ApiGateway::Method").values()
    }


def test_there_is_a_method_for_each_route_and_no_other(
    methods: dict[tuple[str, str], dict[str, Any]],
) -> None:
    assert methods.keys() == set(ROUTES)


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_a_route_that_is_not_public_asks_for_a_token(
    methods: dict[tuple[str, str], dict[str, Any]], path: str, method: str
) -> None:
    properties = methods[path, method]
    is_public = app.routes[path][method].authorizer is None
    assert properties["AuthorizationType"] == ("NONE" if is_public else "COGNITO_USER_POOLS")
    assert ("AuthorizerId" in properties) != is_public
    assert properties["Integration"]["Type"] == "AWS_PROXY"


def test_the_authorizer_is_of_the_one_pool(prod: Templates) -> None:
    (authorizer,) = of_type(prod["api"], "AWS::ApiGateway::Authorizer").values()
    (pool,) = of_type(prod["api"], "AWS::Cognito::UserPool")
    assert authorizer["Properties"]["ProviderARNs"] == [{"Fn::GetAtt": [pool, "Arn"]}]
    assert authorizer["Properties"]["IdentitySource"] == "method.request.header.Authorization"


def test_the_deployment_waits_for_all_methods_and_answers(prod: Templates) -> None:
    template = prod["api"]
    (deployment,) = of_type(template, "AWS::ApiGateway::Deployment").values()
    expected = {
        *of_type(template, "AWS::ApiGateway::Method"),
        *of_type(template, "AWS::ApiGateway::GatewayResponse"),
    }
    assert expected <= set(deployment["DependsOn"])


def test_the_one_permission_is_for_this_api_alone(prod: Templates) -> None:
    found = [
        each["Properties"]
        for each in of_type(prod["api"], "AWS::Lambda::Permission").values()
        if each["Properties"]["Principal"] == "apigateway.amazonaws.com"
    ]
    assert len(found) == 1
    assert "execute-api" in json.dumps(found[0]["SourceArn"])
    assert "/live/*/*" in json.dumps(found[0]["SourceArn"])


def test_what_the_gateway_says_by_itself_is_a_problem(prod: Templates) -> None:
    found = of_type(prod["api"], "AWS::ApiGateway::GatewayResponse").values()
    assert {each["Properties"]["ResponseType"] for each in found} == GATEWAY_RESPONSES.keys()
    for each in found:
        properties = each["Properties"]
        problem = json.loads(properties["ResponseTemplates"]["application/json"])
        assert problem["type"] == "about:blank"
        if not properties["ResponseType"].startswith("DEFAULT"):
            assert str(problem["status"]) == properties["StatusCode"]
        parameters = properties["ResponseParameters"]
        assert parameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"


def test_a_path_that_there_is_not_is_404_with_a_token_and_without(prod: Templates) -> None:
    status = {
        each["Properties"]["ResponseType"]: each["Properties"].get("StatusCode")
        for each in of_type(prod["api"], "AWS::ApiGateway::GatewayResponse").values()
    }
    # No method of the API takes signatures: only where there is none does the gateway look for one.
    assert status["INVALID_SIGNATURE"] == "404"
    assert status["MISSING_AUTHENTICATION_TOKEN"] == "404"


def test_the_stage_is_throttled_and_logs_no_path_that_was_asked_for(prod: Templates) -> None:
    (stage,) = of_type(prod["api"], "AWS::ApiGateway::Stage").values()
    (method,) = stage["Properties"]["MethodSettings"]
    assert (method["ThrottlingRateLimit"], method["ThrottlingBurstLimit"]) == (500, 1000)
    assert method["DataTraceEnabled"] is False
    line = stage["Properties"]["AccessLogSetting"]["Format"]
    assert "$context.resourcePath" in line
    assert "$context.path" not in line, "the path of a mailed link is a secret"


def test_the_firewall_is_the_stages_choice(prod: Templates, dev: Templates) -> None:
    assert len(of_type(prod["api"], "AWS::WAFv2::WebACL")) == 1
    assert len(of_type(prod["api"], "AWS::WAFv2::WebACLAssociation")) == 1
    assert not of_type(dev["api"], "AWS::WAFv2::WebACL")


def test_the_pool_is_the_one_of_the_contract(prod: Templates, dev: Templates) -> None:
    (pool,) = of_type(prod["api"], "AWS::Cognito::UserPool").values()
    properties = pool["Properties"]
    for name, value in pool_parameters(USER_POOL).items():
        if name not in ("PoolName", "MfaConfiguration"):
            assert properties[name] == value
    assert properties["Schema"] == attribute_parameters(USER_POOL)
    assert properties["MfaConfiguration"] == "OPTIONAL"
    assert properties["LambdaConfig"].keys() == USER_POOL.triggers.keys()
    assert pool["DeletionPolicy"] == "RetainExceptOnCreate"
    (client,) = of_type(prod["api"], "AWS::Cognito::UserPoolClient").values()
    for name, value in client_parameters(USER_POOL.client).items():
        assert client["Properties"][name] == value
    groups = [
        each["Properties"]["GroupName"]
        for each in of_type(prod["api"], "AWS::Cognito::UserPoolGroup").values()
    ]
    assert groups == [group.name for group in USER_POOL.groups]
    (other,) = of_type(dev["api"], "AWS::Cognito::UserPool").values()
    assert other["Properties"]["MfaConfiguration"] == "OFF"
    assert "EnabledMfas" not in other["Properties"]
