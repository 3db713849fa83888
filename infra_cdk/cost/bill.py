"""A month's bill, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from infra_cdk.settings import StageSettings
from traksense.contracts import functions, queues
from traksense.contracts.functions import Function
from traksense.contracts.metrics import METRICS
from traksense.contracts.schedules import SCHEDULES

from .measured import Measured
from .prices import PriceList
from .sizing import Databases, databases, need
from .workload import DAYS, HOURS, SECONDS, Workload

POLLERS: Final = 5
"""Of an event source that has little to do; each asks SQS at least every 20 s."""
MESSAGES_PER_EVENT: Final = 4_500
"""That fit into Lambda's 6 MB, with their envelopes."""
SERIES_PER_METRIC: Final = 6
"""Values of the label of a metric that has one, such as reasons or routes, in the mean."""
ALARMS: Final = 75
"""Metrics that the alarms of the operations stack look at: the tests count them."""
WAF_RULES: Final = 4
SECRETS: Final = 3


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill."""

    part: str
    """What of the platform it is for."""
    price: str
    """Name of the price in ``prices.json``."""
    quantity: float
    unit: str
    usd: float
    as_of: str


@dataclass(frozen=True, slots=True)
class Bill:
    """What a workload costs in a month."""

    lines: tuple[Line, ...]
    databases: Databases | None
    """None where somebody else keeps it, or where it has no size of its own (Aurora)."""

    @property
    def usd(self) -> float:
        """All of it."""
        return sum(line.usd for line in self.lines)

    def usd_of(self, *parts: str) -> float:
        """Of some parts."""
        return sum(line.usd for line in self.lines if line.part in parts)


def bill(
    workload: Workload, settings: StageSettings, measured: Measured, prices: PriceList
) -> Bill:
    """The bill of a workload on a stage. Raises NoPrice, UnknownClass."""
    sized = (
        databases(
            need(workload, measured),
            f"db.{settings.database.rds.instance_type}",
            settings.database.rds.storage_gb,
        )
        if settings.database.kind == "rds"
        else None
    )
    quantities = (
        *_devices(workload),
        *_queues(workload),
        *_functions(workload, measured),
        *_database(workload, settings, measured, sized),
        *_network(settings),
        *_people(workload, settings),
        *_exports(workload),
        *_operations(workload),
    )
    lines = []
    for part, name, quantity in quantities:
        price = prices[name]
        lines.append(Line(part, name, quantity, price.unit, price.of(quantity), price.as_of))
    return Bill(tuple(lines), sized)


_Quantities = Iterator[tuple[str, str, float]]


def _devices(workload: Workload) -> _Quantities:
    telemetry = workload.messages * workload.iot_messages_each
    yield "devices", "iot.connection_minutes", workload.devices * HOURS * 60
    # A command is three: the platform's publish, its delivery, and the device's PUBACK.
    yield (
        "devices",
        "iot.messages",
        (0 if workload.basic_ingest else telemetry)
        + workload.state_messages
        + workload.commands * 3,
    )
    processed = telemetry + workload.state_messages
    yield "devices", "iot.rules", processed
    yield "devices", "iot.actions", processed


def _queues(workload: Workload) -> _Quantities:
    """Sent one by one; received and deleted by tens."""
    per_message = workload.sqs_requests_each + 0.1 + 0.1
    idle = len(queues.QUEUES) * POLLERS * SECONDS / 20
    yield (
        "queues",
        "sqs.requests",
        workload.messages * per_message + workload.state_messages * 1.2 + idle,
    )


def ingest_calls_per_s(workload: Workload) -> float:
    """Of the ingest function: a poller's window each, or what fits into a call."""
    size = min(queues.INGEST.batching[workload.batching].size, MESSAGES_PER_EVENT)
    window_s = queues.INGEST.batching[workload.batching].window_s or workload.assumed.s_per_call
    offered = max(workload.messages_per_s / size, POLLERS / window_s)
    return min(workload.messages_per_s, offered)


def _functions(workload: Workload, measured: Measured) -> _Quantities:
    assumed, slower = workload.assumed, workload.assumed.slower_than_bench
    ingest = ingest_calls_per_s(workload) * SECONDS
    exports = workload.users * assumed.exports_per_user_month
    scheduled = sum(SECONDS / 60 / each.rate_minutes for each in SCHEDULES)
    used = {
        functions.INGEST: (
            ingest,
            ingest * assumed.s_per_call
            + workload.readings * measured.ingest_s_per_reading * slower,
        ),
        functions.DEVICE_EVENTS: (
            workload.state_messages,
            workload.state_messages * assumed.s_per_call,
        ),
        functions.API: (
            workload.requests,
            workload.requests * (assumed.s_per_call + measured.api_s_per_request * slower),
        ),
        # It waits for what the server does: the rollups' and the segments' time is its own, too.
        functions.MAINTENANCE: (
            scheduled,
            scheduled * (assumed.s_per_call + measured.refresh_s * slower)
            + workload.readings
            * slower
            * (
                measured.rollup_s_per_reading
                + measured.rollup_order_s_per_reading
                + measured.segment_s_per_reading
            ),
        ),
        functions.EXPORT_CHUNK: (
            exports * assumed.chunks_per_export,
            exports * assumed.chunks_per_export * 10,
        ),
    }
    calls = sum(calls for calls, _ in used.values())
    yield "functions", "lambda.requests", calls
    yield (
        "functions",
        "lambda.gb_seconds",
        sum(_gb(function) * seconds for function, (_, seconds) in used.items()),
    )
    yield "functions", "scheduler.calls", scheduled


def _gb(function: Function) -> float:
    return function.memory_mb / 1024


def _database(
    workload: Workload, settings: StageSettings, measured: Measured, sized: Databases | None
) -> _Quantities:
    chosen = settings.database
    if chosen.kind == "external":
        return
    if sized is None:
        needed = need(workload, measured)
        # 2 GiB of memory, and about a quarter of a vCPU, are a unit (AWS, "Aurora capacity").
        units = max(chosen.aurora.least_acu, needed.vcpus * 4, needed.memory_gib / 2)
        yield "database", "aurora.acu_hours", units * (1 + chosen.aurora.readers) * HOURS
        yield "database", "aurora.storage_gb", needed.storage_gb
        # A reading is written about three times (row, log of the index, segment), 8 KB at once.
        yield (
            "database",
            "aurora.ios",
            workload.readings * 3 * measured.open_bytes_per_reading / 8_192,
        )
        if chosen.aurora.proxy:
            yield "database", "rds.proxy_vcpu_hours", max(8.0, units / 4) * HOURS
        return
    zones = 2 if chosen.rds.multi_az else 1
    hours = sized.count * zones * HOURS
    yield "database", f"rds.{sized.instance.name}", hours
    yield "database", "rds.storage_gb", sized.count * zones * sized.storage_gb
    if chosen.rds.proxy:
        yield "database", "rds.proxy_vcpu_hours", sized.count * sized.instance.vcpus * HOURS


def _network(settings: StageSettings) -> _Quantities:
    """Telemetry and database traffic stay inside; only calls of AWS's interfaces go through."""
    if settings.network.egress == "nat_instance":
        yield "network", "ec2.t4g.nano_hours", HOURS
        yield "network", "ec2.public_ipv4_hours", HOURS
    else:
        yield "network", "vpc.nat_hours", 2 * HOURS
        yield "network", "ec2.public_ipv4_hours", 2 * HOURS
        yield "network", "vpc.nat_gb", 5.0


def _people(workload: Workload, settings: StageSettings) -> _Quantities:
    requests = workload.requests
    yield "API and page", "api_gateway.requests", requests
    yield "API and page", "cloudfront.requests", requests
    yield "API and page", "cloudfront.gb_out", requests * workload.assumed.bytes_per_answer / 1e9
    yield "API and page", "cognito.users", workload.users
    if settings.api.waf:
        yield "API and page", "waf.acls", 1
        yield "API and page", "waf.rules", WAF_RULES
        yield "API and page", "waf.requests", requests


def _exports(workload: Workload) -> _Quantities:
    assumed = workload.assumed
    exports = workload.users * assumed.exports_per_user_month
    chunks = exports * assumed.chunks_per_export
    # Each export: begin, plan, the map and its chunks, finish, notify, end.
    yield "exports", "step_functions.transitions", exports * 6 + chunks
    yield "exports", "s3.storage_gb", exports * assumed.bytes_per_export / 1e9
    yield "exports", "s3.writes", chunks * 2 + exports * 4
    yield "exports", "s3.reads", chunks + exports * 2
    yield "exports", "ses.mails", exports


def _operations(workload: Workload) -> _Quantities:
    calls = (
        ingest_calls_per_s(workload) * SECONDS
        + workload.state_messages
        + workload.requests
        + sum(DAYS * 24 * 60 / each.rate_minutes for each in SCHEDULES)
    )
    logged_gb = calls * workload.assumed.log_bytes_per_call / 1e9
    yield "operations", "cloudwatch.log_gb", logged_gb
    yield "operations", "cloudwatch.log_kept_gb", logged_gb * 0.15
    yield (
        "operations",
        "cloudwatch.metrics",
        sum(1 if metric.label is None else SERIES_PER_METRIC for metric in METRICS),
    )
    yield "operations", "cloudwatch.alarms", ALARMS
    yield "operations", "cloudwatch.dashboards", 1
    yield "operations", "secrets.secrets", SECRETS
