"""The database of a stage, and the migration that brings it to a release."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from aws_cdk import CustomResource, Duration, RemovalPolicy, Stack
from constructs import Construct

from infra_cdk.concurrency import shares
from infra_cdk.constructs.database import AdministratorAccess
from infra_cdk.constructs.external_database import ExternalDatabase
from infra_cdk.constructs.function import PlatformFunction
from infra_cdk.constructs.postgresql import AuroraDatabase, RdsDatabase
from infra_cdk.constructs.rotation import Rotation
from infra_cdk.packages import Packages
from infra_cdk.packaging.targets import ROOT
from infra_cdk.places import DatabaseAccess, Places
from infra_cdk.settings import StageSettings
from infra_cdk.stacks.network import NetworkStack
from traksense.contracts.functions import FUNCTIONS, MIGRATE

SQL: Final = ROOT / "sql"

_BOTH_VERSIONS: Final = 2
"""While a deployment replaces containers, the old ones still hold their connections."""


def limits(connections: int) -> dict[str, int]:
    """Most connections of each log-in, by the function's name: twice its calls at once, but never
    what all the others need. Raises TooFewConnections.
    """
    calls = shares(connections)
    needed = sum(calls.values())
    return {
        name: min(most * _BOTH_VERSIONS, connections - (needed - most))
        for name, most in calls.items()
    }


class DataStack(Stack):
    """The database that the stage chose; whoever depends on this stack finds it migrated."""

    def __init__(
        self,
        scope: Construct,
        settings: StageSettings,
        network: NetworkStack,
        packages: Packages,
        places: Places,
    ) -> None:
        super().__init__(scope, settings.stack_id("data"))
        self.database: Final = _database(self, settings, network)
        self.access: Final[DatabaseAccess] = self.database.access
        external = self.database if isinstance(self.database, ExternalDatabase) else None
        secrets = {} if external is None else external.secrets
        self.migrate: Final = PlatformFunction(
            self,
            MIGRATE,
            settings=settings,
            packages=packages,
            places=places,
            network=network,
            database=AdministratorAccess(
                self.database.direct, self.database.administrator, secrets
            ),
        )
        properties: dict[str, object] = {
            "Sql": digest_of(SQL),
            "Roles": {
                each.name: list(each.database_roles) for each in FUNCTIONS if each.database_roles
            },
            "Connections": limits(self.access.connections),
        }
        if external is not None:
            properties["Secrets"] = {
                name: secret.secret_arn for name, secret in external.secrets.items()
            }
        self.migrated: Final = CustomResource(
            self,
            "Schema",
            resource_type="Custom::TrakSenseSchema",
            service_token=self.migrate.function.function_arn,
            service_timeout=Duration.seconds(MIGRATE.timeout_s + 60),
            properties=properties,
            removal_policy=RemovalPolicy.RETAIN,
        )
        self.migrated.node.add_dependency(self.database, self.migrate)
        if external is not None:
            Rotation(
                self,
                settings=settings,
                packages=packages,
                places=places,
                network=network,
                database=external,
                after=self.migrated,
            )


def digest_of(folder: Path) -> str:
    """SHA-256 over names and bytes of a folder's SQL: another one when any of it changes."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.sql")):
        total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _database(
    scope: Construct, settings: StageSettings, network: NetworkStack
) -> RdsDatabase | AuroraDatabase | ExternalDatabase:
    match settings.database.kind:
        case "rds":
            return RdsDatabase(scope, "Database", settings, network)
        case "aurora":
            return AuroraDatabase(scope, "Database", settings, network)
        case "external":
            return ExternalDatabase(scope, "Database", settings, network)
