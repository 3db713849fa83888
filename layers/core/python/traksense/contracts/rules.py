"""IoT topic rules: which topics reach which queue, and what a queued message looks like.

The payload is base64 of the raw bytes, so that what is no JSON reaches our dead letters
with its bytes instead of dying in the rule (AWS IoT SQL reference, ``encode``).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Final

from . import queues, topics
from .topics import Channel

SQL_VERSION: Final = "2016-03-23"
SELECT: Final = (
    "encode(*,'base64') AS payload, topic() AS topic, "
    "clientid() AS client_id, timestamp() AS received_at"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One topic rule with an SQS action."""

    name: str
    topic_filter: str
    queue: queues.Queue

    @property
    def sql(self) -> str:
        """The statement, as AWS IoT takes it."""
        return f"SELECT {SELECT} FROM '{self.topic_filter}'"  # noqa: S608 - constants of ours


def project(payload: bytes, topic: str, client_id: str, received_at: int) -> str:
    """What ``SELECT`` makes of one message: the body of the queued message, as JSON.

    ``received_at`` is in milliseconds since the Unix epoch, as ``timestamp()`` gives it.
    """
    return json.dumps(
        {
            "payload": base64.b64encode(payload).decode("ascii"),
            "topic": topic,
            "client_id": client_id,
            "received_at": received_at,
        },
        separators=(",", ":"),
    )


TELEMETRY: Final = Rule("telemetry", topics.channel_filter(Channel.TELEM), queues.INGEST)

RULES: Final = (
    TELEMETRY,
    Rule("tds_telemetry", topics.tds_filter(), queues.INGEST),
    Rule("device_state", topics.channel_filter(Channel.STATE), queues.DEVICE_EVENTS),
    Rule("device_event", topics.channel_filter(Channel.EVENT), queues.DEVICE_EVENTS),
    Rule("device_alarm", topics.channel_filter(Channel.ALARM), queues.DEVICE_EVENTS),
    Rule("device_ack", topics.channel_filter(Channel.ACK), queues.DEVICE_EVENTS),
    Rule("presence", topics.presence_filter(), queues.DEVICE_EVENTS),
)
"""Every rule of the platform."""
