"""The rows of an export in PostgreSQL: through the tenant's views, slices streamed as they come."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import psycopg

from traksense.db import queries
from traksense.db.columns import numbers
from traksense.db.connection import Database
from traksense.domain.exports import Agg
from traksense.services.export_csv import Layout
from traksense.services.export_rows import Columns, ExportedPoint, Lines
from traksense.services.export_slices import Slice

_STATEMENT_TIMEOUT_MS: Final = 240_000
"""A statement waits while what it found is compressed and sent on; a chunk has 300 s in all."""
_SETTINGS: Final = (
    # Texts of instants and numbers are the same whatever the server's settings are, the readings
    # of a slice are sorted in memory, and a statement of half a second is not compiled first.
    "SELECT pg_catalog.set_config('datestyle', 'ISO', true),"
    " pg_catalog.set_config('extra_float_digits', '1', true),"
    " pg_catalog.set_config('work_mem', '32MB', true),"
    " pg_catalog.set_config('jit', 'off', true)"
)


class SqlExportRows:
    """Implements ``traksense.services.export_rows.ExportRows``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("export_rows")

    def points(self, tenant_id: UUID, point_ids: Sequence[UUID]) -> Mapping[UUID, ExportedPoint]:
        """Those of the points that there are."""
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            found = cursor.execute(self._queries["points"], {"point_ids": list(set(point_ids))})
            return {row[0]: ExportedPoint(*row) for row in found}

    def lines(
        self,
        tenant_id: UUID,
        agg: Agg,
        slices: Sequence[Slice],
        points: Mapping[UUID, ExportedPoint],
        layout: Layout,
    ) -> Generator[Lines]:
        """Slices as CSV."""
        of = [points[each.point_id] for each in slices]
        parameters = {
            "before": [layout.before_values(p.site, p.device, p.name) for p in of],
            "after": [layout.after_values(p.unit, is_raw=agg == "raw") for p in of],
            "zone": layout.time_zone,
            "between": layout.between,
            "decimal": layout.decimal_mark,
            "separator": layout.separator,
            "guard": layout.guards_formulas,
        }
        for each, rows, last, (data,) in self._stream(
            tenant_id, f"lines_{agg}", slices, parameters
        ):
            yield Lines(each, rows, last, data or b"")

    def columns(
        self,
        tenant_id: UUID,
        agg: Agg,
        slices: Sequence[Slice],
        points: Mapping[UUID, ExportedPoint],
    ) -> Generator[Columns]:
        """Slices as columns."""
        for each, rows, last, found in self._stream(tenant_id, f"columns_{agg}", slices, {}):
            ts, *columns = found
            if agg == "raw":
                values = _readings(points[each.point_id].type, *columns)
            else:
                avg, low, high, count = columns
                values = (*(numbers(data, "d") for data in (avg, low, high)), numbers(count, "q"))
            if any(len(column) != rows for column in values):
                raise ValueError(f"a reading of the point {each.point_id} has no value of its type")
            yield Columns(each, rows, last, cast("array[int]", numbers(ts, "q")), values)

    def release(self) -> None:
        """Close this thread's connection."""
        self._database.close()

    def _stream(
        self, tenant_id: UUID, query: str, slices: Sequence[Slice], parameters: Mapping[str, Any]
    ) -> Generator[tuple[Slice, int, datetime | None, tuple[Any, ...]]]:
        every = {
            "point_ids": [each.point_id for each in slices],
            "starts": [each.start for each in slices],
            "ends": [each.end for each in slices],
            "most": [each.most for each in slices],
            **parameters,
        }
        with (
            self._database.transaction(
                "traksense_app",
                tenant_id,
                opening=_SETTINGS,
                statement_timeout_ms=_STATEMENT_TIMEOUT_MS,
            ) as cursor,
            # The stream of a cursor of its own: closed early, it cancels the statement.
            psycopg.Cursor(cursor.connection) as rows,
        ):
            for n, count, last, *found in rows.stream(self._queries[query], every, binary=True):
                yield slices[n - 1], count, last, tuple(found)


def _readings(
    type_: str, v_num: bytes | None, v_bool: bytes | None, v_text: list[str] | None,
    qual: bytes | None,
) -> tuple[array[float] | array[int] | bytes | list[str], ...]:  # fmt: skip
    """The column of a point's type, and the qualities."""
    values: array[float] | array[int] | bytes | list[str]
    if type_ == "num":
        values = numbers(v_num, "d")
    elif type_ == "bool":
        values = v_bool or b""
    else:
        values = v_text or []
    return values, numbers(qual, "h")
