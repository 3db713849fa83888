"""What a platform has to do in a month, and what is assumed where nothing could be measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from traksense.contracts.queues import Stage as Batching
from traksense.settings.retention import RetentionSettings

HOURS: Final = 730
"""Of a month, as AWS counts them."""
SECONDS: Final = HOURS * 3600
DAYS: Final = HOURS / 24


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What nothing here measures. Whoever knows better changes the number."""

    slower_than_bench: float = 2.0
    """A vCPU of Lambda and of the database, against a core of the benchmarks' machine."""
    s_per_call: float = 0.03
    """Of a function's call beside its work: round trips, and a commit in two zones."""
    database_utilisation: float = 0.4
    """Of its vCPUs in a month's mean, so that a busy hour fits in."""
    bytes_per_message: int = 160
    """Topic, braces and timestamp."""
    bytes_per_point: int = 32
    """Name and value in JSON."""
    state_messages_per_device_day: int = 24
    """State, events, alarms, acks and presence."""
    commands_per_device_day: float = 1.0
    devices_per_user: int = 100
    requests_per_user_day: int = 1_000
    """Eight hours before a page that asks for new values every 30 s, rounded up."""
    bytes_per_answer: int = 8_000
    exports_per_user_month: int = 4
    chunks_per_export: int = 10
    bytes_per_export: int = 20_000_000
    log_bytes_per_call: int = 1_200
    """Metrics in the embedded format and Lambda's own lines."""
    page_of_a_point_bytes: int = 2 * 8_192
    """Pages of the database that each point keeps hot: the end of its part of the key's index,
    and a share of the newest rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Devices that report at an interval, on a platform of a certain age."""

    devices: int
    interval_s: float
    points: int
    """Of each device, all in each message."""
    batching: Batching
    retention: RetentionSettings
    raw_days: int
    age_days: int = 365
    """Since the first reading: no more than that is stored."""
    basic_ingest: bool = False
    assumed: Assumptions = Assumptions()

    @property
    def messages_per_s(self) -> float:
        """Of telemetry."""
        return self.devices / self.interval_s

    @property
    def messages(self) -> float:
        """Of telemetry in a month."""
        return self.messages_per_s * SECONDS

    @property
    def readings_per_s(self) -> float:
        """Of all devices."""
        return self.messages_per_s * self.points

    @property
    def readings(self) -> float:
        """In a month."""
        return self.messages * self.points

    @property
    def all_points(self) -> int:
        """Of all devices."""
        return self.devices * self.points

    @property
    def bytes_per_message(self) -> int:
        """Topic and payload."""
        return self.assumed.bytes_per_message + self.points * self.assumed.bytes_per_point

    @property
    def iot_messages_each(self) -> int:
        """As how many messages IoT Core counts one: each begun 5 KB."""
        return math.ceil(self.bytes_per_message / 5_120)

    @property
    def sqs_requests_each(self) -> int:
        """As how many requests SQS counts its sending: each begun 64 KB, in base64."""
        return math.ceil(self.bytes_per_message * 4 / 3 / 65_536)

    @property
    def users(self) -> int:
        """People that look at it."""
        return max(5, math.ceil(self.devices / self.assumed.devices_per_user))

    @property
    def requests(self) -> float:
        """Of the API, in a month."""
        return self.users * self.assumed.requests_per_user_day * DAYS

    @property
    def state_messages(self) -> float:
        """All but telemetry, in a month."""
        return self.devices * self.assumed.state_messages_per_device_day * DAYS

    @property
    def commands(self) -> float:
        """In a month."""
        return self.devices * self.assumed.commands_per_device_day * DAYS
