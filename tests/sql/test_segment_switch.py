"""The switch of a day from rows to segments, among those who read and write it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel

from tests.sql.test_concurrency import wait_until_someone_waits
from tests.support import segments as sg
from tests.support.fleet import Seeded
from tests.support.segments import Key
from traksense.db.connection import Database
from traksense.db.segments import SqlSegmentStore
from traksense.domain.errors import DatabaseAway
from traksense.domain.readings import Value, from_microseconds

TWO_DAYS = timedelta(days=2)
AGO = 4
DAY = sg.day(AGO)
SK = 1
ALL = "SELECT point_sk, ts, v_num, v_bool, v_text FROM public.raw_readings"

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


@pytest.fixture
def reader(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Reads everything in one snapshot, as an export or a dump does."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        yield connection


def take_snapshot(reader: psycopg.Connection[Any]) -> None:
    """Its first statement, which reads something else."""
    reader.execute("SELECT count(*) FROM public.dim_point")


def test_the_switch_waits_for_a_late_writer_and_takes_what_it_wrote(
    url: str, store: SqlSegmentStore
) -> None:
    rows = sg.numbers(20)
    sg.write(url, rows)
    sg.build(store, DAY, 10)
    late: Key = (SK, sg.at(AGO, 1))
    with psycopg.connect(url) as writer:
        writer.execute(
            "SELECT public.add_late_readings(ARRAY[%s::timestamptz], ARRAY[1.5::float8],"
            " ARRAY[1], ARRAY[NULL::boolean], ARRAY[NULL::text], ARRAY[NULL::jsonb])",
            (from_microseconds(late[1]),),
        )
        assert not store.finish_closing(DAY), "it gives way after a second"
        assert sg.stored(url) == sg.facts(rows)
        thread, results = sg.in_background(lambda: sg.apart(url, sg.finish, DAY))
        wait_until_someone_waits(url)
        writer.commit()
        thread.join(20)
    assert results == [True]
    assert sg.stored(url) == sg.facts({**rows, late: 1.5})
    assert sg.in_rows(url) == 0


def test_a_late_writer_waits_for_the_switch_and_repeats_nothing(url: str) -> None:
    rows = sg.numbers(20)
    sg.write(url, rows)
    database = Database(url)
    store = SqlSegmentStore(database)
    sg.build(store, DAY, 10)
    late: Key = (SK, sg.at(AGO, 1))
    with psycopg.connect(url) as closer:
        closer.execute("SELECT public.finish_closing(%s)", (DAY,))
        thread, results = sg.in_background(lambda: sg.write(url, {**rows, late: 1.5}))
        wait_until_someone_waits(url)
        closer.commit()
        thread.join(20)
    database.close()
    assert results == [1], "of 21 readings one is new"
    assert sg.stored(url) == sg.facts({**rows, late: 1.5})


def test_closing_waits_for_a_writer_that_does_not_know_of_it_yet(
    url: str, store: SqlSegmentStore
) -> None:
    rows = sg.numbers(20)
    sg.write(url, rows)
    with psycopg.connect(url) as writer:
        writer.execute(
            "INSERT INTO public.m_raw (point_sk, ts, v_num) VALUES (9, %s, 5.5)",
            (from_microseconds(sg.at(AGO, 3)),),
        )
        thread, results = sg.in_background(lambda: sg.apart(url, sg.switch, DAY))
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
        **sg.numbers(200, sk=sk),
        **sg.numbers(30, ago=AGO - 1, sk=sk),
        **sg.numbers(30, ago=0, every=0.001, sk=sk),
    }
    sg.write(url, rows)
    database = Database(url)
    store = SqlSegmentStore(database)
    sg.build(store, DAY)
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
        thread, results = sg.in_background(lambda: sg.read(reader.cursor(), query))
        wait_until_someone_waits(url)
        closer.commit()
        thread.join(20)
    database.close()
    assert results == [sg.facts(rows)]


def test_the_switch_gives_way_to_a_reader_that_holds_on_and_stays_to_be_done(
    url: str, store: SqlSegmentStore, reader: psycopg.Connection[Any]
) -> None:
    rows = sg.numbers(20)
    sg.write(url, rows)
    sg.build(store, DAY)
    with psycopg.connect(url) as older:
        take_snapshot(older)
        assert not store.finish_closing(DAY)
        reader.execute("SELECT count(*) FROM public.m_raw")
    started = time.monotonic()
    assert not store.finish_closing(DAY)
    assert 1 < time.monotonic() - started < 5, "nobody waits behind it for longer"
    assert not sg.close(url, close_after=TWO_DAYS).complete
    assert sg.stored(url) == sg.facts(rows)
    reader.rollback()
    assert sg.close(url, close_after=TWO_DAYS).complete
    assert sg.stored(url) == sg.facts(rows)
    assert sg.in_rows(url) == 0


def test_a_run_that_was_killed_is_taken_up_where_it_was(url: str) -> None:
    rows = {key: value for sk in range(1, 31) for key, value in sg.numbers(300, sk=sk).items()}
    sg.write(url, rows)
    database = Database(url)
    store = SqlSegmentStore(database)
    store.begin_closing(DAY)
    assert store.build_slice(DAY, 1000)
    before = store.days()[0]
    thread, results = sg.in_background(
        lambda: sg.apart(url, SqlSegmentStore.build_slice, DAY, 10**6)
    )
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
    rows = {key: value for sk in range(1, 11) for key, value in sg.numbers(300, sk=sk).items()}
    sg.write(url, rows)
    runs = [sg.in_background(lambda: sg.close(url, close_after=TWO_DAYS)) for _ in range(3)]
    for thread, _ in runs:
        thread.join(60)
    assert all(not isinstance(results[0], BaseException) for _, results in runs), runs
    assert sg.close(url, close_after=TWO_DAYS).complete
    assert sg.stored(url) == sg.facts(rows)
    assert sg.in_rows(url) == 0


def test_a_snapshot_from_before_a_day_was_built_sees_it_whole_and_the_switch_waits_for_it(
    url: str, store: SqlSegmentStore, reader: psycopg.Connection[Any]
) -> None:
    rows = {key: value for sk in range(1, 6) for key, value in sg.numbers(50, sk=sk).items()}
    sg.write(url, rows)
    take_snapshot(reader)
    report = sg.close(url, close_after=TWO_DAYS)
    assert not report.complete
    assert store.days()[-1].state == "closing"
    assert sg.read(reader.cursor(), ALL) == sg.facts(rows)
    reader.rollback()
    assert sg.close(url, close_after=TWO_DAYS).complete
    assert sg.in_rows(url) == 0
    assert sg.stored(url) == sg.facts(rows)


def test_a_snapshot_from_the_middle_of_building_counts_as_one_from_before(
    url: str, store: SqlSegmentStore, reader: psycopg.Connection[Any]
) -> None:
    rows = {key: value for sk in range(1, 6) for key, value in sg.numbers(50, sk=sk).items()}
    sg.write(url, rows)
    store.begin_closing(DAY)
    assert store.build_slice(DAY, 120)
    take_snapshot(reader)
    while store.build_slice(DAY, 120):
        pass
    assert not sg.finish(store, DAY, patience_s=0.3)
    assert sg.read(reader.cursor(), ALL) == sg.facts(rows)


def test_a_snapshot_from_between_building_and_switch_sees_the_segments(
    url: str, store: SqlSegmentStore, reader: psycopg.Connection[Any]
) -> None:
    rows = {key: value for sk in range(1, 6) for key, value in sg.numbers(50, sk=sk).items()}
    sg.write(url, rows)
    sg.build(store, DAY)
    with psycopg.connect(url) as older:
        take_snapshot(older)
        assert not store.finish_closing(DAY)
        take_snapshot(reader)
    assert sg.finish(store, DAY), "it waits for the older one alone"
    assert sg.in_rows(url) == 0
    assert sg.read(reader.cursor(), ALL) == sg.facts(rows)


def test_a_snapshot_from_before_a_late_reading_was_built_in_holds_the_switch_up(
    url: str, store: SqlSegmentStore, reader: psycopg.Connection[Any]
) -> None:
    rows = sg.numbers(50)
    sg.write(url, rows)
    sg.build(store, DAY)
    late: Key = (SK, sg.at(AGO, 1))
    sg.write(url, {late: 1.5})
    take_snapshot(reader)
    assert not sg.finish(store, DAY, patience_s=0.3)
    assert sg.read(reader.cursor(), ALL) == sg.facts({**rows, late: 1.5})
    reader.rollback()
    assert sg.finish(store, DAY)
    assert sg.stored(url) == sg.facts({**rows, late: 1.5})


def test_a_merge_of_late_readings_is_invisible_to_a_snapshot_from_before(
    url: str, store: SqlSegmentStore, reader: psycopg.Connection[Any]
) -> None:
    rows = sg.numbers(50)
    sg.write(url, rows)
    sg.switch(store, DAY)
    late: Key = (SK, sg.at(AGO, 1))
    sg.write(url, {late: 1.5})
    take_snapshot(reader)
    assert store.merge_late(DAY, 10) == (1, 1)
    sg.write(url, {(SK, sg.at(AGO, 2)): 2.5})
    assert store.merge_late(DAY, 10) == (1, 1)
    for _ in range(2):
        assert sg.read(reader.cursor(), ALL) == sg.facts({**rows, late: 1.5})


class Readers:
    """Reads everything over and over, in single statements and in snapshots that are used late."""

    def __init__(self, url: str, least: int) -> None:
        self.url = url
        self.least = least
        self.wrong: list[str] = []
        self.reads = 0
        self.is_over = False

    def read(self, seed: int, isolation: IsolationLevel) -> None:
        choose = random.Random(seed)
        with psycopg.connect(self.url) as connection:
            connection.isolation_level = isolation
            while not self.is_over:
                take_snapshot(connection)
                time.sleep(choose.uniform(0, 0.05))
                found = [self._count(connection) for _ in range(2)]
                if isolation is IsolationLevel.REPEATABLE_READ and found[0] != found[1]:
                    self.wrong.append(f"{found} in one snapshot")
                connection.rollback()
                self.reads += 1

    def _count(self, connection: psycopg.Connection[Any]) -> tuple[int, int]:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT (point_sk, ts)) FROM public.raw_readings"
        ).fetchone()
        assert row is not None
        if row[0] < self.least or row[0] != row[1]:
            self.wrong.append(f"{row[0]} readings, {row[1]} different, of at least {self.least}")
        return row[0], row[1]


def test_nobody_who_reads_while_days_close_and_merge_sees_a_hole_or_a_double(url: str) -> None:
    rows = {
        key: value
        for ago in range(4, 8)
        for sk in range(1, 5)
        for key, value in sg.numbers(100, sk=sk, ago=ago).items()
    }
    sg.write(url, rows)
    readers = Readers(url, len(rows))
    levels = [IsolationLevel.READ_COMMITTED, IsolationLevel.REPEATABLE_READ] * 2
    running = [
        sg.in_background(lambda seed=seed, level=level: readers.read(seed, level))  # type: ignore[misc]
        for seed, level in enumerate(levels)
    ]
    late: dict[Key, Value] = {}
    try:
        deadline = time.monotonic() + 60
        while sg.in_rows(url) and time.monotonic() < deadline:
            if len(late) < 8:
                more: dict[Key, Value] = {(SK, sg.at(4 + len(late) % 4, 1, us=len(late))): 0.5}
                sg.write(url, more)
                late |= more
            sg.close(url, close_after=TWO_DAYS)
    finally:
        readers.is_over = True
        for thread, _ in running:
            thread.join(30)
    assert [results for _, results in running] == [[None]] * len(running)
    assert readers.wrong == []
    assert readers.reads > 20
    assert sg.in_rows(url) == 0
    assert sg.stored(url) == sg.facts({**rows, **late})
