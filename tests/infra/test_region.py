"""The region check: what is missing is named, and every service of a template is in the list."""

from __future__ import annotations

from typing import Any

import pytest

from infra_cdk.region import (
    GLOBAL,
    REGIONAL,
    has_authority,
    main,
    missing,
    unknown_namespaces,
)
from tests.infra.conftest import Templates


def types_of(template: dict[str, Any]) -> list[str]:
    return [resource["Type"] for resource in template["Resources"].values()]


@pytest.mark.parametrize("region", ["sa-east-1", "us-east-1"])
def test_a_region_that_has_everything_passes(
    region: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([region]) == 0
    printed = capsys.readouterr().out
    assert "MISSING" not in printed
    for service in (*REGIONAL, *GLOBAL):
        assert service.endpoint in printed


def test_a_region_without_a_service_is_told_which(capsys: pytest.CaptureFixture[str]) -> None:
    lacking = {each.endpoint for each in missing("eu-south-2")}
    assert "lambda" not in lacking
    assert main(["mars-north-1"]) == 1
    told = capsys.readouterr()
    assert "MISSING" in told.out
    assert "mars-north-1 lacks" in told.err


def test_a_region_whose_databases_functions_would_not_trust_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert has_authority("sa-east-1")
    # It has every service, and an authority that is younger than the list of them.
    assert main(["il-central-1"]) == 1
    told = capsys.readouterr()
    assert "MISSING  rds authority" in told.out
    assert "no authority of RDS in il-central-1" in told.err
    assert main(["eu-central-1"]) == 0


def test_every_name_of_a_service_is_one_that_botocore_knows() -> None:
    import botocore.session

    known = set(botocore.session.get_session().get_available_services())
    assert {each.endpoint for each in (*REGIONAL, *GLOBAL)} <= known


def test_a_type_of_a_service_that_is_not_listed_is_found() -> None:
    assert unknown_namespaces(["AWS::SQS::Queue", "AWS::Kinesis::Stream", "Custom::Migration"]) == {
        "Kinesis"
    }


def test_every_service_of_the_stacks_is_in_the_list(prod: Templates) -> None:
    found = {kind for template in prod.values() for kind in types_of(template)}
    assert unknown_namespaces(sorted(found)) == set()
    assert len(found) > 10
