"""What points came to in each month of their tenant's calendar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from traksense.services.cache import Cache
from traksense.services.readings_query import (
    FindPoints,
    check_points,
    find_points,
    invalid,
    refuse_other_than_numbers,
    sight,
)
from traksense.services.scope import Scope
from traksense.services.series import PointOfDevice


@dataclass(frozen=True, slots=True)
class Month:
    """A month of a point: the sum and the mean of its readings, in its unit, and their number."""

    first_day: date
    sum: float
    mean: float
    count: int


@dataclass(frozen=True, slots=True)
class PointMonths:
    """The months of one point that hold readings, oldest first."""

    point: PointOfDevice
    months: Sequence[Month]


@dataclass(frozen=True, slots=True)
class Consumption:
    """The months of some points, in the tenant's time zone."""

    time_zone: str
    points: Sequence[PointMonths]


class ConsumptionReads(FindPoints, Protocol):
    """What is read within one transaction, in one tenant's sight."""

    def months(
        self, points: Sequence[UUID], start: datetime, end: datetime
    ) -> Mapping[UUID, Sequence[Month]]:
        """The months that have a part between two instants, whole, oldest first."""


class ConsumptionStore(Protocol):
    """Where months are computed. ``scope`` always names a tenant here."""

    def reading(self, scope: Scope) -> AbstractContextManager[ConsumptionReads]:
        """One transaction. Raises DatabaseAway."""


@dataclass(frozen=True, slots=True)
class ConsumptionQuery:
    """What the API asks about months. ``tenant_of`` as in ReadingsQuery."""

    store: ConsumptionStore
    tenant_of: Callable[[UUID], UUID | None]
    cache: Cache = field(default_factory=Cache)

    def months(
        self,
        scope: Scope,
        device: UUID | str,
        wanted: Sequence[UUID | str],
        start: datetime,
        end: datetime,
    ) -> Consumption:
        """Each month of up to MAX_POINTS points that has a part between two instants.

        Raises Invalid, NotFound, DatabaseAway.
        """
        check_points(wanted)
        if start >= end:
            raise invalid("query.from", "points.range")
        within = sight(scope, device, self.tenant_of)
        with self.store.reading(within) as reads:
            found, points = find_points(reads, device, wanted, within, self.cache)
            refuse_other_than_numbers(points, "query.point")
            months = reads.months([point.point_id for point in points], start, end)
            return Consumption(
                found.time_zone,
                [PointMonths(point, months.get(point.point_id, ())) for point in points],
            )
