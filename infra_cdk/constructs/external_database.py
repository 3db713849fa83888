"""A PostgreSQL or TimescaleDB that somebody else keeps, such as Tiger Cloud."""

from __future__ import annotations

from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra_cdk.constructs.database import (
    ENCRYPTED_ONLY,
    KEPT_FREE,
    PUBLICLY_TRUSTED,
    Address,
    SecretAccess,
)
from infra_cdk.places import DatabaseAccess
from infra_cdk.settings import StageSettings
from infra_cdk.stacks.network import NetworkStack
from traksense.contracts.functions import FUNCTIONS
from traksense.db.logins import login_name


class ExternalDatabase(Construct):
    """Its administrator's secret is made by hand; those of the functions' log-ins are made here."""

    def __init__(
        self, scope: Construct, construct_id: str, settings: StageSettings, network: NetworkStack
    ) -> None:
        super().__init__(scope, construct_id)
        external = settings.database.external
        self.administrator: Final = secretsmanager.Secret.from_secret_name_v2(
            self, "Administrator", external.secret_name
        )
        self.secrets: Final = {
            function.name: secretsmanager.Secret(
                self,
                f"Login-{function.name}",
                description=f"TrakSense {settings.stage}: {function.name}'s log-in to the database",
                generate_secret_string=secretsmanager.SecretStringGenerator(
                    secret_string_template=f'{{"username":"{login_name(function.name)}"}}',
                    generate_string_key="password",
                    exclude_punctuation=True,
                    password_length=40,
                ),
                removal_policy=RemovalPolicy.DESTROY,  # a migration gives it to the log-in again
            )
            for function in FUNCTIONS
            if function.database_roles
        }
        self.direct: Final = Address(
            external.host,
            external.port,
            settings.database.name,
            PUBLICLY_TRUSTED if external.verify_certificate else ENCRYPTED_ONLY,
        )
        self.access: Final[DatabaseAccess] = SecretAccess(
            self.direct, settings.database.connections - KEPT_FREE, self.secrets
        )
        if external.private_endpoint_service is not None:
            self._lead_to(external.private_endpoint_service, settings, network)

    def _lead_to(self, service: str, settings: StageSettings, network: NetworkStack) -> None:
        """A private endpoint, under the host's own name, which its certificate is for."""
        external = settings.database.external
        endpoint = ec2.InterfaceVpcEndpoint(
            self,
            "Endpoint",
            vpc=network.vpc,
            service=ec2.InterfaceVpcEndpointService(service, external.port),
            subnets=network.database_subnets,
            security_groups=[network.database_security_group],
            private_dns_enabled=False,
            open=False,
        )
        zone = route53.PrivateHostedZone(self, "Zone", vpc=network.vpc, zone_name=external.host)
        route53.ARecord(
            self,
            "Host",
            zone=zone,
            target=route53.RecordTarget.from_alias(targets.InterfaceVpcEndpointTarget(endpoint)),
        )
