"""Days that become segments while others read, write and repeat themselves."""

from __future__ import annotations

import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.sql.test_concurrency import wait_until_someone_waits
from tests.support import fleet
from tests.support import segments as sg
from tests.support.fleet import Seeded
from tests.support.segments import Key
from traksense.db.connection import Database
from traksense.db.ingest_store import SqlReadingStore
from traksense.db.segments import SqlSegmentStore
from traksense.domain.errors import DatabaseAway
from traksense.domain.readings import Value, from_microseconds

TWO_DAYS = timedelta(days=2)
AGO = 4
DAY = sg.day(AGO)
SK = 1


@pytest.fixture
def url(database_url: str) -> str:
    """A database with partitions, whose rollups have read everything."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "SELECT public.ensure_raw_partitions(current_date - 15, current_date + 1)"
        )
    sg.refreshed(database_url)
    return database_url


@pytest.fixture
def store(url: str) -> Iterator[SqlSegmentStore]:
    database = Database(url)
    yield SqlSegmentStore(database)
    database.close()


def numbers(count: int = 100, every: float = 60, sk: int = SK, ago: int = AGO) -> dict[Key, Value]:
    return {(sk, sg.at(ago, n * every)): round(20 + n % 7 / 10, 2) for n in range(count)}


def switch(store: SqlSegmentStore) -> None:
    store.begin_closing(DAY)
    while store.build_slice(DAY, 1000):
        pass
    assert store.finish_closing(DAY)


def apart(url: str, doing: Callable[..., Any], *what: Any) -> Any:
    """Do it with a store over a connection of its own."""
    database = Database(url)
    try:
        return doing(SqlSegmentStore(database), *what)
    finally:
        database.close()


def in_background(work: Any) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def test_a_closed_day_reads_as_it_did_and_has_no_rows(url: str) -> None:
    rows: dict[Key, Value] = {
        **numbers(),
        **numbers(sk=7, count=3),
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
    sg.write(url, numbers(3), {key: b'{"fw": "1.2.3"}'})
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE public.m_raw SET qual = 2 WHERE ts = %s",
                           (from_microseconds(sg.at(AGO, 120)),))  # fmt: skip
    switch(store)
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
    rows = numbers(50)
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
    sg.write(url, numbers(10))
    switch(store)
    database = Database(url)
    writer = SqlReadingStore(database)
    old = numbers(12)
    new = numbers(5, ago=0, every=0.001)
    more = {**numbers(12, sk=2), **numbers(5, ago=0, sk=2, every=0.001)}
    assert writer.write(sg.accepted({**old, **new})).stored == 7
    again = writer.write(sg.accepted({**old, **new, **more}))
    assert (again.stored, again.duplicates) == (17, 17)
    database.close()
    assert sg.stored(url) == sg.facts({**old, **new, **more})


def test_nobody_puts_a_row_into_a_closed_day_by_hand(url: str, store: SqlSegmentStore) -> None:
    sg.write(url, numbers(3))
    switch(store)
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(
            "INSERT INTO public.m_raw (point_sk, ts, v_num) VALUES (1, %s, 1)",
            (from_microseconds(sg.at(AGO, 60)),),
        )


def test_a_late_backlog_of_many_points_is_merged_whole(url: str, store: SqlSegmentStore) -> None:
    there = {key: value for sk in range(1, 6) for key, value in numbers(200, sk=sk).items()}
    late: dict[Key, Value] = {
        (sk, sg.at(AGO, n * 30, us=1)): float(n) for sk in range(1, 9) for n in range(300)
    }
    sg.write(url, there)
    switch(store)
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
    rows = {**numbers(20), **numbers(20, sk=2)}
    sg.write(url, rows)
    store.begin_closing(DAY)
    assert store.build_slice(DAY, 10)
    late: dict[Key, Value] = {(1, sg.at(AGO, 1)): 1.5, (3, sg.at(AGO, 1)): 2.5}
    assert sg.write(url, {**late, **rows}) == 2
    assert sg.stored(url) == sg.facts({**rows, **late})
    while store.build_slice(DAY, 10):
        pass
    assert store.finish_closing(DAY)
    assert sg.in_rows(url) == 0
    assert sg.stored(url) == sg.facts({**rows, **late})
    assert store.days()[0].readings == 42


def test_the_switch_waits_for_a_late_writer_and_takes_what_it_wrote(
    url: str, store: SqlSegmentStore
) -> None:
    rows = numbers(20)
    sg.write(url, rows)
    store.begin_closing(DAY)
    while store.build_slice(DAY, 10):
        pass
    late: Key = (SK, sg.at(AGO, 1))
    with psycopg.connect(url) as writer:
        writer.execute(
            "SELECT public.add_late_readings(ARRAY[%s::timestamptz], ARRAY[1.5::float8],"
            " ARRAY[1], ARRAY[NULL::boolean], ARRAY[NULL::text], ARRAY[NULL::jsonb])",
            (from_microseconds(late[1]),),
        )
        assert not store.finish_closing(DAY), "it gives way after a second"
        assert sg.stored(url) == sg.facts(rows)
        thread, results = in_background(lambda: apart(url, SqlSegmentStore.finish_closing, DAY))
        wait_until_someone_waits(url)
        writer.commit()
        thread.join(20)
    assert results == [True]
    assert sg.stored(url) == sg.facts({**rows, late: 1.5})
    assert sg.in_rows(url) == 0


def test_a_late_writer_waits_for_the_switch_and_repeats_nothing(url: str) -> None:
    rows = numbers(20)
    sg.write(url, rows)
    database = Database(url)
    store = SqlSegmentStore(database)
    store.begin_closing(DAY)
    while store.build_slice(DAY, 10):
        pass
    late: Key = (SK, sg.at(AGO, 1))
    with psycopg.connect(url) as closer:
        closer.execute("SELECT public.finish_closing(%s)", (DAY,))
        thread, results = in_background(lambda: sg.write(url, {**rows, late: 1.5}))
        wait_until_someone_waits(url)
        closer.commit()
        thread.join(20)
    database.close()
    assert results == [1], "of 21 readings one is new"
    assert sg.stored(url) == sg.facts({**rows, late: 1.5})


def test_closing_waits_for_a_writer_that_does_not_know_of_it_yet(
    url: str, store: SqlSegmentStore
) -> None:
    rows = numbers(20)
    sg.write(url, rows)
    with psycopg.connect(url) as writer:
        writer.execute(
            "INSERT INTO public.m_raw (point_sk, ts, v_num) VALUES (9, %s, 5.5)",
            (from_microseconds(sg.at(AGO, 3)),),
        )
        thread, results = in_background(lambda: apart(url, switch))
        wait_until_someone_waits(url)
        writer.commit()
        thread.join(20)
    assert results == [None]
    assert sg.stored(url) == sg.facts({**rows, (9, sg.at(AGO, 3)): 5.5})
    assert sg.in_rows(url) == 0


@pytest.mark.parametrize("prepared", [False, True], ids=["asked", "prepared"])
@pytest.mark.parametrize("view", ["raw_readings", "ts_measure_tenant"])
def test_a_reader_that_meets_the_switch_sees_every_reading_once(
    url: str, seeded: Seeded, view: str, prepared: bool
) -> None:
    """It has been parsed, waits for the rows that are about to go, and finds the segments."""
    sk = seeded.sks["acme_chiller-1", "temp"]
    rows = {
        **numbers(200, sk=sk),
        **numbers(30, ago=AGO - 1, sk=sk),
        **numbers(30, ago=0, every=0.001, sk=sk),
    }
    sg.write(url, rows)
    database = Database(url)
    store = SqlSegmentStore(database)
    store.begin_closing(DAY)
    while store.build_slice(DAY, 1000):
        pass
    query = f"SELECT {sk}, ts, v_num, v_bool, v_text FROM public.{view}"
    with psycopg.connect(url) as closer, psycopg.connect(url, autocommit=True) as reader:
        reader.execute(
            "SELECT set_config('app.tenant_id', %s, false)", (str(seeded.tenants["acme"]),)
        )
        if prepared:
            reader.execute(f"PREPARE all_of_it AS {query}".encode())
            for _ in range(7):
                reader.execute("EXECUTE all_of_it")
            query = "EXECUTE all_of_it"
        closer.execute("SELECT public.finish_closing(%s)", (DAY,))
        thread, results = in_background(lambda: sg.read(reader.cursor(), query))
        wait_until_someone_waits(url)
        closer.commit()
        thread.join(20)
    database.close()
    assert results == [sg.facts(rows)]


def test_the_switch_gives_way_to_a_reader_that_holds_on_and_stays_to_be_done(
    url: str, store: SqlSegmentStore
) -> None:
    rows = numbers(20)
    sg.write(url, rows)
    with psycopg.connect(url) as reader:
        reader.execute("SELECT count(*) FROM public.m_raw")
        started = time.monotonic()
        report = sg.close(url, close_after=TWO_DAYS)
        assert 1 < time.monotonic() - started < 30
        assert not report.complete
        assert sg.stored(url) == sg.facts(rows)
    assert sg.close(url, close_after=TWO_DAYS).complete
    assert sg.stored(url) == sg.facts(rows)
    assert sg.in_rows(url) == 0


def test_a_run_that_was_killed_is_taken_up_where_it_was(url: str) -> None:
    rows = {key: value for sk in range(1, 31) for key, value in numbers(300, sk=sk).items()}
    sg.write(url, rows)
    database = Database(url)
    store = SqlSegmentStore(database)
    store.begin_closing(DAY)
    assert store.build_slice(DAY, 1000)
    before = store.days()[0]
    thread, results = in_background(lambda: apart(url, SqlSegmentStore.build_slice, DAY, 10**6))
    with psycopg.connect(url, autocommit=True) as killer:
        for _ in range(500):
            row = killer.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE '%build_slice%'"
                " AND state = 'active' AND pid <> pg_backend_pid()"
            ).fetchone()
            if row is not None and row[0]:
                break
            time.sleep(0.002)
    thread.join(20)
    assert isinstance(results[0], DatabaseAway)
    assert store.days()[0] == before
    assert 0 < before.segments < 30
    assert sg.stored(url) == sg.facts(rows)
    assert sg.close(url, close_after=TWO_DAYS).complete
    assert store.days()[-1].segments in (0, 30)
    assert sg.stored(url) == sg.facts(rows)
    database.close()


def test_two_runs_at_once_close_each_day_once(url: str) -> None:
    rows = {key: value for sk in range(1, 11) for key, value in numbers(300, sk=sk).items()}
    sg.write(url, rows)
    runs = [in_background(lambda: sg.close(url, close_after=TWO_DAYS)) for _ in range(3)]
    for thread, _ in runs:
        thread.join(60)
    assert all(not isinstance(results[0], BaseException) for _, results in runs), runs
    assert sg.close(url, close_after=TWO_DAYS).complete
    assert sg.stored(url) == sg.facts(rows)
    assert sg.in_rows(url) == 0


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
        for key, value in numbers(24, sk=sk, ago=ago, every=1 if ago == 0 else 3600).items()
        if key[1] < fleet.now_ms() * 1000
    }
    sg.write(url, {**rows, **numbers(10, sk=other)})
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
    switch(store)
    (status,) = store.days()
    assert status.readings == 40 * 86400 // every
    assert status.bytes_per_reading is not None
    assert 1 < status.bytes_per_reading < 6, status
