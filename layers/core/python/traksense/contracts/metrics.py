"""Names, kinds and units of the metrics: the same in CloudWatch (EMF) and in Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]
Unit = Literal["Bytes", "Count", "Milliseconds", "Seconds"]

NAMESPACE: Final = "TrakSense"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. ``name`` is CamelCase for CloudWatch; ``prometheus`` is its other name."""

    name: str
    kind: Kind
    unit: Unit
    help: str
    prometheus: str
    label: str | None = None
    """The one dimension that it carries, if any: never a device, of which there are many."""


READINGS_STORED: Final = Metric(
    "ReadingsStored", "counter", "Count", "Readings stored.", "traksense_readings_stored"
)
READINGS_DUPLICATE: Final = Metric(
    "ReadingsDuplicate", "counter", "Count",
    "Readings that were there already.", "traksense_readings_duplicate",
)  # fmt: skip
MESSAGES_RECEIVED: Final = Metric(
    "MessagesReceived", "counter", "Count",
    "Messages taken from a queue.", "traksense_messages_received", "queue",
)  # fmt: skip
MESSAGES_RETURNED: Final = Metric(
    "MessagesReturned", "counter", "Count",
    "Messages given back to the queue for another try.", "traksense_messages_returned", "queue",
)  # fmt: skip
DEAD_LETTERS: Final = Metric(
    "DeadLetters", "counter", "Count",
    "Messages or points that could not be accepted.", "traksense_dead_letters", "reason",
)  # fmt: skip
BATCH_DURATION: Final = Metric(
    "BatchDuration", "histogram", "Milliseconds",
    "Time to handle one batch.", "traksense_batch_duration_milliseconds", "queue",
)  # fmt: skip
INGEST_LAG: Final = Metric(
    "IngestLag", "histogram", "Milliseconds",
    "Arrival at the broker to commit, of the oldest message of a batch.",
    "traksense_ingest_lag_milliseconds",
)  # fmt: skip
QUEUE_DEPTH: Final = Metric(
    "QueueDepth", "gauge", "Count",
    "Messages taken from the broker and not yet acknowledged.", "traksense_queue_depth", "queue",
)  # fmt: skip
QUEUE_DEAD: Final = Metric(
    "QueueDead", "gauge", "Count",
    "Messages in a dead-letter queue.", "traksense_queue_dead_letters", "queue",
)  # fmt: skip
STATE_CHANGES: Final = Metric(
    "StateChanges", "counter", "Count",
    "Devices that went online or offline.", "traksense_state_changes", "status",
)  # fmt: skip
COMMANDS_SETTLED: Final = Metric(
    "CommandsSettled", "counter", "Count",
    "Commands by what became of them; late: an ack that changed no status.",
    "traksense_commands_settled", "status",
)  # fmt: skip
REQUESTS: Final = Metric(
    "Requests", "counter", "Count", "HTTP requests.", "traksense_http_requests", "status"
)
REQUEST_DURATION: Final = Metric(
    "RequestDuration", "histogram", "Milliseconds",
    "Time to answer an HTTP request.", "traksense_http_request_duration_milliseconds", "route",
)  # fmt: skip
REQUESTS_REFUSED: Final = Metric(
    "RequestsRefused", "counter", "Count",
    "Requests refused because a quota was spent.", "traksense_http_requests_refused", "quota",
)  # fmt: skip
AUDIT_FAILURES: Final = Metric(
    "AuditFailures", "counter", "Count",
    "Entries of the audit log that could not be added.", "traksense_audit_failures",
)  # fmt: skip
ROLLUP_LAG: Final = Metric(
    "RollupLag", "gauge", "Seconds",
    "How long the oldest missing bucket of a level has been due.",
    "traksense_rollup_lag_seconds", "level",
)  # fmt: skip
ROLLUP_BUCKETS: Final = Metric(
    "RollupBuckets", "counter", "Count",
    "Buckets of rollups written.", "traksense_rollup_buckets",
)  # fmt: skip
ROLLUP_FAILURES: Final = Metric(
    "RollupFailures", "counter", "Count",
    "Refreshes of the rollups that failed.", "traksense_rollup_failures",
)  # fmt: skip
ROLLUP_DURATION: Final = Metric(
    "RollupDuration", "histogram", "Milliseconds",
    "Time that a refresh of the rollups took.", "traksense_rollup_duration_milliseconds",
)  # fmt: skip
JOB_FAILURES: Final = Metric(
    "JobFailures", "counter", "Count",
    "Maintenance jobs that failed.", "traksense_job_failures", "job",
)  # fmt: skip
DAYS_TO_CLOSE: Final = Metric(
    "DaysToClose", "gauge", "Count",
    "Days whose readings should be segments and are not.", "traksense_days_to_close",
)  # fmt: skip
RELEASE_JOBS_LEFT: Final = Metric(
    "ReleaseJobsLeft", "gauge", "Count",
    "Jobs of this release or one before it that are not finished.", "traksense_release_jobs_left",
)  # fmt: skip
RELEASE_JOBS_FAILING: Final = Metric(
    "ReleaseJobsFailing", "gauge", "Count",
    "Those of them whose last try failed.", "traksense_release_jobs_failing",
)  # fmt: skip
DATABASE_BYTES: Final = Metric(
    "DatabaseBytes", "gauge", "Bytes", "Size of the database.", "traksense_database_bytes"
)
DATABASE_CONNECTIONS: Final = Metric(
    "DatabaseConnections", "gauge", "Count",
    "Sessions of the database's server.", "traksense_database_connections",
)  # fmt: skip
DATABASE_CONNECTIONS_LEFT: Final = Metric(
    "DatabaseConnectionsLeft", "gauge", "Count",
    "Sessions that the database's server would still take.",
    "traksense_database_connections_left",
)  # fmt: skip
TRANSACTION_AGE: Final = Metric(
    "TransactionAge", "gauge", "Count",
    "Transactions since the oldest row that is not frozen.", "traksense_transaction_age",
)  # fmt: skip

OVER_RATE: Final = Metric(
    "OverRate", "counter", "Count",
    "Minutes in which devices sent more messages than they may.", "traksense_over_rate",
)  # fmt: skip
CACHE_HITS: Final = Metric(
    "CacheHits", "counter", "Count",
    "Lookups that a copy in memory answered.", "traksense_cache_hits", "kind",
)  # fmt: skip
CACHE_MISSES: Final = Metric(
    "CacheMisses", "counter", "Count",
    "Lookups that the database answered.", "traksense_cache_misses", "kind",
)  # fmt: skip

EXPORTS: Final = Metric(
    "Exports", "counter", "Count",
    "Exports that ended.", "traksense_exports", "outcome",
)  # fmt: skip
EXPORT_ROWS: Final = Metric(
    "ExportRows", "counter", "Count",
    "Rows of exports that were completed.", "traksense_export_rows",
)  # fmt: skip
EXPORT_MAILS: Final = Metric(
    "ExportMails", "counter", "Count",
    "E-mails that tell how an export ended: taken for delivery, or refused for good.",
    "traksense_export_mails", "outcome",
)  # fmt: skip
EXPORTS_LOST: Final = Metric(
    "ExportsLost", "counter", "Count",
    "Executions of exports that were begun again because they were lost.",
    "traksense_exports_lost",
)  # fmt: skip

METRICS: Final = (
    READINGS_STORED, READINGS_DUPLICATE, MESSAGES_RECEIVED, MESSAGES_RETURNED, DEAD_LETTERS,
    BATCH_DURATION, INGEST_LAG, QUEUE_DEPTH, QUEUE_DEAD, STATE_CHANGES, REQUESTS,
    REQUEST_DURATION, REQUESTS_REFUSED, AUDIT_FAILURES,
    ROLLUP_LAG, ROLLUP_BUCKETS, ROLLUP_FAILURES, ROLLUP_DURATION,
    JOB_FAILURES, DAYS_TO_CLOSE, RELEASE_JOBS_LEFT, RELEASE_JOBS_FAILING,
    COMMANDS_SETTLED, CACHE_HITS, CACHE_MISSES, OVER_RATE,
    DATABASE_BYTES, DATABASE_CONNECTIONS, DATABASE_CONNECTIONS_LEFT, TRANSACTION_AGE,
    EXPORTS, EXPORT_ROWS, EXPORT_MAILS, EXPORTS_LOST,
)  # fmt: skip
"""Every metric of the platform."""
