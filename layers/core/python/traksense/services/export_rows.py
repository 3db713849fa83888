"""What is read for an export, and from whom."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from traksense.domain.exports import Agg
from traksense.services.export_csv import Layout
from traksense.services.export_slices import Slice


@dataclass(frozen=True, slots=True)
class ExportedPoint:
    """A point, by the names that it has in the file."""

    point_id: UUID
    site: str
    device: str
    name: str
    type: str
    unit: str | None


@dataclass(frozen=True, slots=True)
class Lines:
    """A slice's rows as lines of CSV in UTF-8."""

    slice: Slice
    rows: int
    last: datetime | None
    """When the last row was; None where there is none."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Columns:
    """A slice's rows as columns."""

    slice: Slice
    rows: int
    last: datetime | None
    ts: array[int]
    """Microseconds since 2000-01-01T00:00:00Z, as PostgreSQL counts them."""
    values: tuple[array[float] | array[int] | bytes | list[str], ...]
    """Of readings: the values (numbers; a byte of 0 or 1 for each bool; texts) and the qualities.
    Of rollups: avg, min, max and count."""


class ExportRows(Protocol):
    """Reads a tenant's rows. Every method raises DatabaseAway.

    A generator answers slices in their order as they come, each in one piece; it holds a
    transaction for as long as it is not closed.
    """

    def points(self, tenant_id: UUID, point_ids: Sequence[UUID]) -> Mapping[UUID, ExportedPoint]:
        """Those of the points that there are."""

    def lines(
        self,
        tenant_id: UUID,
        agg: Agg,
        slices: Sequence[Slice],
        points: Mapping[UUID, ExportedPoint],
        layout: Layout,
    ) -> Generator[Lines]:
        """Slices as CSV."""

    def columns(
        self,
        tenant_id: UUID,
        agg: Agg,
        slices: Sequence[Slice],
        points: Mapping[UUID, ExportedPoint],
    ) -> Generator[Columns]:
        """Slices as columns. Raises ValueError for a reading that has no value of its type."""

    def release(self) -> None:
        """Close what this thread has open."""
