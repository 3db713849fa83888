"""Whatever is written, closed, late or repeated: every reading is there once, bit for bit."""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import tuple_row

from tests.support import segments as sg
from tests.support.segments import Key
from traksense.db.connection import Database
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.segments import SqlSegmentStore
from traksense.domain.readings import Value, from_microseconds, to_microseconds

DAY_US = 86_400_000_000
MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)

pytestmark = pytest.mark.engine("plain")

ODD_NUMBERS = [
    0.0, -0.0, 0.1, -0.1, 7.35, 1e-7, 0.1 + 0.2, 1 / 3, 123456.78, 2.0**53, 2.0**53 + 2, 1e16,
    1e300, -1e300, 5e-324, 2.2250738585072014e-308, 9007199254740993.0, 4503599627370495.5,
    45035996273704.96, float("inf"), float("-inf"), float("nan"), 23.350000381469727, 327.67,
    -128.0, 127.0, -129.0, 128.0, 8355711.0, 8355712.0, 21474836.47, 21390621.43, 1e-300,
]  # fmt: skip

decimals = st.integers(0, 4).flatmap(
    lambda digits: st.integers(-(10**9), 10**9).map(lambda k: k / 10**digits)
)
near = st.tuples(st.integers(-(10**7), 10**7), st.integers(-300, 300)).map(
    lambda two: (two[0] + two[1]) / 100
)
numbers = st.one_of(st.floats(), decimals, near, st.sampled_from(ODD_NUMBERS))
instants = st.one_of(
    st.sets(st.integers(0, DAY_US - 1), min_size=1, max_size=40),
    st.sets(st.integers(0, DAY_US // 1000 - 1).map(lambda ms: ms * 1000), min_size=1, max_size=40),
    st.tuples(st.integers(1, 60), st.integers(1, 80), st.integers(0, 999_999)).map(
        lambda t: {t[2] + i * t[0] * 1_000_000 for i in range(t[1])}
    ),
    st.sets(st.integers(0, 86_399).map(lambda s: s * 1_000_000), min_size=1, max_size=40),
)


@pytest.fixture(scope="module")
def codec(module_database_url: str) -> Iterator[psycopg.Cursor[Any]]:
    with psycopg.connect(module_database_url, autocommit=True, row_factory=tuple_row) as connection:
        yield connection.cursor(binary=True)


def round_trip(
    cursor: psycopg.Cursor[Any], stamps: list[int], **columns: list[Any] | None
) -> list[tuple[Any, ...]]:
    return cursor.execute(
        "SELECT r.ts, r.v_num, r.v_bool, r.v_text, r.qual, r.meta::text"
        " FROM public.encode_segment(1, %(day)s, %(ts)s::timestamptz[], %(num)b::float8[],"
        " %(flag)s::boolean[], %(text)s::text[], %(qual)s::smallint[], %(meta)s::jsonb[]) e"
        " CROSS JOIN LATERAL public.decode_segment(e) r",
        {
            "day": MIDNIGHT,
            "ts": [MIDNIGHT + timedelta(microseconds=us) for us in stamps],
            **dict.fromkeys(("num", "flag", "text", "qual", "meta")),
            **columns,
        },
    ).fetchall()


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stamps=instants, data=st.data())
def test_a_segment_gives_back_every_bit_of_its_numbers_and_instants(
    codec: psycopg.Cursor[Any], stamps: set[int], data: st.DataObject
) -> None:
    ordered = sorted(stamps)
    kind = data.draw(st.sampled_from([numbers, decimals, near, st.sampled_from(ODD_NUMBERS)]))
    values = data.draw(st.lists(kind, min_size=len(ordered), max_size=len(ordered)))
    found = round_trip(codec, ordered, num=values)
    assert [to_microseconds(row[0]) for row in found] == [
        to_microseconds(MIDNIGHT) + us for us in ordered
    ]
    assert [struct.pack(">d", row[1]) for row in found] == [struct.pack(">d", v) for v in values]
    assert all(row[2:] == (None, None, 0, None) for row in found)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            st.none() | st.floats(allow_nan=False),
            st.none() | st.booleans(),
            st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9),
            st.integers(-32768, 32767),
            st.sampled_from([None, '{"fw": "1.2.3"}', "[]", "null"]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_segment_gives_back_every_column_whatever_is_absent(
    codec: psycopg.Cursor[Any], rows: list[tuple[Any, ...]]
) -> None:
    number, flag, text, qual, meta = (list(column) for column in zip(*rows, strict=True))
    found = round_trip(
        codec, list(range(len(rows))), num=number, flag=flag, text=text, qual=qual, meta=meta
    )
    assert [row[1:] for row in found] == rows


def test_a_segment_of_odd_numbers_alone_keeps_each(codec: psycopg.Cursor[Any]) -> None:
    for value in ODD_NUMBERS:
        ((_, found, *_),) = round_trip(codec, [0], num=[value])
        assert struct.pack(">d", found) == struct.pack(">d", value), value


class Scenario:
    """Readings over five closable days, written and closed at random, beside what must be there."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.random = random.Random(seed)
        self.there: dict[Key, Any] = {}
        self.database = Database(url)
        self.segments = SqlSegmentStore(self.database)
        self.writer = SqlReadingStore(self.database)
        self.days = [sg.day(ago) for ago in range(4, 9)]

    def value(self, point: int) -> Value:
        dice = self.random
        if point % 4 == 1:
            return dice.random() < 0.5
        if point % 4 == 2:
            return dice.choice(["RUN", "STOP", "", "ação", "x" * 50])
        if point % 4 == 3:
            return dice.choice(ODD_NUMBERS[:-1])
        return round(dice.uniform(-50, 50), dice.choice([0, 1, 2, 2, 2, 6]))

    def rows(self) -> dict[Key, Value]:
        """Some readings: new ones, and some that were written before, with another value."""
        dice = self.random
        rows: dict[Key, Value] = {}
        for _ in range(dice.randint(1, 60)):
            point, ago = dice.randint(1, 9), dice.randint(4, 8)
            step = dice.choice([60, 60, 1, 0.001, 0.000001])
            us = round(dice.randrange(80) * step * 1_000_000)
            rows[point, sg.at(ago, us=us)] = self.value(point)
        for key in dice.sample(sorted(self.there), min(len(self.there), dice.randint(0, 20))):
            rows[key] = self.value(key[0])
        return rows

    def write(self) -> None:
        rows = self.rows()
        self.writer.write(sg.accepted(rows))
        for key, value in rows.items():
            self.there.setdefault(key, sg.bits(value))

    def write_twice_at_once(self) -> None:
        both = [self.rows(), self.rows()]
        shared = dict(both[0])
        both[1].update({key: self.value(key[0]) for key in shared if self.random.random() < 0.5})
        failures: list[BaseException] = []

        def work(rows: dict[Key, Value]) -> None:
            try:
                sg.write(self.url, rows)
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                failures.append(error)

        threads = [threading.Thread(target=work, args=(rows,)) for rows in both]
        for thread in threads:
            thread.start()
        if self.random.random() < 0.7:
            self.close_a_little()
        for thread in threads:
            thread.join(60)
        assert failures == []
        found = sg.stored(self.url)
        for key in {*both[0], *both[1]} - set(self.there):
            allowed = [sg.bits(rows[key]) for rows in both if key in rows]
            assert found[key] in allowed
            self.there[key] = found[key]

    def close_a_little(self) -> None:
        """A few steps of a run that may be killed behind each of them."""
        day = self.random.choice(self.days)
        steps: list[Callable[[], object]] = [
            lambda: self.segments.begin_closing(day),
            lambda: self.segments.build_slice(day, self.random.randint(1, 40)),
            lambda: self.segments.build_slice(day, 1000),
            lambda: self.segments.build_slice(day, 1000),
            lambda: self.segments.catch_up(day, self.random.randint(1, 3)),
        ]
        for step in steps[: self.random.randint(1, len(steps))]:
            step()

    def close_all(self) -> None:
        sg.close(self.url, close_after=timedelta(days=2))

    def merge_a_little(self) -> None:
        for day in self.segments.late_days():
            self.segments.merge_late(day, self.random.randint(1, 4))

    def check(self) -> None:
        assert sg.stored(self.url) == self.there

    def run(self, steps: int) -> None:
        doings = [self.write, self.write, self.write_twice_at_once, self.close_a_little,
                  self.close_all, self.merge_a_little]  # fmt: skip
        for _ in range(steps):
            self.random.choices(doings, weights=[6, 6, 2, 4, 1, 3])[0]()
            self.check()
        self.close_all()
        self.check()


@pytest.mark.parametrize("seed", range(6))
def test_what_was_written_first_is_what_is_there_at_every_step(
    database_url: str, seed: int
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "SELECT public.ensure_raw_partitions(current_date - 12, current_date + 1)"
        )
    sg.refreshed(database_url)
    scenario = Scenario(database_url, seed)
    try:
        scenario.run(30)
    finally:
        scenario.database.close()
    assert sg.in_rows(database_url) == 0, "all of it is in segments at the end"
    assert all(from_microseconds(ts).date() in scenario.days for _, ts in sg.stored(database_url))
