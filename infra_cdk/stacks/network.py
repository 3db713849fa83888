"""The private network that the functions and the database share."""

from __future__ import annotations

from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra_cdk.acknowledged import acknowledge
from infra_cdk.constructs.removal import removal
from infra_cdk.settings import StageSettings

POSTGRESQL: Final = 5432
ZONES: Final = 2
"""A stack that knows no account may count on two (AWS CDK, "Vpc.maxAzs")."""


class NetworkStack(Stack):
    """A VPC over two zones: a way out, functions, and a database that has none.

    Functions reach AWS's interfaces through a NAT and S3 through a gateway endpoint; interface
    endpoints would cost more than the NAT (ADR 28).
    """

    def __init__(self, scope: Construct, settings: StageSettings) -> None:
        super().__init__(scope, settings.stack_id("network"))
        provider = _nat_instance() if settings.network.egress == "nat_instance" else None
        self.vpc: Final = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(settings.network.cidr),
            max_azs=ZONES,
            nat_gateway_provider=provider or ec2.NatProvider.gateway(),
            nat_gateways=1 if provider else ZONES,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False
                ),
                ec2.SubnetConfiguration(
                    name="functions", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS
                ),
                ec2.SubnetConfiguration(
                    name="database", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED
                ),
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)
            },
        )
        self.functions_subnets: Final = ec2.SubnetSelection(subnet_group_name="functions")
        self.database_subnets: Final = ec2.SubnetSelection(subnet_group_name="database")
        self.functions_security_group: Final = ec2.SecurityGroup(
            self,
            "Functions",
            vpc=self.vpc,
            description="TrakSense functions: to the database and to HTTPS, from nobody",
            allow_all_outbound=False,
        )
        self.database_security_group: Final = ec2.SecurityGroup(
            self,
            "Database",
            vpc=self.vpc,
            description="TrakSense database, its proxy or its private endpoint: from functions",
            allow_all_outbound=False,
        )
        self._let_through(settings)
        if provider is not None:
            for port, what in _ways_out(settings).items():
                provider.connections.allow_from(
                    self.functions_security_group, ec2.Port.tcp(port), what
                )
            for instance in provider.gateway_instances:
                acknowledge(instance, "EC26", "it forwards, and keeps nothing on its disk")
                acknowledge(instance, "EC28", "five minutes are soon enough for what can be down")
                acknowledge(instance, "EC29", "another one takes its place by a deployment")
        self._watch_refusals(settings)

    def _let_through(self, settings: StageSettings) -> None:
        """Functions → HTTPS; functions → proxy → database, which share a group."""
        functions, database = self.functions_security_group, self.database_security_group
        functions.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "AWS interfaces")
        postgresql = ec2.Port.tcp(POSTGRESQL)
        if settings.database.kind == "external":
            port = ec2.Port.tcp(settings.database.external.port)
            functions.add_egress_rule(ec2.Peer.any_ipv4(), port, "the database")
            database.add_ingress_rule(functions, port, "functions to the private endpoint")
            return
        functions.add_egress_rule(database, postgresql, "the database")
        database.add_ingress_rule(functions, postgresql, "functions")
        if settings.database.has_proxy:
            database.add_ingress_rule(database, postgresql, "the proxy")
            database.add_egress_rule(database, postgresql, "the proxy to its database")

    def _watch_refusals(self, settings: StageSettings) -> None:
        """Log what a security group refused; what it let through would cost more than it tells."""
        self.vpc.add_flow_log(
            "Refused",
            traffic_type=ec2.FlowLogTrafficType.REJECT,
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(
                logs.LogGroup(
                    self,
                    "RefusedLog",
                    retention=logs.RetentionDays.ONE_MONTH,
                    removal_policy=removal(keep=settings.keep_data),
                )
            ),
        )


def _ways_out(settings: StageSettings) -> dict[int, str]:
    """Ports that functions reach outside, and what for."""
    out = {443: "HTTPS of functions"}
    if settings.database.kind == "external":
        out.setdefault(settings.database.external.port, "the database of functions")
    return out


def _nat_instance() -> ec2.NatInstanceProviderV2:
    """The smallest instance that forwards; its image is found when it is deployed, not here."""
    return ec2.NatProvider.instance_v2(
        instance_type=ec2.InstanceType("t4g.nano"),
        machine_image=ec2.MachineImage.latest_amazon_linux2023(
            cpu_type=ec2.AmazonLinuxCpuType.ARM_64
        ),
        default_allowed_traffic=ec2.NatTrafficDirection.OUTBOUND_ONLY,
        associate_public_ip_address=True,
    )
