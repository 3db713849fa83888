"""The device events Lambda: state, event, alarm, ack and presence out of SQS."""

from __future__ import annotations

from functools import cache
from typing import Any

from functions import sqs
from traksense import bootstrap
from traksense.contracts import metrics as m
from traksense.contracts import queues
from traksense.observability import metrics
from traksense.services.device_events import DeviceEventsService


@cache
def _service() -> DeviceEventsService:
    return bootstrap.device_events()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Take a batch; answer which of its messages have to come again."""
    service = _service()
    messages = sqs.messages(event)
    queue = queues.DEVICE_EVENTS.name
    with metrics.timed(m.BATCH_DURATION, label=queue):
        result = service.take(messages)
    metrics.count(m.MESSAGES_RECEIVED, len(messages), label=queue)
    if result.failed:
        metrics.count(m.MESSAGES_RETURNED, len(result.failed), label=queue)
    for status, flips in (("online", result.flips.online), ("offline", result.flips.offline)):
        if flips:
            metrics.count(m.STATE_CHANGES, flips, label=status)
    for outcome, count in result.settled.items():
        metrics.count(m.COMMANDS_SETTLED, count, label=outcome)
    for reason, count in result.reasons.items():
        metrics.count(m.DEAD_LETTERS, count, label=reason)
    metrics.flush()
    return sqs.failures(result.failed)
