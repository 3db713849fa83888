"""Days that become segments: what is in them, what joins them late, and what they take."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support import fleet
from tests.support import segments as sg
from tests.support.fleet import Seeded
from tests.support.segments import Key
from traksense.db.connection import Database
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.segments import SqlSegmentStore
from traksense.domain.readings import Value, from_microseconds

TWO_DAYS = timedelta(days=2)
AGO = 4
DAY = sg.day(AGO)
SK = 1

pytestmark = pytest.mark.engine("plain")


@pytest.fixture
def url(database_url: str) -> str:
    """A database with partitions, whose rollups have read everything."""
    return sg.prepared(database_url)


@pytest.fixture
def store(url: str) -> Iterator[SqlSegmentStore]:
    database = Database(url)
    yield SqlSegmentStore(database)
    database.close()


def test_a_closed_day_reads_as_it_did_and_has_no_rows(url: str) -> None:
    rows: dict[Key, Value] = {
        **sg.numbers(),
        **sg.numbers(sk=7, count=3),
        (2, sg.at(AGO, 5)): True,
        (3, sg.at(AGO, 5)): "RUN",
        (4, sg.at(AGO, 86_399, us=999_999)): -0.0,
        (4, sg.at(AGO, 0)): 0.1 + 0.2,
    }
    sg.write(url, rows)
    report = sg.close(url, close_after=TWO_DAYS)
    assert report.closed >= 1
    assert report.complete
    assert sg.in_rows(url) == 0
    assert sg.stored(url) == sg.facts(rows)


def test_quality_and_meta_survive(url: str, store: SqlSegmentStore) -> None:
    key = (SK, sg.at(AGO, 60))
    sg.write(url, sg.numbers(3), {key: b'{"fw": "1.2.3"}'})
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE public.m_raw SET qual = 2 WHERE ts = %s",
                           (from_microseconds(sg.at(AGO, 120)),))  # fmt: skip
    sg.switch(store, DAY)
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT qual, meta FROM public.raw_readings ORDER BY ts"
        ).fetchall()
    assert found == [(0, None), (0, {"fw": "1.2.3"}), (2, None)]


def test_only_days_that_are_old_enough_and_read_by_the_rollups_are_closed(
    url: str, store: SqlSegmentStore
) -> None:
    closable = store.closable_days(TWO_DAYS)
    now = datetime.now(UTC)
    midnights = [datetime.combine(day, datetime.min.time(), UTC) for day in closable]
    assert closable == sorted(closable)
    assert max(midnights) + timedelta(days=3) <= now < max(midnights) + timedelta(days=4)
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE public.rollup_state SET refreshed = %s WHERE level = '5m'",
            (datetime.combine(sg.day(6), datetime.min.time(), UTC),),
        )
    assert max(store.closable_days(TWO_DAYS)) == sg.day(7)
    assert max(store.closable_days(timedelta(0))) == sg.day(7)


def test_a_day_that_ended_less_than_a_day_ago_cannot_be_closed(store: SqlSegmentStore) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="less than a day ago"):
        store.begin_closing(sg.day(1))


def test_a_repeat_of_a_closed_days_reading_is_none_and_the_first_value_stays(url: str) -> None:
    rows = sg.numbers(50)
    assert sg.write(url, rows) == 50
    sg.close(url, close_after=TWO_DAYS)
    repeats: dict[Key, Value] = dict.fromkeys(rows, 99.0)
    fresh: Key = (SK, sg.at(AGO, 7.5))
    assert sg.write(url, {**repeats, fresh: 1.25}) == 1
    assert sg.write(url, {**repeats, fresh: 2.5}) == 0
    assert sg.stored(url) == sg.facts({**rows, fresh: 1.25})
    assert sg.in_rows(url) == 1
    report = sg.close(url, close_after=TWO_DAYS)
    assert report.merged == 1
    assert sg.in_rows(url) == 0
    assert sg.stored(url) == sg.facts({**rows, fresh: 1.25})


def test_one_batch_holds_readings_of_open_and_closed_days(url: str, store: SqlSegmentStore) -> None:
    sg.write(url, sg.numbers(10))
    sg.switch(store, DAY)
    database = Database(url)
    writer = SqlReadingStore(database)
    old = sg.numbers(12)
    new = sg.numbers(5, ago=0, every=0.001)
    more = {**sg.numbers(12, sk=2), **sg.numbers(5, ago=0, sk=2, every=0.001)}
    assert writer.write(sg.accepted({**old, **new})).stored == 7
    again = writer.write(sg.accepted({**old, **new, **more}))
    assert (again.stored, again.duplicates) == (17, 17)
    database.close()
    assert sg.stored(url) == sg.facts({**old, **new, **more})


def test_nobody_puts_a_row_into_a_closed_day_by_hand(url: str, store: SqlSegmentStore) -> None:
    sg.write(url, sg.numbers(3))
    sg.switch(store, DAY)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(
            "INSERT INTO public.m_raw (point_sk, ts, v_num) VALUES (1, %s, 1)",
            (from_microseconds(sg.at(AGO, 60)),),
        )


def test_a_late_backlog_of_many_points_is_merged_whole(url: str, store: SqlSegmentStore) -> None:
    there = {key: value for sk in range(1, 6) for key, value in sg.numbers(200, sk=sk).items()}
    late: dict[Key, Value] = {
        (sk, sg.at(AGO, n * 30, us=1)): float(n) for sk in range(1, 9) for n in range(300)
    }
    sg.write(url, there)
    sg.switch(store, DAY)
    assert sg.write(url, {**there, **late}) == len(late)
    assert store.late_days() == [DAY]
    assert store.merge_late(DAY, 3) == (3, 900)
    assert sg.stored(url) == sg.facts({**there, **late})
    assert store.merge_late(DAY, 100) == (5, 1500)
    assert store.merge_late(DAY, 100) == (0, 0)
    assert store.late_days() == []
    assert sg.stored(url) == sg.facts({**there, **late})
    (status,) = store.days()
    assert (status.readings, status.segments, status.merged) == (3400, 8, 2400)


def test_a_reading_that_comes_while_its_day_is_being_closed_is_in_the_segment(
    url: str, store: SqlSegmentStore
) -> None:
    rows = {**sg.numbers(20), **sg.numbers(20, sk=2)}
    sg.write(url, rows)
    store.begin_closing(DAY)
    assert store.build_slice(DAY, 10)
    late: dict[Key, Value] = {(1, sg.at(AGO, 1)): 1.5, (3, sg.at(AGO, 1)): 2.5}
    assert sg.write(url, {**late, **rows}) == 2
    assert sg.stored(url) == sg.facts({**rows, **late})
    while store.build_slice(DAY, 10):
        pass
    assert not store.finish_closing(DAY), "it builds those again, and commits that first"
    assert sg.finish(store, DAY)
    assert sg.in_rows(url) == 0
    assert sg.stored(url) == sg.facts({**rows, **late})
    assert store.days()[0].readings == 42


def test_readings_out_of_order_make_no_segment(url: str) -> None:
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.DataException):
        connection.execute(
            "SELECT public.encode_segment(1, '2026-01-05Z', ARRAY['2026-01-05 10:00Z',"
            " '2026-01-05 09:00Z']::timestamptz[], ARRAY[1, 2]::float8[], NULL, NULL, NULL, NULL)"
        )


def test_a_tenant_reads_rows_and_segments_as_one_and_opens_one_day_for_one_day(
    url: str, seeded: Seeded
) -> None:
    sk = seeded.sks["acme_chiller-1", "temp"]
    other = seeded.sks["globex_chiller-1", "temp"]
    rows = {
        key: value
        for ago in range(12)
        for key, value in sg.numbers(24, sk=sk, ago=ago, every=1 if ago == 0 else 3600).items()
        if key[1] < fleet.now_ms() * 1000
    }
    sg.write(url, {**rows, **sg.numbers(10, sk=other)})
    sg.refreshed(url)
    sg.close(url, close_after=TWO_DAYS)
    point = seeded.points["acme_chiller-1", "temp"]
    start = from_microseconds(sg.at(AGO, 6 * 3600))
    end = start + timedelta(hours=12)
    plain = "SELECT ts, v_num FROM public.ts_measure_tenant WHERE point_id = %s"
    bounds = " AND ts >= %s AND ts < %s"
    stored = " AND stored >= date_bin('1 day', %s::timestamptz, '2000-01-01Z') AND stored < %s"
    database = Database(url)
    with database.transaction("traksense_app", seeded.tenants["acme"]) as cursor:
        everything = cursor.execute(plain.encode(), (point,)).fetchall()
        asked = (point, start, end)
        some = cursor.execute((plain + bounds).encode(), asked).fetchall()
        pruned = cursor.execute((plain + bounds + stored).encode(), (*asked, start, end)).fetchall()
        plan = "\n".join(
            line
            for (line,) in cursor.execute(
                ("EXPLAIN " + plain + bounds + stored).encode(), (*asked, start, end)
            )
        )
    with database.transaction("traksense_app", seeded.tenants["globex"]) as cursor:
        assert cursor.execute(plain.encode(), (point,)).fetchall() == []
    database.close()
    assert {ts: struct.pack(">d", v) for ts, v in everything} == {
        from_microseconds(ts): struct.pack(">d", v) for (_, ts), v in rows.items()
    }
    assert sorted(some) == sorted(pruned)
    assert len(some) == 12
    opened = set(re.findall(r"\b(m_(?:segment|raw)_\d{8})\b", plan))
    assert opened == {f"m_segment_{DAY:%Y%m%d}", f"m_raw_{DAY:%Y%m%d}"}


@pytest.mark.parametrize("every", [60, 10])
def test_equipment_values_take_less_than_six_bytes_a_reading(
    url: str, store: SqlSegmentStore, every: int
) -> None:
    """Two decimals and instants to the millisecond, of forty points for a day."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            "INSERT INTO public.m_raw (ts, v_num, point_sk)"
            " SELECT %s::timestamptz + n * interval '1 s' * %s + floor(random() * 400)"
            "        * interval '1 ms',"
            "        round((7 + 2 * sin(n / 300.0) + random() * 0.3)::numeric * (1 + p %% 4), 2),"
            "        p"
            " FROM generate_series(0, 86400 / %s - 1) n, generate_series(1, 40) p",
            (from_microseconds(sg.at(AGO)), every, every),
        )
    sg.switch(store, DAY)
    (status,) = store.days()
    assert status.readings == 40 * 86400 // every
    assert status.bytes_per_reading is not None
    assert 1 < status.bytes_per_reading < 6, status
