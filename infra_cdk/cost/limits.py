"""Where a workload leaves what the design, or an account's quotas, allow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from infra_cdk.settings import StageSettings
from traksense.contracts import queues

from .bill import Bill, ingest_calls_per_s
from .measured import Measured
from .prices import PriceList
from .sizing import GIB
from .workload import HOURS, SECONDS, Workload

IOT_PUBLISHES_PER_S: Final = 20_000
IOT_CONNECTIONS: Final = 500_000
"""Both by default, of an account in a large region; AWS raises them on request (AWS, "AWS IoT Core
endpoints and quotas")."""
MANY_GB: Final = 16_000
"""Of a database, from where a restore takes the better part of a day."""


def busy_ingest_calls(workload: Workload, measured: Measured) -> float:
    """Calls of the ingest function that run at once, in the mean."""
    assumed = workload.assumed
    return (
        ingest_calls_per_s(workload) * assumed.s_per_call
        + workload.readings_per_s * measured.ingest_s_per_reading * assumed.slower_than_bench
    )


def remarks(
    workload: Workload, settings: StageSettings, billed: Bill, measured: Measured
) -> Iterator[str]:
    """What has to be asked of AWS, or be built otherwise, for this workload; a sentence each."""
    if workload.messages_per_s > IOT_PUBLISHES_PER_S:
        yield (
            f"{workload.messages_per_s:,.0f} messages a second are more than the "
            f"{IOT_PUBLISHES_PER_S:,} that IoT Core takes without asking"
        )
    if workload.devices > IOT_CONNECTIONS:
        yield (
            f"{workload.devices:,} connections are more than the {IOT_CONNECTIONS:,} that IoT Core "
            "keeps without asking"
        )
    busy = busy_ingest_calls(workload, measured)
    if busy > queues.INGEST.max_concurrency * 0.7:
        yield (
            f"{busy:.1f} calls of ingest at once are too near to the queue's max_concurrency of "
            f"{queues.INGEST.max_concurrency}"
        )
    if billed.databases is None:
        return
    if billed.databases.count > 1:
        yield (
            f"{billed.databases.count} databases: one holds neither the bytes nor the load, "
            "and tenants have to be spread over them"
        )
    if billed.databases.storage_gb > settings.database.rds.most_storage_gb:
        yield (
            f"{billed.databases.storage_gb:,} GB are more than the stage's most_storage_gb of "
            f"{settings.database.rds.most_storage_gb:,}"
        )
    if billed.databases.storage_gb > MANY_GB:
        yield (
            f"{billed.databases.storage_gb:,} GB in a database: a restore takes the better part of "
            "a day"
        )
    hot_gib = workload.all_points * workload.assumed.page_of_a_point_bytes / GIB
    if hot_gib > billed.databases.instance.memory_gib * billed.databases.count:
        yield "the pages that all points keep hot do not fit into memory"


def by_kinesis_usd(workload: Workload, prices: PriceList) -> float:
    """USD of a month with a Kinesis stream in the place of the ingest queue, its part alone.

    A shard takes 1,000 records and 1 MB a second; thirty of a hundred are kept free.
    """
    bytes_per_s = workload.messages_per_s * workload.bytes_per_message * 4 / 3
    shards = math.ceil(max(workload.messages_per_s / 1_000, bytes_per_s / 1_000_000) / 0.7)
    units = workload.messages * math.ceil(workload.bytes_per_message * 4 / 3 / 25_000)
    return prices["kinesis.shard_hours"].of(shards * HOURS) + prices["kinesis.put_units"].of(units)


def by_sqs_usd(workload: Workload, prices: PriceList) -> float:
    """USD of a month of the ingest queue."""
    idle = 5 * SECONDS / 20
    return prices["sqs.requests"].of(workload.messages * (workload.sqs_requests_each + 0.2) + idle)
