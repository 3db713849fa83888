"""The alarms as data: what is measured, when somebody is told, and which page says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from traksense.contracts import functions as f
from traksense.contracts import metrics as m

from .measures import FIVE_MINUTES, MINUTE, of_aws, own, own_of_all_labels, percentage
from .watched import Watched, WatchedDatabase

Missing = Literal["notBreaching", "breaching", "ignore"]

HOUR: Final = Duration.hours(1)
ABOVE: Final = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
BELOW: Final = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD

GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSpec:
    """One alarm."""

    name: str
    """Unique in a stage: ``queue-age-ingest``."""
    runbook: str
    """Page of ``docs/howto/alarms`` that says what to do, without ``.md``."""
    says: str
    """What is the case, in one sentence."""
    metric: cloudwatch.IMetric
    threshold: float
    comparison: cloudwatch.ComparisonOperator = ABOVE
    periods: int = 1
    """Periods in a row that have to be bad."""
    missing: Missing = "notBreaching"
    """What no data means. Breaching where something comes every minute when all is well."""


def alarms(watched: Watched) -> tuple[AlarmSpec, ...]:
    """Every alarm of a stage."""
    return (
        *_queues(watched),
        *_rules(watched),
        *_functions(watched),
        *_ingest(watched),
        *_jobs(watched),
        *_api(watched),
        *_exports(watched),
        *_database(watched.functions[f.MAINTENANCE.name], watched.database),
        *_mail(watched),
        *_rotation(watched),
    )


def _queues(watched: Watched) -> Iterator[AlarmSpec]:
    for name, queue in watched.queues.items():
        yield AlarmSpec(
            name=f"queue-age-{name}",
            runbook="queue-age",
            says=f"The oldest message of the queue {name} has waited for more than 5 minutes.",
            metric=of_aws(
                "SQS", "ApproximateAgeOfOldestMessage", {"QueueName": queue}, statistic="Maximum"
            ),
            threshold=300,
            periods=2,
        )
    for name, queue in watched.dead_letter_queues.items():
        yield AlarmSpec(
            name=f"dead-letter-queue-{name}",
            runbook="dead-letter-queue",
            says=f"Messages of the queue {name} were given up after more than a day.",
            metric=of_aws(
                "SQS",
                "ApproximateNumberOfMessagesVisible",
                {"QueueName": queue},
                statistic="Maximum",
            ),
            threshold=0,
        )


def _rules(watched: Watched) -> Iterator[AlarmSpec]:
    for name, rule in watched.rules.items():
        yield AlarmSpec(
            name=f"rule-failures-{name}",
            runbook="rule-failures",
            says=f"The IoT rule {name} could not hand messages to its queue.",
            metric=of_aws(
                "IoT", "Failure", {"RuleName": rule, "ActionType": "SQS"}, statistic="Sum"
            ),
            threshold=0,
        )


def _functions(watched: Watched) -> Iterator[AlarmSpec]:
    limits = {each.name: each.timeout_s for each in f.FUNCTIONS}
    for name, function in watched.functions.items():
        dimensions = {"FunctionName": function}
        yield AlarmSpec(
            name=f"function-errors-{name}",
            runbook="function-errors",
            says=f"More than 5 of 100 calls of {name} fail.",
            metric=percentage(
                of_aws("Lambda", "Errors", dimensions, statistic="Sum"),
                of_aws("Lambda", "Invocations", dimensions, statistic="Sum"),
                least=1,
            ),
            threshold=5,
            periods=2,
        )
        yield AlarmSpec(
            name=f"function-throttles-{name}",
            runbook="function-throttles",
            says=f"Lambda refuses calls of {name}: too many run at once.",
            metric=of_aws("Lambda", "Throttles", dimensions, statistic="Sum"),
            threshold=0,
            periods=3,
        )
        if name in limits:
            yield AlarmSpec(
                name=f"function-duration-{name}",
                runbook="function-duration",
                says=f"Calls of {name} take more than 80 of 100 of their {limits[name]} s.",
                metric=of_aws("Lambda", "Duration", dimensions, statistic="Maximum"),
                threshold=limits[name] * 800,
                periods=2,
            )


def _ingest(watched: Watched) -> Iterator[AlarmSpec]:
    ingest = watched.functions[f.INGEST.name]
    yield AlarmSpec(
        name="ingest-lag",
        runbook="ingest-lag",
        says="One batch of ten has readings that reach the database a minute after the broker.",
        metric=own(m.INGEST_LAG, ingest, statistic="p90"),
        threshold=60_000,
        periods=2,
    )
    yield AlarmSpec(
        name="messages-refused",
        runbook="messages-refused",
        says="More than 500 messages or points in 15 minutes became dead letters.",
        metric=own_of_all_labels(m.DEAD_LETTERS, ingest, period=Duration.minutes(15)),
        threshold=500,
    )


def _jobs(watched: Watched) -> Iterator[AlarmSpec]:
    maintenance = watched.functions[f.MAINTENANCE.name]
    for level in ("1m", "5m", "1h"):
        yield AlarmSpec(
            name=f"rollup-lag-{level}",
            runbook="rollup-lag",
            says=f"Rollups of {level} are more than 10 minutes behind, or nobody says how far.",
            metric=own(
                m.ROLLUP_LAG, maintenance, statistic="Maximum", label=level, period=FIVE_MINUTES
            ),
            threshold=600,
            periods=3,
            missing="breaching",
        )
    yield AlarmSpec(
        name="rollup-failures",
        runbook="job-failures",
        says="Three refreshes of the rollups or more failed in 15 minutes.",
        metric=own(m.ROLLUP_FAILURES, maintenance, statistic="Sum", period=Duration.minutes(15)),
        threshold=2,
    )
    yield AlarmSpec(
        name="job-failures",
        runbook="job-failures",
        says="A maintenance job failed in two quarters of an hour, one after the other.",
        metric=own_of_all_labels(m.JOB_FAILURES, maintenance, period=Duration.minutes(15)),
        threshold=0,
        periods=2,
    )
    yield AlarmSpec(
        name="release-jobs-failing",
        runbook="release-jobs",
        says="Long work that a release left to maintenance has failed for half an hour.",
        metric=own(
            m.RELEASE_JOBS_FAILING, maintenance, statistic="Minimum", period=Duration.minutes(15)
        ),
        threshold=0,
        periods=2,
    )
    yield AlarmSpec(
        name="days-to-close",
        runbook="days-to-close",
        says="More than one day waits for six hours to be closed or compressed.",
        metric=own(m.DAYS_TO_CLOSE, maintenance, statistic="Minimum", period=HOUR),
        threshold=1,
        periods=6,
        missing="ignore",
    )
    yield AlarmSpec(
        name="schedules-failing",
        runbook="schedules-failing",
        says="EventBridge Scheduler could not call the maintenance function.",
        metric=of_aws(
            "Scheduler",
            "TargetErrorCount",
            {"ScheduleGroup": watched.schedule_group},
            statistic="Sum",
        ),
        threshold=2,
        periods=2,
    )


def _api(watched: Watched) -> Iterator[AlarmSpec]:
    dimensions = {"ApiName": watched.rest_api, "Stage": watched.rest_api_stage}
    yield AlarmSpec(
        name="api-errors",
        runbook="api-errors",
        says="More than 2 of 100 answers of the API are 5xx.",
        metric=percentage(
            of_aws("ApiGateway", "5XXError", dimensions, statistic="Sum"),
            of_aws("ApiGateway", "Count", dimensions, statistic="Sum"),
            least=20,
        ),
        threshold=2,
        periods=2,
    )
    yield AlarmSpec(
        name="api-latency",
        runbook="api-latency",
        says="5 of 100 calls of the API take more than 3 s.",
        metric=of_aws("ApiGateway", "Latency", dimensions, statistic="p95"),
        threshold=3_000,
        periods=3,
    )
    yield AlarmSpec(
        name="audit-failures",
        runbook="audit-failures",
        says="Entries of the audit log could not be added.",
        metric=own(m.AUDIT_FAILURES, watched.functions[f.API.name], statistic="Sum"),
        threshold=0,
    )


def _exports(watched: Watched) -> Iterator[AlarmSpec]:
    for name, arn in watched.state_machines.items():
        failed, timed_out = (
            of_aws("States", metric, {"StateMachineArn": arn}, statistic="Sum", period=HOUR)
            for metric in ("ExecutionsFailed", "ExecutionsTimedOut")
        )
        yield AlarmSpec(
            name=f"export-failures-{name.removeprefix('traksense-')}",
            runbook="export-failures",
            says="Two exports or more failed within an hour.",
            metric=cloudwatch.MathExpression(
                expression="failed + timedOut",
                using_metrics={"failed": failed, "timedOut": timed_out},
                period=HOUR,
                label="failed",
            ),
            threshold=1,
        )


def _database(maintenance: str, database: WatchedDatabase) -> Iterator[AlarmSpec]:
    yield AlarmSpec(
        name="database-connections",
        runbook="database-connections",
        says="Less than a tenth of the database's connections is left.",
        metric=own(m.DATABASE_CONNECTIONS_LEFT, maintenance, statistic="Minimum"),
        threshold=database.connections / 10,
        comparison=BELOW,
        periods=2,
    )
    yield AlarmSpec(
        name="database-silent",
        runbook="database-silent",
        says="Nobody has measured the database for 5 minutes: it is away, or no job runs.",
        metric=own(m.DATABASE_CONNECTIONS, maintenance, statistic="SampleCount", period=MINUTE),
        threshold=1,
        comparison=BELOW,
        periods=5,
        missing="breaching",
    )
    yield AlarmSpec(
        name="database-transaction-age",
        runbook="database-transaction-age",
        says="The oldest row that is not frozen is half a billion transactions old.",
        metric=own(m.TRANSACTION_AGE, maintenance, statistic="Maximum", period=HOUR),
        threshold=500_000_000,
    )
    if database.instance is not None:
        yield from _rds(database, {"DBInstanceIdentifier": database.instance})
    if database.cluster is not None:
        yield from _aurora({"DBClusterIdentifier": database.cluster})


def _cpu(dimensions: dict[str, str]) -> AlarmSpec:
    return AlarmSpec(
        name="database-cpu",
        runbook="database-cpu",
        says="The database's CPU has been above 80 of 100 for 15 minutes.",
        metric=of_aws("RDS", "CPUUtilization", dimensions, statistic="Average"),
        threshold=80,
        periods=3,
    )


def _rds(database: WatchedDatabase, dimensions: dict[str, str]) -> Iterator[AlarmSpec]:
    yield _cpu(dimensions)
    yield AlarmSpec(
        name="database-memory",
        runbook="database-memory",
        says="Less than a twentieth of the database's memory can be had.",
        metric=of_aws("RDS", "FreeableMemory", dimensions, statistic="Minimum"),
        threshold=(database.memory_bytes or GIB) / 20,
        comparison=BELOW,
        periods=3,
    )
    free = of_aws("RDS", "FreeStorageSpace", dimensions, statistic="Minimum")
    yield AlarmSpec(
        name="database-storage",
        runbook="database-storage",
        says="The database has less than 5 GiB of storage left.",
        metric=free,
        threshold=5 * GIB,
        comparison=BELOW,
    )
    six_hours = Duration.hours(6)
    yield AlarmSpec(
        name="database-storage-trend",
        runbook="database-storage",
        says="At the pace of the last 12 hours the database's storage is full within 7 days.",
        metric=cloudwatch.MathExpression(
            # RATE is of a second; where storage is freed or grown there is no last day.
            expression="IF(RATE(free) < 0, free / (-86400 * RATE(free)), 3650)",
            using_metrics={
                "free": of_aws(
                    "RDS", "FreeStorageSpace", dimensions, statistic="Average", period=six_hours
                )
            },
            period=six_hours,
            label="days left",
        ),
        threshold=7,
        comparison=BELOW,
        periods=2,
    )


def _aurora(dimensions: dict[str, str]) -> Iterator[AlarmSpec]:
    yield _cpu(dimensions)
    yield AlarmSpec(
        name="database-capacity",
        runbook="database-cpu",
        says="Aurora has been at more than 90 of 100 of its most units for 15 minutes.",
        metric=of_aws("RDS", "ACUUtilization", dimensions, statistic="Average"),
        threshold=90,
        periods=3,
    )


def _mail(watched: Watched) -> Iterator[AlarmSpec]:
    dimensions = {"ses:configuration-set": watched.mail_configuration_set}
    for name, metric, threshold, says in (
        ("mail-bounces", "Reputation.BounceRate", 0.04, "4 of 100 e-mails or more bounce"),
        ("mail-complaints", "Reputation.ComplaintRate", 0.0008, "8 of 10,000 e-mails annoy"),
    ):
        yield AlarmSpec(
            name=name,
            runbook="mail-reputation",
            says=f"{says}: at a little more SES stops sending.",
            metric=of_aws("SES", metric, dimensions, statistic="Maximum", period=HOUR),
            threshold=threshold,
        )


def _rotation(watched: Watched) -> Iterator[AlarmSpec]:
    rotate = watched.functions.get(f.ROTATE.name)
    if rotate is not None:
        yield AlarmSpec(
            name="rotation-failures",
            runbook="rotation-failures",
            says="A log-in of the database did not get its new password.",
            metric=of_aws(
                "Lambda", "Errors", {"FunctionName": rotate}, statistic="Sum", period=HOUR
            ),
            threshold=0,
        )
