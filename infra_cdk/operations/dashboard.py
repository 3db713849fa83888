"""The dashboard of a stage: from a device's message to what a person sees, top to bottom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aws_cdk import aws_cloudwatch as cloudwatch

from traksense.contracts import functions as f
from traksense.contracts import metrics as m

from .measures import by_label, of_aws, own
from .watched import Watched

_WIDTH = 24


def rows(
    watched: Watched, alarms: Sequence[cloudwatch.IAlarm]
) -> tuple[tuple[cloudwatch.IWidget, ...], ...]:
    """The dashboard's rows."""
    return (
        (
            cloudwatch.AlarmStatusWidget(
                title="Alarms", alarms=list(alarms), width=_WIDTH, height=6
            ),
        ),
        _row(*_ingest(watched)),
        _row(*_queues(watched)),
        _row(*_functions(watched)),
        _row(*_jobs(watched)),
        _row(*_database(watched)),
        _row(*_api(watched)),
        _row(*_exports_and_mail(watched)),
    )


def _row(*graphs: cloudwatch.GraphWidget) -> tuple[cloudwatch.IWidget, ...]:
    return graphs


def _graph(
    title: str, metrics: Iterable[cloudwatch.IMetric], width: int = 8, unit: str | None = None
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(
        title=title,
        left=list(metrics),
        width=width,
        height=6,
        left_y_axis=cloudwatch.YAxisProps(min=0, label=unit, show_units=unit is None),
    )


def _ingest(watched: Watched) -> Iterable[cloudwatch.GraphWidget]:
    ingest, events = watched.functions[f.INGEST.name], watched.functions[f.DEVICE_EVENTS.name]
    yield _graph(
        "Readings",
        (
            own(m.READINGS_STORED, ingest, statistic="Sum"),
            own(m.READINGS_DUPLICATE, ingest, statistic="Sum"),
        ),
    )
    yield _graph(
        "From the broker to the database",
        (own(m.INGEST_LAG, ingest, statistic=each) for each in ("p50", "p90", "p99")),
    )
    yield _graph(
        "Refused messages and points, by reason",
        (by_label(m.DEAD_LETTERS, ingest, "Sum"), by_label(m.DEAD_LETTERS, events, "Sum")),
    )


def _queues(watched: Watched) -> Iterable[cloudwatch.GraphWidget]:
    def of_queues(metric: str, names: Iterable[tuple[str, str]]) -> list[cloudwatch.IMetric]:
        return [
            of_aws("SQS", metric, {"QueueName": queue}, statistic="Maximum", label=name)
            for name, queue in names
        ]

    waiting = "ApproximateNumberOfMessagesVisible"
    yield _graph("Messages that wait", of_queues(waiting, watched.queues.items()))
    yield _graph(
        "Age of the oldest message",
        of_queues("ApproximateAgeOfOldestMessage", watched.queues.items()),
    )
    yield _graph("Given up", of_queues(waiting, watched.dead_letter_queues.items()))


def _functions(watched: Watched) -> Iterable[cloudwatch.GraphWidget]:
    for title, metric, statistic in (
        ("Errors of functions", "Errors", "Sum"),
        ("Refused calls of functions", "Throttles", "Sum"),
        ("Calls at once", "ConcurrentExecutions", "Maximum"),
    ):
        yield _graph(
            title,
            (
                of_aws("Lambda", metric, {"FunctionName": each}, statistic=statistic, label=name)
                for name, each in watched.functions.items()
            ),
        )


def _jobs(watched: Watched) -> Iterable[cloudwatch.GraphWidget]:
    maintenance = watched.functions[f.MAINTENANCE.name]
    yield _graph("How far rollups are behind", [by_label(m.ROLLUP_LAG, maintenance, "Maximum")])
    yield _graph(
        "Failed jobs",
        (
            by_label(m.JOB_FAILURES, maintenance, "Sum"),
            own(m.ROLLUP_FAILURES, maintenance, statistic="Sum"),
        ),
    )
    yield _graph(
        "Days to close, and long work of releases",
        [
            own(each, maintenance, statistic="Maximum")
            for each in (m.DAYS_TO_CLOSE, m.RELEASE_JOBS_LEFT, m.RELEASE_JOBS_FAILING)
        ],
    )


def _database(watched: Watched) -> Iterable[cloudwatch.GraphWidget]:
    maintenance, database = watched.functions[f.MAINTENANCE.name], watched.database
    yield _graph(
        "Connections of the database",
        (
            own(m.DATABASE_CONNECTIONS, maintenance, statistic="Maximum"),
            own(m.DATABASE_CONNECTIONS_LEFT, maintenance, statistic="Minimum"),
        ),
    )
    yield _graph("Size of the database", [own(m.DATABASE_BYTES, maintenance, statistic="Maximum")])
    names: tuple[str, ...]
    if database.instance is not None:
        dimensions = {"DBInstanceIdentifier": database.instance}
        names = ("CPUUtilization", "FreeableMemory", "FreeStorageSpace", "DiskQueueDepth")
    elif database.cluster is not None:
        dimensions = {"DBClusterIdentifier": database.cluster}
        names = ("CPUUtilization", "ServerlessDatabaseCapacity", "VolumeBytesUsed")
    else:
        return
    yield cloudwatch.GraphWidget(
        title="The database's machine",
        left=[of_aws("RDS", names[0], dimensions, statistic="Average")],
        right=[of_aws("RDS", each, dimensions, statistic="Average") for each in names[1:]],
        width=8,
        height=6,
    )


def _api(watched: Watched) -> Iterable[cloudwatch.GraphWidget]:
    api = watched.functions[f.API.name]
    dimensions = {"ApiName": watched.rest_api, "Stage": watched.rest_api_stage}
    yield _graph("Answers of the API, by status", [by_label(m.REQUESTS, api, "Sum")])
    yield _graph(
        "Time of the API",
        (
            of_aws("ApiGateway", "Latency", dimensions, statistic=each, label=each)
            for each in ("p50", "p95", "p99")
        ),
    )
    yield _graph(
        "Lookups in copies and in the database",
        (by_label(m.CACHE_HITS, api, "Sum"), by_label(m.CACHE_MISSES, api, "Sum")),
    )


def _exports_and_mail(watched: Watched) -> Iterable[cloudwatch.GraphWidget]:
    yield _graph(
        "Exports",
        (
            of_aws("States", each, {"StateMachineArn": arn}, statistic="Sum", label=each)
            for arn in watched.state_machines.values()
            for each in ("ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut")
        ),
    )
    events, maintenance = (
        watched.functions[each.name] for each in (f.DEVICE_EVENTS, f.MAINTENANCE)
    )
    yield _graph(
        "Commands",
        (
            by_label(m.COMMANDS_SETTLED, events, "Sum"),
            by_label(m.COMMANDS_SETTLED, maintenance, "Sum"),
        ),
    )
    dimensions = {"ses:configuration-set": watched.mail_configuration_set}
    yield _graph(
        "E-mails",
        (
            *(of_aws("SES", each, dimensions, statistic="Sum") for each in ("Send", "Bounce")),
            *(
                by_label(m.EXPORT_MAILS, watched.functions[each.name], "Sum")
                for each in (f.EXPORT_NOTIFY, f.EXPORT_FAIL, f.MAINTENANCE)
            ),
        ),
    )
