"""What is past its time goes, whole and without holding anybody up; what is needed stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support import segments as sg
from tests.support.fleet import Seeded
from traksense.db import retention as db_retention
from traksense.db.connection import Database
from traksense.db.maintenance import SqlMaintenanceStore
from traksense.db.retention import SqlRetentionStore
from traksense.domain.readings import Value
from traksense.services.maintenance import MaintenanceService
from traksense.services.retention import Keep, Retention, RetentionReport, StillNeeded

NOW = datetime.now(UTC)

pytestmark = pytest.mark.engine("plain")


@pytest.fixture
def url(database_url: str) -> str:
    """A database whose rollups have read everything."""
    sg.refreshed(database_url)
    return database_url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    made = Database(url)
    yield made
    made.close()


def run(database: Database, **keep: timedelta) -> RetentionReport:
    return Retention(SqlRetentionStore(database), Keep(**keep)).run()


def execute(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(query.encode(), values)
        return [] if cursor.description is None else cursor.fetchall()


def make_days(url: str, first: int, last: int) -> None:
    execute(url, "SELECT public.ensure_raw_partitions(%s, %s)", sg.day(first), sg.day(last))


def partitions(url: str, parent: str) -> list[str]:
    rows = execute(url, "SELECT partition FROM public.partition_bounds(%s::regclass)", parent)
    return [name for (name,) in rows]


def months(url: str, *first_days: date) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL ROLE traksense_owner")
        for day in first_days:
            connection.execute("SELECT public.ensure_rollup_partitions(%s, %s)", (day, day))


def test_a_day_goes_with_its_rows_and_its_segments_and_the_purge_is_recorded(
    url: str, database: Database
) -> None:
    make_days(url, 20, 0)
    rows: dict[sg.Key, Value] = {
        (sk, sg.at(ago, n)): 1.5 for sk in (1, 2) for ago in (18, 17, 16, 15, 3) for n in range(5)
    }
    sg.write(url, rows)
    sg.close(url, close_after=timedelta(days=17))
    report = run(database)
    assert report.complete
    assert report.dropped == [f"m_raw_{sg.day(ago):%Y%m%d}" for ago in (20, 19, 18, 17, 16)]
    kept = {key: value for key, value in rows.items() if key[1] >= sg.at(15)}
    assert sg.stored(url) == sg.facts(kept)
    assert execute(url, "SELECT count(*) FROM public.closed_days") == [(0,)]
    assert execute(url, "SELECT count(*) FROM pg_class WHERE relname LIKE 'm\\_segment\\_2%%'"
                        " AND relkind = 'r'") == [(0,)]  # fmt: skip
    purged = {row[0]: row[1:] for row in execute(
        url, "SELECT up_to, partitions, rows FROM public.purges WHERE level = 'raw'"
    )}  # fmt: skip
    midnight = datetime.combine(sg.day(17), datetime.min.time(), UTC)
    assert purged[midnight] == (1, 10), "the readings of a closed day are counted"
    (last,) = SqlRetentionStore(database).last_purges()
    assert (last.level, last.up_to) == ("raw", midnight + timedelta(days=2))


def test_what_is_made_ahead_is_not_dropped_at_once(url: str, database: Database) -> None:
    service = MaintenanceService(SqlMaintenanceStore(database), timedelta(days=14))
    service.run("partitions_ahead")
    made = partitions(url, "public.m_raw")
    assert len(made) > 20
    assert run(database).dropped == []
    assert partitions(url, "public.m_raw") == made


def test_readings_that_the_rollups_have_not_read_stay(url: str, database: Database) -> None:
    make_days(url, 20, 0)
    midnight = datetime.combine(sg.day(18), datetime.min.time(), UTC)
    execute(url, "UPDATE public.rollup_state SET refreshed = %s WHERE level = '1h'", midnight)
    report = run(database)
    assert report.dropped == [f"m_raw_{sg.day(ago):%Y%m%d}" for ago in (20, 19)]
    assert not report.complete


def test_each_level_of_rollups_goes_by_months(url: str, database: Database) -> None:
    this_month = NOW.date().replace(day=1)
    months(url, this_month, this_month - timedelta(days=500), this_month - timedelta(days=2500))
    report = run(database)
    old = (this_month - timedelta(days=500)).strftime("%Y%m")
    oldest = (this_month - timedelta(days=2500)).strftime("%Y%m")
    assert set(report.dropped) == {
        f"r_1m_{old}", f"r_1m_{oldest}", f"r_5m_{oldest}", f"r_1h_{oldest}",
    }  # fmt: skip
    purged = {
        purge.level: (purge.up_to, purge.partitions)
        for purge in SqlRetentionStore(database).last_purges()
    }
    assert purged == {
        "1m": (_month_after(this_month - timedelta(days=500)), 1),
        "5m": (_month_after(this_month - timedelta(days=2500)), 1),
        "1h": (_month_after(this_month - timedelta(days=2500)), 1),
    }


def _month_after(day: date) -> datetime:
    later = day.replace(day=1) + timedelta(days=32)
    return datetime(later.year, later.month, 1, tzinfo=UTC)


def test_a_reader_that_holds_on_keeps_a_partition_and_holds_up_no_writer_for_long(
    url: str, database: Database
) -> None:
    make_days(url, 17, 0)
    waited: list[float] = []

    def write() -> None:
        for n in range(15):
            started = time.monotonic()
            sg.write(url, {(1, sg.at(0, us=n)): 1.0})
            waited.append(time.monotonic() - started)
            time.sleep(0.1)

    with psycopg.connect(url) as reader:
        reader.execute("SELECT count(*) FROM public.m_raw")
        writer = threading.Thread(target=write)
        writer.start()
        with pytest.raises(StillNeeded):
            SqlRetentionStore(database).drop_oldest("raw", NOW - timedelta(days=15))
        report = run(database)
        assert (report.dropped, report.complete) == ([], False)
        writer.join(60)
    assert max(waited) < 3, "the lock is asked for no longer than a second"
    assert len(run(database).dropped) == 2


def test_a_tenant_that_keeps_less_sees_less_and_the_others_see_all(
    url: str, database: Database, seeded: Seeded
) -> None:
    keys = [seeded.sks[f"{tenant}_chiller-1", "temp"] for tenant in ("acme", "globex")]
    sg.write(url, {(sk, sg.at(ago, 60)): 1.0 for sk in keys for ago in range(1, 10)})
    sg.close(url, close_after=timedelta(days=2))
    months(url, sg.day(0), sg.day(9))
    for level in ("1m", "5m", "1h"):
        execute(
            url,
            f"INSERT INTO public.r_{level} SELECT now() - n * interval '1 day', 1, 1, 1, k, 1"
            " FROM generate_series(1, 9) n, unnest(%s::integer[]) k",
            keys,
        )
    execute(
        url,
        "UPDATE public.tenants SET raw_retention_days = 5, retention_1m_days = 4,"
        " retention_5m_days = 6 WHERE slug = 'acme'",
    )
    counts = {}
    for tenant, tenant_id in seeded.tenants.items():
        with database.transaction("traksense_app", tenant_id) as cursor:
            for view in ("", "_1m", "_5m", "_1h"):
                cursor.execute(f"SELECT count(*) FROM public.ts_measure{view}_tenant".encode())
                counts[tenant, view] = cursor.fetchone()
    assert {counts["globex", view] for view in ("", "_1m", "_5m", "_1h")} == {(9,)}
    assert counts["acme", "_1h"] == (9,)
    assert counts["acme", "_1m"] == (3,)
    assert counts["acme", "_5m"] == (5,)
    assert counts["acme", ""] in ((4,), (5,)), "five days back from this moment"


def test_a_tenant_that_keeps_less_is_shown_no_part_of_a_month_as_the_month(
    url: str, database: Database, seeded: Seeded
) -> None:
    firsts = [NOW.date().replace(day=1)]
    while len(firsts) < 4:
        firsts.append((firsts[-1] - timedelta(days=1)).replace(day=1))
    months(url, *firsts, firsts[-1] - timedelta(days=1))
    for first in firsts:
        execute(
            url,
            "INSERT INTO public.r_1h SELECT %s::date + interval '12 hours', 1, 1, 1, k, 1"
            " FROM unnest(%s::integer[]) k",
            first,
            [seeded.sks[f"{tenant}_chiller-1", "temp"] for tenant in ("acme", "globex")],
        )
    execute(
        url,
        "UPDATE public.tenants SET retention_1h_days = %s WHERE slug = 'acme'",
        (NOW.date() - firsts[2]).days - 5,  # begins five days into the month before the last
    )
    shown = {}
    for tenant, tenant_id in seeded.tenants.items():
        with database.transaction("traksense_app", tenant_id) as cursor:
            rows = cursor.execute(
                "SELECT month FROM public.ts_consumption_monthly_tenant ORDER BY month DESC"
            ).fetchall()
        shown[tenant] = [month for (month,) in rows]
    assert shown == {"acme": firsts[:2], "globex": firsts}


def add_dead_letters(url: str, count: int, received: datetime, again: datetime) -> None:
    execute(
        url,
        "INSERT INTO public.ingest_errors (fingerprint, received_at, last_received_at, topic,"
        " reason, detail, payload) SELECT sha256((%s || n)::bytea), %s, %s, 't', 'bad_json', '',"
        " '' FROM generate_series(1, %s) n",
        f"{received}{again}", received, again, count,
    )  # fmt: skip


def test_dead_letters_go_when_they_have_not_come_for_their_time(
    url: str, database: Database
) -> None:
    old, recent = NOW - timedelta(days=31), NOW - timedelta(days=29)
    add_dead_letters(url, 12, old, old)
    add_dead_letters(url, 3, old, recent)
    add_dead_letters(url, 4, recent, recent)
    assert SqlRetentionStore(database).purge_dead_letters(NOW - timedelta(days=30), 5) == 5
    report = run(database)
    assert report.dead_letters == 7
    assert execute(url, "SELECT count(*) FROM public.ingest_errors") == [(7,)]
    assert run(database).dead_letters == 0
    assert execute(url, "SELECT sum(rows) FROM public.purges WHERE level = 'dead_letters'") == [
        (12,)
    ]


OLD_MONTH = (NOW - timedelta(days=80)).date().replace(day=1)


@pytest.fixture
def scattered(url: str) -> str:
    """A month of minutes as a refresh writes them: minute by minute, all points."""
    months(url, OLD_MONTH)
    execute(
        url,
        "INSERT INTO public.r_1m (bucket, s, mn, mx, point_sk, n)"
        " SELECT %s::timestamptz + m * interval '1 minute', p + m, p, m, p, 1"
        " FROM generate_series(0, 1439) m, generate_series(1, 20) p ORDER BY m, p",
        datetime.combine(OLD_MONTH, datetime.min.time(), UTC),
    )
    return f"r_1m_{OLD_MONTH:%Y%m}"


def pages_of_a_point(url: str, partition: str) -> int:
    ((count,),) = execute(
        url,
        f"SELECT count(DISTINCT (ctid::text::point)[0]) FROM public.{partition} WHERE point_sk = 7",
    )
    return int(count)


def test_an_old_month_of_rollups_is_put_in_order_once(
    url: str, database: Database, scattered: str
) -> None:
    before = execute(url, "SELECT * FROM public.r_1m ORDER BY point_sk, bucket")
    assert pages_of_a_point(url, scattered) > 100
    report = run(database)
    assert scattered in report.rewritten
    assert len(report.rewritten) == 3, "a month of each level"
    assert pages_of_a_point(url, scattered) < 20
    assert execute(url, "SELECT * FROM public.r_1m ORDER BY point_sk, bucket") == before
    assert run(database).rewritten == []
    assert execute(url, "SELECT count(*) FROM pg_class WHERE relname LIKE '%%\\_sorted'") == [(0,)]
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute("INSERT INTO public.r_1m SELECT * FROM public.r_1m LIMIT 1")
    assert partitions(url, "public.r_1m") == [scattered]


def test_a_month_that_may_still_get_late_readings_is_left_as_it_is(
    url: str, database: Database
) -> None:
    months(url, sg.day(0))
    assert SqlRetentionStore(database).begin_rewrite(NOW - timedelta(days=15)) is None


@pytest.mark.parametrize("change", ["insert", "update", "delete"])
def test_a_month_that_changes_while_it_is_copied_is_copied_anew(
    url: str, database: Database, scattered: str, change: str
) -> None:
    store = SqlRetentionStore(database)
    horizon = NOW - timedelta(days=15)
    while (partition := store.begin_rewrite(horizon)) != scattered:
        assert partition is not None
        while store.rewrite_slice(partition, 1000):
            pass
        assert store.finish_rewrite(partition)
    assert store.rewrite_slice(scattered, 10)
    execute(url, {
        "insert": "INSERT INTO public.r_1m SELECT bucket, s, mn, mx, 99, n FROM public.r_1m"
                  " WHERE point_sk = 7",
        "update": "UPDATE public.r_1m SET s = -1 WHERE point_sk = 7",
        "delete": "DELETE FROM public.r_1m WHERE point_sk = 7",
    }[change])  # fmt: skip
    wanted = execute(url, "SELECT * FROM public.r_1m ORDER BY point_sk, bucket")
    while store.rewrite_slice(scattered, 50):
        pass
    assert not store.finish_rewrite(scattered)
    assert execute(url, "SELECT * FROM public.r_1m ORDER BY point_sk, bucket") == wanted
    assert run(database).rewritten == [scattered]
    assert execute(url, "SELECT * FROM public.r_1m ORDER BY point_sk, bucket") == wanted


def test_a_month_that_takes_its_place_in_order_is_whole_in_every_snapshot(
    url: str, database: Database, scattered: str
) -> None:
    """One from before waits for nothing and is waited for, one from after sees the copy."""
    store = SqlRetentionStore(database)
    horizon = NOW - timedelta(days=15)
    count = "SELECT count(*), sum(s) FROM public.r_1m"
    wanted = execute(url, count)
    with psycopg.connect(url) as older, psycopg.connect(url) as newer:
        for reader in (older, newer):
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        older.execute("SELECT count(*) FROM public.tenants")
        while (partition := store.begin_rewrite(horizon)) != scattered:
            assert partition is not None
            with pytest.raises(StillNeeded):
                store.finish_rewrite(partition)
            execute(url, "UPDATE public.rollup_rewrites SET state = 'done'")  # an empty one
        while store.rewrite_slice(scattered, 50):
            pass
        with pytest.raises(StillNeeded, match="from before"):
            store.finish_rewrite(scattered)
        newer.execute("SELECT count(*) FROM public.tenants")
        assert older.execute(count.encode()).fetchall() == wanted
        older.rollback()
        assert store.finish_rewrite(scattered)
        assert newer.execute(count.encode()).fetchall() == wanted
    assert execute(url, count) == wanted
    assert pages_of_a_point(url, scattered) < 40


def test_the_state_of_closing_and_retention_is_told_in_lines(url: str, database: Database) -> None:
    assert "nothing was purged yet" in db_retention.describe(database)
    make_days(url, 20, 0)
    sg.write(url, {(sk, sg.at(4, n)): 1.5 for sk in range(9) for n in range(500)})
    sg.close(url, close_after=timedelta(days=2))
    sg.write(url, {(1, sg.at(4, 0.5)): 2.0})
    run(database)
    text = "\n".join(db_retention.describe(database))
    assert "4,500 readings" in text
    assert "bytes a reading" in text
    assert f"late rows to merge: {sg.day(4)}" in text
    assert "last purge of raw: to" in text
