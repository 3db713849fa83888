"""CloudFront in a template: one name for page and API, and what the API can believe of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.api.app import app as api
from infra_cdk.stacks.web import api_patterns
from tests.infra.stages import of_type
from traksense.auth.origin import ADDRESS_HEADER, SECRET_HEADER
from traksense.contracts.page import SECURITY_HEADERS
from traksense.contracts.topics import matches

Templates = dict[str, dict[str, Any]]


@pytest.fixture(name="distribution")
def _distribution(prod: Templates) -> dict[str, Any]:
    (found,) = of_type(prod["web"], "AWS::CloudFront::Distribution").values()
    config: dict[str, Any] = found["Properties"]["DistributionConfig"]
    return config


def test_every_path_of_the_api_leads_to_the_api(distribution: dict[str, Any]) -> None:
    patterns = [each["PathPattern"] for each in distribution["CacheBehaviors"]]
    assert patterns == api_patterns()
    filters = [pattern.replace("*", "#").strip("/") for pattern in patterns]
    for path in api.routes:
        assert any(matches(each, path.strip("/")) for each in filters), path
    for file in ("index.html", "main.js", "views/device.js", "vendor/echarts/x.js"):
        assert not any(matches(each, file) for each in filters), file


def test_the_api_gets_the_secret_the_address_and_all_that_the_viewer_sent(
    prod: Templates, distribution: dict[str, Any]
) -> None:
    behaviours = distribution["CacheBehaviors"]
    assert len({each["TargetOriginId"] for each in behaviours}) == 1
    (origin,) = [
        each for each in distribution["Origins"] if each["Id"] == behaviours[0]["TargetOriginId"]
    ]
    (header,) = origin["OriginCustomHeaders"]
    assert header["HeaderName"] == SECRET_HEADER
    assert "resolve:secretsmanager" in json.dumps(header["HeaderValue"])
    assert origin["OriginPath"] == "/live"
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    (function,) = of_type(prod["web"], "AWS::CloudFront::Function").values()
    assert f"'{ADDRESS_HEADER}'" in function["Properties"]["FunctionCode"]
    for behaviour in behaviours:
        assert behaviour["FunctionAssociations"][0]["EventType"] == "viewer-request"
        # AWS's own: CachingDisabled, and AllViewerExceptHostHeader.
        assert behaviour["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
        assert behaviour["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
        assert "DELETE" in behaviour["AllowedMethods"]


def test_no_error_is_kept_for_whoever_asks_next_or_put_in_place_of_another(
    distribution: dict[str, Any],
) -> None:
    # All that CloudFront takes a time for but 416, which it keeps for nobody.
    codes = {400, 403, 404, 405, 414, 500, 501, 502, 503, 504}
    found = {each["ErrorCode"]: each for each in distribution["CustomErrorResponses"]}
    assert found.keys() == codes
    for each in found.values():
        assert each["ErrorCachingMinTTL"] == 0
        assert "ResponsePagePath" not in each, "the API's own problem is what the caller sees"
        assert "ResponseCode" not in each


def test_no_template_holds_the_secret(prod: Templates) -> None:
    (secret,) = of_type(prod["web"], "AWS::SecretsManager::Secret").values()
    assert "SecretString" not in secret["Properties"]
    assert secret["Properties"]["GenerateSecretString"]["PasswordLength"] == 48
    (function,) = [
        each["Properties"]
        for each in of_type(prod["api"], "AWS::Lambda::Function").values()
        if each["Properties"]["FunctionName"] == "traksense-prod-api"
    ]
    given = function["Environment"]["Variables"]["TRAKSENSE_ORIGIN_SECRETS"]
    assert "resolve:secretsmanager" in json.dumps(given)


def test_answers_carry_the_headers_of_the_local_gateway(prod: Templates) -> None:
    (policy,) = of_type(prod["web"], "AWS::CloudFront::ResponseHeadersPolicy").values()
    config = policy["Properties"]["ResponseHeadersPolicyConfig"]
    security = config["SecurityHeadersConfig"]
    found = {each["Header"]: each["Value"] for each in config["CustomHeadersConfig"]["Items"]} | {
        "Content-Security-Policy": security["ContentSecurityPolicy"]["ContentSecurityPolicy"],
        "X-Frame-Options": security["FrameOptions"]["FrameOption"],
        "Referrer-Policy": security["ReferrerPolicy"]["ReferrerPolicy"],
        "X-Content-Type-Options": "nosniff" if "ContentTypeOptions" in security else "",
    }
    assert found == dict(SECURITY_HEADERS)
    assert security["StrictTransportSecurity"]["AccessControlMaxAgeSec"] == 365 * 86_400


def test_the_page_is_nobodys_but_the_distributions(prod: Templates) -> None:
    for bucket in of_type(prod["web"], "AWS::S3::Bucket").values():
        assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    policies = json.dumps(of_type(prod["web"], "AWS::S3::BucketPolicy"))
    assert '"cloudfront.amazonaws.com"' in policies
    assert '"aws:SecureTransport": "false"' in policies
