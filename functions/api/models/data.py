"""Answers about readings."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from functions.api.models.base import Answer, Utc
from traksense.domain.readings import PointType


class LatestReadingAnswer(Answer):
    """A point's newest reading; ``ts``, ``value`` and ``qual`` are null where it has none."""

    point_id: UUID
    name: str
    type: PointType
    unit: str | None
    ts: Utc | None
    value: bool | float | str | None
    qual: int | None


class LatestAnswer(Answer):
    """The newest reading of each point of a device."""

    items: list[LatestReadingAnswer]


RawRow = tuple[Utc, bool | float | str, int]
"""``ts``, ``value``, ``qual``."""
RollupRow = tuple[Utc, float | None, float | None, float | None, int]
"""``ts`` of the bucket's beginning, ``avg``, ``min``, ``max``, ``count``."""


class SeriesAnswer(Answer):
    """Readings or rollups of one point, oldest first."""

    device_id: UUID
    point_id: UUID
    name: str
    type: PointType
    unit: str | None
    agg: Literal["raw", "1m", "5m", "1h"]
    degraded: bool = Field(description="A finer level was due and no longer reaches back to from.")
    reduction: Literal["lttb", "changes"] | None = Field(
        description="How rows were left out between those that are here; null where none was."
    )
    truncated: bool = Field(description="There were more rows than max_points.")
    next_from: Utc | None = Field(description="Read on from here; null where nothing was cut off.")
    available_from: Utc | None = Field(
        description="Where this level begins, if that is after from; null where it reaches back."
    )
    columns: list[str]
    rows: list[RollupRow] | list[RawRow]


class SeriesListAnswer(Answer):
    """What ``/api/data/points`` answers."""

    model_config = ConfigDict(from_attributes=True, frozen=True, populate_by_name=True)

    requested_agg: Literal["auto", "raw", "1m", "5m", "1h"]
    from_: Utc = Field(alias="from")
    to: Utc
    series: list[SeriesAnswer]


class PointMonthsAnswer(Answer):
    """The months of one point that hold readings, oldest first."""

    device_id: UUID
    point_id: UUID
    name: str
    type: PointType
    unit: str | None
    columns: list[str]
    rows: list[tuple[str, float, float, int]]


class ConsumptionAnswer(Answer):
    """What ``/api/data/consumption`` answers: whole months of the tenant's calendar."""

    model_config = ConfigDict(from_attributes=True, frozen=True, populate_by_name=True)

    time_zone: str
    from_: Utc = Field(alias="from")
    to: Utc
    series: list[PointMonthsAnswer]
