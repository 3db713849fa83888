"""Parquet of exports: row groups written as slices come, compressed by zstd.

Names are dictionaries, so that a point's name is stored once a row group and not in each row.
Readings have a column for each kind of value, of which one is filled: ``value`` holds numbers,
``value_bool`` and ``value_text`` what is none.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from traksense.services.export_rows import Columns, ExportedPoint

ROW_GROUP_ROWS: Final = 131_072
"""A row group is in memory until it is written: some 10 MB."""

_POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01T00:00:00Z, in microseconds since the Unix epoch."""
_NAME: Final = pa.dictionary(pa.int32(), pa.string())
_TS: Final = pa.timestamp("us", tz="UTC")
_RAW: Final = pa.schema(
    [
        pa.field("ts", _TS, nullable=False),
        pa.field("site", _NAME, nullable=False),
        pa.field("device", _NAME, nullable=False),
        pa.field("point", _NAME, nullable=False),
        pa.field("value", pa.float64()),
        pa.field("value_bool", pa.bool_()),
        pa.field("value_text", pa.string()),
        pa.field("unit", _NAME),
        pa.field("quality", pa.int16(), nullable=False),
    ]
)
_ROLLUP: Final = pa.schema(
    [
        pa.field("ts", _TS, nullable=False),
        pa.field("site", _NAME, nullable=False),
        pa.field("device", _NAME, nullable=False),
        pa.field("point", _NAME, nullable=False),
        pa.field("avg", pa.float64(), nullable=False),
        pa.field("min", pa.float64(), nullable=False),
        pa.field("max", pa.float64(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("unit", _NAME),
    ]
)


class Parquet:
    """One Parquet file, handed over in bytes as it grows."""

    def __init__(self, points: Mapping[UUID, ExportedPoint], *, is_raw: bool) -> None:
        self._points = points
        self._schema = _RAW if is_raw else _ROLLUP
        self._names = {
            "site": _Dictionary([point.site for point in points.values()]),
            "device": _Dictionary([point.device for point in points.values()]),
            "point": _Dictionary([point.name for point in points.values()]),
            "unit": _Dictionary([point.unit for point in points.values()]),
        }
        self._out = _Out()
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._out, mode="w"),
            self._schema,
            compression="zstd",
            use_dictionary=["site", "device", "point", "unit", "value_text"],
        )
        self._waiting: list[Any] = []
        self._waiting_rows = 0

    def add(self, columns: Columns) -> bytes:
        """What to write after these rows, if anything yet."""
        if columns.rows:
            self._waiting.append(self._batch(columns))
            self._waiting_rows += columns.rows
        if self._waiting_rows >= ROW_GROUP_ROWS:
            self._write()
        return self._out.taken()

    def end(self) -> bytes:
        """What ends the file."""
        if self._waiting:
            self._write()
        self._writer.close()
        return self._out.taken()

    def _write(self) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._waiting_rows = [], 0
        self._writer.write_table(table, row_group_size=table.num_rows)

    def _batch(self, columns: Columns) -> Any:
        rows, point = columns.rows, self._points[columns.slice.point_id]
        since_2000 = _numbers(pa.int64(), columns.ts)
        ts = pc.add(since_2000, pa.scalar(_POSTGRES_EPOCH_US, pa.int64())).cast(_TS)
        names = [
            self._names["site"].repeated(point.site, rows),
            self._names["device"].repeated(point.device, rows),
            self._names["point"].repeated(point.name, rows),
        ]
        unit = self._names["unit"].repeated(point.unit, rows)
        if self._schema is _RAW:
            values, qualities = columns.values
            of_type = _values(point.type, values, rows)
            made = [ts, *names, *of_type, unit, _numbers(pa.int16(), qualities)]
        else:
            avg, low, high, count = columns.values
            of_level = [_numbers(pa.float64(), each) for each in (avg, low, high)]
            made = [ts, *names, *of_level, _numbers(pa.int64(), count), unit]
        return pa.RecordBatch.from_arrays(made, schema=self._schema)


class _Dictionary:
    """The texts of a column, one dictionary for the whole file."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        known = list(dict.fromkeys(text for text in texts if text is not None))
        self._at = {text: index for index, text in enumerate(known)}
        self._texts = pa.array(known, pa.string())

    def repeated(self, text: str | None, rows: int) -> Any:
        """The same text in so many rows."""
        index = pa.scalar(None if text is None else self._at[text], pa.int32())
        return pa.DictionaryArray.from_arrays(pa.repeat(index, rows), self._texts)


class _Out(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        """It is for writing only."""
        return True

    def tell(self) -> int:
        """How much was written in all: a file's offsets count from its beginning."""
        return self._at

    def write(self, data: Any, /) -> int:
        """Keep a copy: the writer uses its buffer again."""
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def taken(self) -> bytes:
        """What was written since the last time."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _numbers(type_: Any, values: Any) -> Any:
    """An array over the memory of the values, without a copy."""
    return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(values)])


def _values(type_: str, values: array[float] | array[int] | bytes | list[str], rows: int) -> Any:
    """value, value_bool and value_text of readings of one type."""
    number, flag, text = pa.nulls(rows, pa.float64()), pa.nulls(rows, pa.bool_()), None
    if type_ == "num":
        number = _numbers(pa.float64(), values)
    elif type_ == "bool":
        flag = _numbers(pa.uint8(), values).cast(pa.bool_())
    else:
        text = pa.array(values, pa.string())
    return number, flag, pa.nulls(rows, pa.string()) if text is None else text
