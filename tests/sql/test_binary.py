"""PostgreSQL's binary formats, to the server and back: nothing changes on the way."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from traksense.db import binary
from traksense.domain.readings import Value, from_microseconds, to_microseconds
from traksense.services.acceptance import TS_BITS, TS_MASK

FIRST_US = 0
LAST_US = TS_MASK
FLOATS = [
    0.0, -0.0, 5e-324, -5e-324, 1.7976931348623157e308, 0.1, 123.450, 2.0**53 + 2, 1e-300, 7.3,
]  # fmt: skip
TEXTS = ["", "COOL", "Ação ✓", "🧊" * 100, "\x01\x7f", "\ufffe", "a\tb\nc\\N", "x" * 4096]
STAMPS = [
    FIRST_US, 1, 946_684_799_999_999, 946_684_800_000_000, 946_684_800_000_001,
    1_700_000_000_123_456, LAST_US,
]  # fmt: skip


@pytest.fixture(scope="module")
def connection(admin_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(admin_url, autocommit=True) as made:
        made.adapters.register_dumper(binary.PgArray, binary.PgArrayDumper)
        made.execute("SET timezone = 'America/Sao_Paulo'")
        made.execute(
            "CREATE TEMP TABLE raw (ts timestamptz, v_num float8, point_sk int4, v_bool bool,"
            " v_text text, meta jsonb)"
        )
        yield made


def bits(value: object) -> object:
    """A value that tells -0.0 from 0.0 and True from 1.0."""
    return struct.pack(">d", value) if isinstance(value, float) else (type(value), value)


def read(connection: psycopg.Connection[Any]) -> dict[int, tuple[object, Any]]:
    rows = connection.execute(
        "SELECT point_sk::bigint, (extract(epoch FROM ts) * 1000000)::bigint, v_num, v_bool,"
        " v_text, meta FROM raw",
        binary=True,
    ).fetchall()
    connection.execute("TRUNCATE raw")
    found = {}
    for sk, ts_us, number, flag, text, meta in rows:
        values = [value for value in (number, flag, text) if value is not None]
        assert len(values) == 1
        found[sk << TS_BITS | ts_us] = (bits(values[0]), meta)
    return found


def copy(connection: psycopg.Connection[Any], columns: str, data: bytes) -> None:
    statement = f"COPY raw ({columns}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as out:
        out.write(data)


def insert(connection: psycopg.Connection[Any], arrays: dict[str, binary.PgArray]) -> None:
    connection.execute(
        "INSERT INTO raw SELECT * FROM unnest(%(ts)b, %(v_num)b, %(point_sk)b, %(v_bool)b,"
        " %(v_text)b, %(meta)b)",
        arrays,
    )


def everything() -> tuple[dict[int, Value], dict[int, bytes]]:
    values: list[Value] = [*FLOATS, True, False, *TEXTS]
    rows: dict[int, Value] = {
        (sk + 1) << TS_BITS | ts_us: value for sk, value in enumerate(values) for ts_us in STAMPS
    }
    rows[(2**31 - 1) << TS_BITS | 5] = 1.0
    meta = {key: '{"fw": "é \\u00e7", "n": 1.5}'.encode() for key in list(rows)[::7]}
    return rows, meta


def expected(rows: dict[int, Value], meta: dict[int, bytes]) -> dict[int, tuple[object, Any]]:
    facts = {"fw": "é ç", "n": 1.5}
    return {key: (bits(value), facts if key in meta else None) for key, value in rows.items()}


def test_copy_keeps_every_type_and_extreme(connection: psycopg.Connection[Any]) -> None:
    rows, meta = everything()
    columns = "ts, v_num, point_sk, v_bool, v_text, meta"
    copy(connection, columns, binary.copy_readings(sorted(rows), rows, meta))
    assert read(connection) == expected(rows, meta)


def test_arrays_keep_every_type_and_extreme(connection: psycopg.Connection[Any]) -> None:
    rows, meta = everything()
    insert(connection, binary.reading_arrays(sorted(rows), rows, meta))
    assert read(connection) == expected(rows, meta)


def test_the_narrow_copy_keeps_every_number(connection: psycopg.Connection[Any]) -> None:
    rows = {(n + 1) << TS_BITS | ts: v for n, v in enumerate(FLOATS) for ts in STAMPS}
    assert binary.all_numbers(rows.values())
    copy(connection, "ts, v_num, point_sk", binary.copy_numbers(sorted(rows), rows))  # type: ignore[arg-type]
    assert read(connection) == expected(rows, {})  # type: ignore[arg-type]


def test_copy_loses_nothing_between_its_chunks(connection: psycopg.Connection[Any]) -> None:
    count = 2 * binary.CHUNK_ROWS + 1
    rows: dict[int, Value] = {n << TS_BITS | n: float(n) for n in range(1, count + 1)}
    chunks = list(binary.number_chunks(sorted(rows), rows))
    assert len(chunks) == 2 + 3, "a header, three chunks, a trailer"
    copy(connection, "ts, v_num, point_sk", b"".join(chunks))
    assert read(connection) == expected(rows, {})
    rows[1 << TS_BITS | 1], rows[count << TS_BITS | count] = "text", True
    meta = {2 << TS_BITS | 2: b'{"fw": "\xc3\xa9 \xc3\xa7", "n": 1.5}'}
    columns = "ts, v_num, point_sk, v_bool, v_text, meta"
    copy(connection, columns, b"".join(binary.reading_chunks(sorted(rows), rows, meta)))
    assert read(connection) == expected(rows, meta)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.tuples(st.integers(1, 2**31 - 1), st.integers(FIRST_US, LAST_US)),
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        ),
        max_size=20,
    )
)
def test_whatever_is_sent_comes_back_the_same_both_ways(
    connection: psycopg.Connection[Any], sent: dict[tuple[int, int], Value]
) -> None:
    rows = {sk << TS_BITS | ts_us: value for (sk, ts_us), value in sent.items()}
    columns = "ts, v_num, point_sk, v_bool, v_text, meta"
    copy(connection, columns, binary.copy_readings(sorted(rows), rows, {}))
    assert read(connection) == expected(rows, {})
    insert(connection, binary.reading_arrays(sorted(rows), rows, {}))
    assert read(connection) == expected(rows, {})


def test_keys_sort_by_point_and_then_by_time() -> None:
    pairs = [(sk, ts) for sk in (1, 2, 2**31 - 1) for ts in STAMPS]
    assert sorted(sk << TS_BITS | ts for sk, ts in pairs) == [
        sk << TS_BITS | ts for sk, ts in sorted(pairs)
    ]


@pytest.mark.parametrize(
    ("array", "sent"),
    [
        (binary.uuids, [UUID(int=0), UUID(int=2**128 - 1)]),
        (binary.booleans, [True, False]),
        (binary.uuids, []),
        (binary.booleans, []),
        (binary.instants, []),
    ],
)
def test_parameter_arrays_arrive_as_they_are(
    connection: psycopg.Connection[Any], array: Any, sent: list[Any]
) -> None:
    row = connection.execute("SELECT %b", (array(sent),)).fetchone()
    assert row == (sent,)


def test_instants_arrive_to_the_microsecond(connection: psycopg.Connection[Any]) -> None:
    sent = [
        datetime(1, 1, 2, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2038, 1, 19, 3, 14, 8, 1, tzinfo=UTC),
        datetime(9999, 12, 30, tzinfo=UTC),
    ]
    row = connection.execute(
        "SELECT %b", (binary.instants(to_microseconds(each) for each in sent),)
    ).fetchone()
    assert row is not None
    assert [each.astimezone(UTC) for each in row[0]] == sent
    assert [from_microseconds(to_microseconds(each)) for each in sent] == sent


def test_a_batch_is_all_numbers_only_when_it_is() -> None:
    assert binary.all_numbers([])
    assert binary.all_numbers([1.0, -0.0, math.pi])
    assert not binary.all_numbers([1.0, True])
    assert not binary.all_numbers([1.0, "1"])
