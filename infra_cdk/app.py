"""``python -m infra_cdk.app``: the stacks of the stage that the context chooses.

``cdk synth`` runs it; it calls nobody and needs no account. The stacks name no account and no
region: they go where they are deployed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from aws_cdk import App, Tags

from infra_cdk.settings import SettingsError, StageSettings, read
from infra_cdk.stacks.network import NetworkStack


@dataclass(frozen=True, slots=True)
class Platform:
    """The stacks of one stage."""

    network: NetworkStack


def build(app: App, settings: StageSettings) -> Platform:
    """Make the stacks of a stage, in the order in which they are deployed."""
    network = NetworkStack(app, settings)
    Tags.of(app).add("platform", "traksense")
    Tags.of(app).add("stage", settings.stage)
    return Platform(network=network)


def main() -> int:
    """Write the cloud assembly to where the CDK's command asked for it."""
    app = App()
    try:
        context = {name: app.node.try_get_context(name) for name in ("stage", "stages", "database")}
        settings = read({name: value for name, value in context.items() if value is not None})
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    build(app, settings)
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
