"""Who may talk to whom in the private network."""

from __future__ import annotations

from typing import Any

import pytest

from infra_cdk.stacks.network import NetworkStack
from tests.infra.stages import app, of_type, settings


def template(stage: str, **changes: str) -> dict[str, Any]:
    made = app()
    network = NetworkStack(made, settings(stage, **changes))
    found: dict[str, Any] = made.synth().get_stack_by_name(network.stack_name).template
    return found


def rules(found: dict[str, Any], group: str) -> set[tuple[str, int]]:
    """Whom a group lets in, and to which port."""
    return {
        (str(each["Properties"]["SourceSecurityGroupId"]["Fn::GetAtt"][0]),
         each["Properties"]["FromPort"])
        for each in of_type(found, "AWS::EC2::SecurityGroupIngress").values()
        if each["Properties"]["GroupId"]["Fn::GetAtt"][0].startswith(group)
    }  # fmt: skip


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_database_has_no_way_out_and_only_functions_have_one_in(stage: str) -> None:
    found = template(stage)
    subnets = of_type(found, "AWS::EC2::Subnet")
    database = {name for name in subnets if "databaseSubnet" in name}
    assert len(database) == 2
    tables = {
        each["Properties"]["RouteTableId"]["Ref"]
        for each in of_type(found, "AWS::EC2::SubnetRouteTableAssociation").values()
        if each["Properties"]["SubnetId"]["Ref"] in database
    }
    routed = {
        each["Properties"]["RouteTableId"]["Ref"]
        for each in of_type(found, "AWS::EC2::Route").values()
    }
    assert len(tables) == 2
    assert not tables & routed
    peers = {name[: len("Functions")] for name, _ in rules(found, "Database")}
    assert peers <= {"Functions", "DatabaseB"}


def test_dev_goes_out_through_one_small_instance_and_prod_through_a_gateway_a_zone() -> None:
    dev, prod = template("dev"), template("prod")
    (instance,) = of_type(dev, "AWS::EC2::Instance").values()
    assert instance["Properties"]["InstanceType"] == "t4g.nano"
    assert not of_type(dev, "AWS::EC2::NatGateway")
    assert len(of_type(prod, "AWS::EC2::NatGateway")) == 2
    assert not of_type(prod, "AWS::EC2::Instance")


def test_devs_way_out_takes_https_of_functions_and_nothing_else() -> None:
    found = template("dev")
    assert {(name[:9], port) for name, port in rules(found, "VpcNat")} == {("Functions", 443)}
    for group in of_type(found, "AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group["Properties"]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_functions_go_to_https_and_to_the_database_alone(stage: str) -> None:
    found = template(stage)
    functions = next(
        each["Properties"]
        for name, each in of_type(found, "AWS::EC2::SecurityGroup").items()
        if name.startswith("Functions")
    )
    assert [each["FromPort"] for each in functions["SecurityGroupEgress"]] == [443]
    elsewhere = {
        each["Properties"]["ToPort"]
        for each in of_type(found, "AWS::EC2::SecurityGroupEgress").values()
    }
    assert elsewhere <= {443, 5432}


def test_only_a_proxy_lets_the_database_talk_to_itself() -> None:
    assert "Database" in str(rules(template("prod"), "Database"))
    assert "Database" not in str(rules(template("dev"), "Database"))


def test_s3_is_reached_without_the_way_out() -> None:
    (endpoint,) = of_type(template("dev"), "AWS::EC2::VPCEndpoint").values()
    assert endpoint["Properties"]["VpcEndpointType"] == "Gateway"


def test_a_database_elsewhere_is_reached_at_its_own_port() -> None:
    found = template("prod", database="external")
    functions = next(
        each["Properties"]
        for name, each in of_type(found, "AWS::EC2::SecurityGroup").items()
        if name.startswith("Functions")
    )
    assert {each["FromPort"] for each in functions["SecurityGroupEgress"]} == {443, 5432}
