"""What all stacks with functions are made with."""

from __future__ import annotations

from dataclasses import dataclass, field

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra_cdk.constructs.function import PlatformFunction
from infra_cdk.packages import Packages
from infra_cdk.places import DatabaseAccess, FunctionsNetwork, Places
from infra_cdk.settings import StageSettings
from traksense.contracts.functions import Function


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A stage's settings and packages, its network and database, and what was made so far."""

    settings: StageSettings
    packages: Packages
    network: FunctionsNetwork
    database: DatabaseAccess
    places: Places = field(default_factory=Places)

    def function(self, scope: Construct, contract: Function) -> lambda_.Function:
        """Make a function of the manifest in a stack. Raises UnknownVariable and NotMade."""
        return PlatformFunction(
            scope,
            contract,
            settings=self.settings,
            packages=self.packages,
            places=self.places,
            network=self.network,
            database=self.database if contract.database_roles else None,
        ).function
