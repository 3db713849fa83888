"""The event that Lambda gets from SQS, and how Lambda reads the answer.

Shapes: AWS Lambda developer guide, "Using Lambda with Amazon SQS" and "Implementing partial batch
responses".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .queue import Message

REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"


def queue_arn(queue_name: str) -> str:
    """The ARN that a queue of this name has in the local account."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue_name}"


def sqs_event(queue_name: str, messages: Iterable[Message]) -> dict[str, Any]:
    """One invocation's event. Numbers among the attributes are strings, as SQS has them."""
    arn = queue_arn(queue_name)
    return {
        "Records": [
            {
                "messageId": message.message_id,
                "receiptHandle": f"{message.message_id}:{message.receives}",
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": str(message.receives),
                    "SentTimestamp": str(message.sent_at_ms),
                    "SenderId": ACCOUNT,
                    "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
                },
                "messageAttributes": {},
                "md5OfBody": hashlib.md5(
                    message.body.encode("utf-8"), usedforsecurity=False
                ).hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }


def failed_ids(answer: object, message_ids: Iterable[str]) -> set[str]:
    """Ids of the messages that go back to the queue.

    As in Lambda, no answer or an empty list is a success of all, and an answer that makes no sense
    (no object, an empty, missing or foreign ``itemIdentifier``) is a failure of all.
    """
    known = set(message_ids)
    if answer is None:
        return set()
    if not isinstance(answer, Mapping):
        return known
    items = answer.get("batchItemFailures")
    if items is None:
        return set()
    if not isinstance(items, list):
        return known
    failed: set[str] = set()
    for item in items:
        identifier = item.get("itemIdentifier") if isinstance(item, Mapping) else None
        if identifier not in known:
            return known
        failed.add(identifier)
    return failed
