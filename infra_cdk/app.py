"""``python -m infra_cdk.app``: the stacks of the stage that the context chooses.

``cdk synth`` runs it; it calls nobody and needs no account. The stacks name no account and no
region: they go where they are deployed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from aws_cdk import App, Tags

from infra_cdk.concurrency import TooFewConnections
from infra_cdk.constructs.surroundings import Surroundings
from infra_cdk.cost.sizing import UnknownClass
from infra_cdk.operations.watched import watched_of
from infra_cdk.packages import NotBuilt, Packages
from infra_cdk.places import Places
from infra_cdk.settings import SettingsError, StageSettings, read
from infra_cdk.stacks.api import ApiStack
from infra_cdk.stacks.data import DataStack
from infra_cdk.stacks.exports import ExportsStack
from infra_cdk.stacks.ingest import IngestStack
from infra_cdk.stacks.maintenance import MaintenanceStack
from infra_cdk.stacks.network import NetworkStack
from infra_cdk.stacks.operations import OperationsStack
from infra_cdk.stacks.page import PageStack
from infra_cdk.stacks.web import WebStack

_WITHOUT_TAGS: Final = ("AWS::RDS::DBProxyTargetGroup",)
"""CloudFormation takes none there, whatever the CDK says."""


@dataclass(frozen=True, slots=True)
class Platform:
    """The stacks of one stage."""

    network: NetworkStack
    data: DataStack
    ingest: IngestStack
    web: WebStack
    exports: ExportsStack
    api: ApiStack
    page: PageStack
    maintenance: MaintenanceStack
    operations: OperationsStack


def build(app: App, settings: StageSettings, packages: Packages) -> Platform:
    """Make the stacks of a stage, in the order in which they are deployed."""
    places = Places()
    network = NetworkStack(app, settings)
    data = DataStack(app, settings, network, packages, places)
    around = Surroundings(settings, packages, network, data.access, places)
    ingest = IngestStack(app, around)
    web = WebStack(app, settings, places)
    exports = ExportsStack(app, around)
    api = ApiStack(app, around, web.api)
    page = PageStack(app, settings, web)
    page.add_stack_dependency(api)  # which it asks
    maintenance = MaintenanceStack(app, around)
    operations = OperationsStack(app, settings, watched_of(settings))
    for stack in (ingest, exports, api, maintenance):
        stack.add_stack_dependency(data)  # the database is migrated before a function changes
    for name, value in (("platform", "traksense"), ("stage", settings.stage)):
        Tags.of(app).add(name, value, exclude_resource_types=list(_WITHOUT_TAGS))
    return Platform(
        network=network,
        data=data,
        ingest=ingest,
        web=web,
        exports=exports,
        api=api,
        page=page,
        maintenance=maintenance,
        operations=operations,
    )


def settings_of(app: App) -> StageSettings:
    """Of the stage that the app's context chooses. Raises SettingsError."""
    context = {name: app.node.try_get_context(name) for name in ("stage", "stages", "database")}
    return read({name: value for name, value in context.items() if value is not None})


def main() -> int:
    """Write the cloud assembly to where the CDK's command asked for it."""
    app = App()
    try:
        build(app, settings_of(app), Packages.built())
    except (SettingsError, TooFewConnections, NotBuilt, UnknownClass) as error:
        print(error, file=sys.stderr)
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
