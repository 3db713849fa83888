"""How large the database has to be: bytes after so many days, CPU, and memory for what is hot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from .measured import Measured
from .workload import SECONDS, Workload

GB: Final = 10**9
GIB: Final = 2**30
MOST_STORAGE_GB: Final = 65_536
"""Of one RDS instance (AWS, "Quotas and constraints for Amazon RDS")."""


@dataclass(frozen=True, slots=True)
class InstanceClass:
    """A class of RDS instances on arm64."""

    name: str
    """As prices.json has it: ``db.m7g.large``."""
    vcpus: int
    sustained_vcpus: float
    """What a burstable one may use all the time (AWS, "Key concepts for burstable instances")."""
    memory_gib: int


LADDER: Final = (
    InstanceClass("db.t4g.micro", 2, 0.2, 1),
    InstanceClass("db.t4g.small", 2, 0.4, 2),
    InstanceClass("db.t4g.medium", 2, 0.4, 4),
    InstanceClass("db.m7g.large", 2, 2, 8),
    InstanceClass("db.m7g.xlarge", 4, 4, 16),
    InstanceClass("db.r7g.xlarge", 4, 4, 32),
    InstanceClass("db.r7g.2xlarge", 8, 8, 64),
    InstanceClass("db.r7g.4xlarge", 16, 16, 128),
    InstanceClass("db.r7g.8xlarge", 32, 32, 256),
    InstanceClass("db.r7g.16xlarge", 64, 64, 512),
)
"""From small to large; each has at least what the one before has."""


class UnknownClass(Exception):
    """There is no such class in the ladder; the message names it."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a workload asks of its databases together."""

    vcpus: float
    memory_gib: float
    storage_gb: float


@dataclass(frozen=True, slots=True)
class Databases:
    """Equal instances that carry a workload."""

    count: int
    instance: InstanceClass
    storage_gb: int
    """Of each."""


def memory_gib_of(name: str) -> int:
    """Memory of a class. Raises UnknownClass."""
    return _class(name).memory_gib


def _class(name: str) -> InstanceClass:
    for each in LADDER:
        if each.name == name:
            return each
    raise UnknownClass(f"{name} is none of {', '.join(each.name for each in LADDER)}")


def stored_bytes(workload: Workload, measured: Measured) -> float:
    """What a platform of the workload's age holds: open days, closed days, three rollups."""
    kept, points = workload.retention, workload.all_points
    per_day = workload.readings_per_s * 86_400

    def days(most: int) -> int:
        return min(most, workload.age_days)

    open_days = days(kept.close_after_days + 1)  # the day itself is open, too
    closed_days = max(0, days(workload.raw_days) - open_days)
    raw = per_day * (
        open_days * measured.open_bytes_per_reading
        + closed_days * measured.closed_bytes_per_reading
    )
    rollup_rows = sum(
        points * days(most) * min(86_400 / bucket_s, 86_400 / workload.interval_s)
        for bucket_s, most in (
            (60, kept.minutes_days),
            (300, kept.five_minutes_days),
            (3_600, kept.hours_days),
        )
    )
    return raw + rollup_rows * measured.bytes_per_rollup_row


def need(workload: Workload, measured: Measured) -> Need:
    """CPU, memory and storage of a workload, with air for a busy hour and for growth."""
    assumed = workload.assumed
    cpu_s = workload.readings_per_s * (
        measured.ingest_database_s_per_reading
        + measured.rollup_s_per_reading
        + measured.rollup_order_s_per_reading
        + measured.segment_s_per_reading
    )
    cpu_s += workload.requests / SECONDS * measured.api_database_s_per_request
    hot = workload.all_points * assumed.page_of_a_point_bytes
    return Need(
        vcpus=cpu_s * assumed.slower_than_bench / assumed.database_utilisation,
        memory_gib=hot * 2 / GIB,  # as much again for queries, connections and the system's cache
        storage_gb=stored_bytes(workload, measured) * 1.3 / GB,
    )


def databases(needed: Need, least_class: str, least_storage_gb: int) -> Databases:
    """As few instances as carry it, each as small as can be, and not below the stage's own.

    Raises UnknownClass.
    """
    ladder = LADDER[LADDER.index(_class(least_class)) :]
    largest = ladder[-1]
    count = max(
        1,
        math.ceil(needed.storage_gb / MOST_STORAGE_GB),
        math.ceil(needed.vcpus / largest.sustained_vcpus),
        math.ceil(needed.memory_gib / largest.memory_gib),
    )
    chosen = next(
        each
        for each in ladder
        if each.sustained_vcpus * count >= needed.vcpus
        and each.memory_gib * count >= needed.memory_gib
    )
    return Databases(
        count, chosen, max(least_storage_gb, math.ceil(needed.storage_gb / count / 10) * 10)
    )
