"""The functions' log-ins get new passwords by the clock, where they have passwords."""

from __future__ import annotations

from typing import Final

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IDependable

from infra_cdk.constructs.database import LoginsAccess
from infra_cdk.constructs.external_database import ExternalDatabase
from infra_cdk.constructs.function import PlatformFunction
from infra_cdk.packages import Packages
from infra_cdk.places import FunctionsNetwork, Places
from infra_cdk.settings import StageSettings
from traksense.contracts.functions import ROTATE


class Rotation(Construct):
    """The function that changes them, and a schedule for each secret."""

    def __init__(
        self,
        scope: Construct,
        *,
        settings: StageSettings,
        packages: Packages,
        places: Places,
        network: FunctionsNetwork,
        database: ExternalDatabase,
        after: IDependable,
    ) -> None:
        """``after``: what makes the log-ins, which are there before one of them is rotated."""
        super().__init__(scope, "Rotation")
        places.login_secrets = tuple(database.secrets.values())
        self.rotate: Final = PlatformFunction(
            self,
            ROTATE,
            settings=settings,
            packages=packages,
            places=places,
            network=network,
            database=LoginsAccess(database.direct),
        )
        self.rotate.function.add_permission(
            "SecretsManager",
            principal=iam.ServicePrincipal("secretsmanager.amazonaws.com"),
            source_account=Stack.of(self).account,
        )
        for name, secret in database.secrets.items():
            # Not secret.add_rotation_schedule, which lets the function make passwords "on *".
            schedule = secretsmanager.CfnRotationSchedule(
                self,
                f"Login-{name}",
                secret_id=secret.secret_arn,
                rotation_lambda_arn=self.rotate.function.function_arn,
                rotation_rules=secretsmanager.CfnRotationSchedule.RotationRulesProperty(
                    automatically_after_days=settings.database.external.rotation_days
                ),
                rotate_immediately_on_update=False,
            )
            schedule.node.add_dependency(self.rotate, after)
