"""The ingest Lambda: a batch of telemetry out of SQS, into Postgres."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from functions import sqs
from traksense import bootstrap
from traksense.contracts import metrics as m
from traksense.contracts import queues
from traksense.observability import metrics
from traksense.services.ingest import IngestService


@cache
def _service() -> IngestService:
    return bootstrap.ingest()


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Take a batch; answer which of its messages have to come again."""
    service = _service()
    messages = sqs.messages(event)
    queue = queues.INGEST.name
    with metrics.timed(m.BATCH_DURATION, label=queue):
        result = service.ingest(messages)
    metrics.count(m.MESSAGES_RECEIVED, len(messages), label=queue)
    metrics.count(m.READINGS_STORED, result.stored)
    metrics.count(m.READINGS_DUPLICATE, result.duplicates)
    if messages:
        oldest_ms = min(message.received_at_us for message in messages) / 1000
        metrics.observe(m.INGEST_LAG, max(0.0, time.time() * 1000 - oldest_ms))
    if result.failed:
        metrics.count(m.MESSAGES_RETURNED, len(result.failed), label=queue)
    if result.came_online:
        metrics.count(m.STATE_CHANGES, result.came_online, label="online")
    if result.over_rate:
        metrics.count(m.OVER_RATE, result.over_rate)
    for reason, count in result.reasons.items():
        metrics.count(m.DEAD_LETTERS, count, label=reason)
    metrics.flush()
    return sqs.failures(result.failed)
