"""SQS events as our messages, and our results as SQS takes them.

The body is what the rule's SELECT made (``traksense.contracts.rules``). msgspec turns its base64
into bytes while it reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from traksense.domain.messages import Message

_MAX_MS: Final = 4_102_444_800_000
"""2100-01-01: what claims to have arrived later was made by no rule."""


class _Body(msgspec.Struct):
    payload: bytes
    topic: str
    received_at: Annotated[int, msgspec.Meta(ge=0, le=_MAX_MS)]
    client_id: str | None = None


_decode_body: Final = msgspec.json.Decoder(_Body).decode


def messages(event: Mapping[str, Any]) -> list[Message]:
    """The messages of an SQS event, in its order.

    A body that no rule of ours made keeps its bytes as payload under an empty topic, so that it
    ends among the dead letters instead of stopping its batch.
    """
    taken = []
    for record in event["Records"]:
        try:
            body = _decode_body(record["body"])
        except (msgspec.MsgspecError, UnicodeError):
            taken.append(_foreign(record))
            continue
        taken.append(
            Message(
                record["messageId"],
                body.payload,
                body.topic,
                body.client_id,
                body.received_at * 1000,
            )
        )
    return taken


def _foreign(record: Mapping[str, Any]) -> Message:
    sent_ms = int(record.get("attributes", {}).get("SentTimestamp", "0"))
    payload = str(record["body"]).encode("utf-8", "replace")
    return Message(record["messageId"], payload, "", None, sent_ms * 1000)


def failures(ids: list[str]) -> dict[str, Any]:
    """The answer that makes SQS deliver these messages, and only these, again.

    Source: AWS Lambda Developer Guide, "Implementing partial batch responses".
    """
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in ids]}
