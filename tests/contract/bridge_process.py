"""A bridge in a process of its own, for tests that kill it.

``python -m tests.contract.bridge_process HOME BROKER_PORT JOURNAL SEED``: what the function took is
written to JOURNAL, a payload a line. It fails at random, and always on payloads that begin with
``poison``.
"""

from __future__ import annotations

import base64
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

from local import child
from local.bridge.dead_letters import DeadLetterFile
from local.bridge.queue import DeliveryPolicy
from local.bridge.runner import Bridge, BridgeSettings
from local.bridge.source import BrokerAddress, BrokerSource
from local.handlers import Handler
from local.home import Home
from traksense.contracts.queues import INGEST
from traksense.domain.errors import DatabaseAway

POLICY = DeliveryPolicy(
    batch_size=100,
    window_s=0.05,
    max_bytes=6_000_000,
    give_up_receives=4,
    give_up_after_s=0.2,
    first_delay_s=0.05,
    longest_delay_s=0.1,
)


def failing_handler(journal: Path, seed: int) -> Handler:
    chance = random.Random(seed)
    descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        # A message that is not poisoned is never given up: it fails less often than allowed.
        counts = [int(each["attributes"]["ApproximateReceiveCount"]) for each in event["Records"]]
        if max(counts) < 3 and chance.random() < 0.2:
            raise DatabaseAway("as it happens")
        taken, failed = [], []
        for record, received in zip(event["Records"], counts, strict=True):
            payload = base64.b64decode(json.loads(record["body"])["payload"]).decode()
            if payload.startswith("poison") or (received < 3 and chance.random() < 0.1):
                failed.append({"itemIdentifier": record["messageId"]})
            else:
                taken.append(payload)
        os.write(descriptor, "".join(f"{payload}\n" for payload in taken).encode())
        return {"batchItemFailures": failed}

    return handler


def main(stop: child.StopRequest) -> None:
    home, port, journal, seed = Home(Path(sys.argv[1])), sys.argv[2], sys.argv[3], sys.argv[4]
    settings = BridgeSettings(INGEST, "busy", policy=POLICY)
    bridge = Bridge(
        settings,
        failing_handler(Path(journal), int(seed)),
        DeadLetterFile(home.dead_letter_file(INGEST.name)),
        on_ready=child.ready,
    )
    certificates = home.certificates
    address = BrokerAddress(
        int(port), certificates / "ca.crt", certificates / "bridge.crt", certificates / "bridge.key"
    )
    bridge.attach(BrokerSource("bridge-ingest", settings.filters, bridge, address))
    stop.on_stop(bridge.stop)
    bridge.run()


if __name__ == "__main__":
    child.run("bridge", main)
