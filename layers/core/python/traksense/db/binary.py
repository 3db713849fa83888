"""PostgreSQL's binary formats, for the one place where they pay: bulk readings.

Layouts: "COPY", section "Binary Format", of the PostgreSQL manual, and ``array_recv`` for arrays.
Numbers are big-endian; a timestamptz is microseconds since 2000-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct, pack
from typing import Any, Final
from uuid import UUID

from psycopg.adapt import Buffer, Dumper, PyFormat
from psycopg.pq import Format

from traksense.domain.readings import TS_BITS, TS_MASK, Value

PG_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01 UTC in microseconds since the Unix epoch."""

_COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + pack(">ii", 0, 0)
_COPY_TRAILER: Final = pack(">h", -1)
_NULL: Final = pack(">i", -1)

CHUNK_ROWS: Final = 2000
"""Rows of COPY data that are made at a time: the server takes them in while the next are made."""

_NUMBER_ROW: Final = Struct(">hiqidii")
_WIDE_NUMBER: Final = Struct(">hiqidiiiii")
_ROW_START: Final = Struct(">hiq")
_FLOAT: Final = Struct(">id")
_KEY: Final = Struct(">ii")
_BOOL: Final = Struct(">i?")

_JSONB_VERSION: Final = b"\x01"


def _field(data: bytes) -> bytes:
    return pack(">i", len(data)) + data


def number_chunks(keys: Sequence[int], rows: dict[int, Value]) -> Iterator[bytes]:
    """``(ts, v_num, point_sk)`` for COPY, in the order of ``keys``; every value is a float."""
    row, mask, bits, shift = _NUMBER_ROW.pack, TS_MASK, TS_BITS, PG_EPOCH_US
    yield _COPY_HEADER
    for start in range(0, len(keys), CHUNK_ROWS):
        some = keys[start : start + CHUNK_ROWS]
        yield b"".join(
            [row(3, 8, (key & mask) - shift, 8, rows[key], 4, key >> bits) for key in some]
        )
    yield _COPY_TRAILER


def reading_chunks(
    keys: Sequence[int], rows: dict[int, Value], meta: dict[int, bytes]
) -> Iterator[bytes]:
    """``(ts, v_num, point_sk, v_bool, v_text, meta)`` for COPY, in the order of ``keys``."""
    yield _COPY_HEADER
    for start in range(0, len(keys), CHUNK_ROWS):
        yield _readings(keys[start : start + CHUNK_ROWS], rows, meta)
    yield _COPY_TRAILER


def copy_numbers(keys: Sequence[int], rows: dict[int, Value]) -> bytes:
    """What ``number_chunks`` gives, in one."""
    return b"".join(number_chunks(keys, rows))


def copy_readings(keys: Sequence[int], rows: dict[int, Value], meta: dict[int, bytes]) -> bytes:
    """What ``reading_chunks`` gives, in one."""
    return b"".join(reading_chunks(keys, rows, meta))


def _readings(keys: Sequence[int], rows: dict[int, Value], meta: dict[int, bytes]) -> bytes:
    parts: list[bytes] = []
    wide, mask, bits, shift = _WIDE_NUMBER.pack, TS_MASK, TS_BITS, PG_EPOCH_US
    for key in keys:
        value = rows[key]
        if type(value) is float and key not in meta:  # nearly all of them
            parts.append(wide(6, 8, (key & mask) - shift, 8, value, 4, key >> bits, -1, -1, -1))
            continue
        number = flag = text = _NULL
        if isinstance(value, bool):
            flag = _BOOL.pack(1, value)
        elif isinstance(value, str):
            text = _field(value.encode())
        else:
            number = _FLOAT.pack(8, value)
        facts = meta.get(key)
        parts += (
            _ROW_START.pack(6, 8, (key & TS_MASK) - PG_EPOCH_US),
            number,
            _KEY.pack(4, key >> TS_BITS),
            flag,
            text,
            _NULL if facts is None else _field(_JSONB_VERSION + facts),
        )
    return b"".join(parts)


class PgArray:
    """A one-dimensional array parameter, already in PostgreSQL's binary format."""

    __slots__ = ("array_oid", "data")

    def __init__(self, array_oid: int, element_oid: int, length: int, elements: bytes) -> None:
        self.array_oid = array_oid
        dimensions = pack(">iii", 1, 1, element_oid) if length else pack(">iii", 0, 0, element_oid)
        bounds = pack(">ii", length, 1) if length else b""
        self.data = dimensions + bounds + elements


class PgArrayDumper(Dumper):
    """Hands a PgArray to the server as it is."""

    format = Format.BINARY

    def get_key(self, obj: PgArray, format: PyFormat) -> Any:  # noqa: ARG002
        """One dumper per array type, since the type is the object's, not the class's."""
        return (self.cls, obj.array_oid)

    def upgrade(self, obj: PgArray, format: PyFormat) -> PgArrayDumper:  # noqa: ARG002
        """A dumper that names this object's type."""
        dumper = PgArrayDumper(self.cls)
        dumper.oid = obj.array_oid
        return dumper

    def dump(self, obj: PgArray) -> Buffer:
        """The bytes."""
        return obj.data


def reading_arrays(
    keys: Sequence[int], rows: dict[int, Value], meta: dict[int, bytes]
) -> dict[str, PgArray]:
    """The columns of ``insert_readings`` as arrays, in the order of ``keys``."""
    count = len(keys)
    values = [rows[key] for key in keys]
    facts = [meta.get(key) for key in keys]
    return {
        "ts": instants(key & TS_MASK for key in keys),
        "point_sk": integers(key >> TS_BITS for key in keys),
        "v_num": PgArray(
            1022, 701, count,
            b"".join([_FLOAT.pack(8, v) if type(v) is float else _NULL for v in values]),
        ),
        "v_bool": PgArray(
            1000, 16, count,
            b"".join([_BOOL.pack(1, v) if isinstance(v, bool) else _NULL for v in values]),
        ),
        "v_text": PgArray(
            1009, 25, count,
            b"".join([_field(v.encode()) if isinstance(v, str) else _NULL for v in values]),
        ),
        "meta": PgArray(
            3807, 3802, count,
            b"".join([_NULL if f is None else _field(_JSONB_VERSION + f) for f in facts]),
        ),
    }  # fmt: skip


def uuids(values: Iterable[UUID]) -> PgArray:
    """A uuid[] parameter."""
    fields = [_field(value.bytes) for value in values]
    return PgArray(2951, 2950, len(fields), b"".join(fields))


def instants(ts_us: Iterable[int]) -> PgArray:
    """A timestamptz[] parameter, from microseconds since the Unix epoch."""
    fields = [pack(">iq", 8, each - PG_EPOCH_US) for each in ts_us]
    return PgArray(1185, 1184, len(fields), b"".join(fields))


def integers(values: Iterable[int]) -> PgArray:
    """An integer[] parameter."""
    fields = [_KEY.pack(4, value) for value in values]
    return PgArray(1007, 23, len(fields), b"".join(fields))


def booleans(values: Iterable[bool]) -> PgArray:
    """A boolean[] parameter."""
    fields = [_BOOL.pack(1, value) for value in values]
    return PgArray(1000, 16, len(fields), b"".join(fields))


def all_numbers(values: Iterable[Value]) -> bool:
    """Whether every value is a float, so that the narrow COPY serves."""
    return set(map(type, values)) <= {float}
