"""``python -m local.worker QUEUE``: one queue's bridge with its function in the same process."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from local import child
from local.bridge.dead_letters import DeadLetterFile
from local.bridge.runner import Bridge, BridgeSettings
from local.bridge.source import BrokerAddress, BrokerSource
from local.handlers import load_handler
from local.home import Home
from local.prometheus import PrometheusSink
from traksense.contracts.functions import function_of
from traksense.contracts.queues import QUEUES, Queue, Stage
from traksense.domain.errors import ConfigurationError
from traksense.observability import metrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker reads from the environment."""

    home: Path
    broker_port: int
    stage: Stage

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> WorkerSettings:
        """Raises ConfigurationError, naming the variable."""
        home = environ.get("TRAKSENSE_HOME", "")
        if not home:
            raise ConfigurationError("TRAKSENSE_HOME is not set: it must hold the platform's home")
        port = environ.get("TRAKSENSE_BROKER_PORT", "")
        if not (port.isascii() and port.isdigit()):
            raise ConfigurationError(
                f"TRAKSENSE_BROKER_PORT is {port!r}: it must be the port of the platform's listener"
            )
        stage = environ.get("TRAKSENSE_STAGE") or "busy"
        if stage not in get_args(Stage):
            raise ConfigurationError(
                f"TRAKSENSE_STAGE is {stage!r}: it must be one of {', '.join(get_args(Stage))}"
            )
        return cls(Path(home), int(port), cast(Stage, stage))


def run(queue: Queue, stop: child.StopRequest) -> None:
    """Bridge a queue until the end is requested."""
    settings = WorkerSettings.from_environment(os.environ)
    metrics.use(PrometheusSink())
    home = Home(settings.home)
    bridge_settings = BridgeSettings(queue, settings.stage)
    bridge = Bridge(
        bridge_settings,
        load_handler(function_of(queue.function)),
        DeadLetterFile(home.dead_letter_file(queue.name)),
        on_ready=lambda: child.ready(queue=queue.name),
    )
    certificates = home.certificates
    address = BrokerAddress(
        port=settings.broker_port,
        ca=certificates / "ca.crt",
        certificate=certificates / "bridge.crt",
        key=certificates / "bridge.key",
    )
    bridge.attach(BrokerSource(f"bridge-{queue.name}", bridge_settings.filters, bridge, address))
    stop.on_stop(bridge.stop)
    bridge.run()
    logger.info("stopped")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m local.worker", description=__doc__)
    parser.add_argument("queue", choices=[queue.name for queue in QUEUES])
    name = parser.parse_args(arguments).queue
    queue = next(queue for queue in QUEUES if queue.name == name)
    child.run(f"worker.{name}", lambda stop: run(queue, stop))


if __name__ == "__main__":
    main()
