"""An export from its plan to its end, in a real database: chunks, progress, conditional changes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.fleet import Seeded
from traksense.db.connection import Database
from traksense.db.export_finish import ChunksMissing, SqlFinishStore
from traksense.db.export_plan import SqlPlanStore
from traksense.db.export_upkeep import SqlUpkeepStore
from traksense.db.export_work import SqlExportWork
from traksense.domain.exports import MOST_ROWS, Failure, Run, Status
from traksense.services.export_finish import FinishedFile
from traksense.services.export_work import DoneChunk, ExportEnded, ExportTooLarge

END = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
START = END - timedelta(days=3)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


@pytest.fixture
def admin(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def readings(
    admin: psycopg.Connection[Any], seeded: Seeded, thing: str, point: str, step: str
) -> None:
    """Readings of a point over the whole range, which the rollups have not seen."""
    value = "v_bool" if point == "compressor_on" else "v_num"
    admin.execute(
        "INSERT INTO public.m_raw (point_sk, ts, "
        + value
        + ") SELECT %s, g, "
        + ("true" if value == "v_bool" else "1.5")
        + " FROM generate_series(%s::timestamptz, %s::timestamptz - interval '1 s',"
        " %s::interval) g",
        (seeded.sks[thing, point], START, END, step),
    )


def ask(
    admin: psycopg.Connection[Any],
    seeded: Seeded,
    tenant: str = "acme",
    *,
    agg: str = "raw",
    device: str | None = None,
    points: list[UUID] | None = None,
) -> Run:
    row = admin.execute(
        "INSERT INTO public.exports (tenant_id, requested_by, email, locale, device_id, point_ids,"
        " point_names, range_from, range_to, agg, format, time_zone)"
        " VALUES (%s, 'sub', 'ana@acme.example', 'en', %s, %s, %s, %s, %s, %s, 'csv', 'UTC')"
        " RETURNING id",
        (
            seeded.tenants[tenant],
            None if device is None else seeded.devices[device],
            points,
            None if points is None else ["a"] * len(points),
            START,
            END,
            agg,
        ),
    ).fetchone()
    assert row is not None
    return Run(seeded.tenants[tenant], row[0], 1)


def chunks(admin: psycopg.Connection[Any], run: Run) -> list[dict[str, Any]]:
    rows = admin.execute(
        "SELECT number, attempt, point_ids, starts, ends, planned_rows FROM public.export_chunks"
        " WHERE export_id = %s ORDER BY number",
        (run.export_id,),
    ).fetchall()
    names = ("number", "attempt", "points", "starts", "ends", "rows")
    return [dict(zip(names, row, strict=True)) for row in rows]


def planned(database: Database, run: Run, chunk_rows: int = 1_000) -> int:
    store = SqlPlanStore(database, chunk_rows)
    store.begin(run)
    return store.plan(run, MOST_ROWS)[0]


def column(admin: psycopg.Connection[Any], run: Run, name: str) -> Any:
    row = admin.execute(
        f"SELECT {name} FROM public.exports WHERE id = %s".encode(),
        (run.export_id,),
    ).fetchone()
    return None if row is None else row[0]


def cancel(admin: psycopg.Connection[Any], run: Run) -> None:
    admin.execute(
        "UPDATE public.exports SET status = 'CANCELLED', finished_at = now() WHERE id = %s",
        (run.export_id,),
    )


def done(number: int, rows: int = 10) -> DoneChunk:
    digest = hashlib.sha256(b"x").digest()
    return DoneChunk(number, rows, 100, digest, 7, f"staging/{number}")


def test_a_plan_covers_every_point_without_gap_or_overlap_in_the_order_of_the_file(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    readings(admin, seeded, "acme_chiller-1", "temp", "1 minute")
    readings(admin, seeded, "acme_chiller-2", "compressor_on", "5 minutes")
    readings(admin, seeded, "globex_chiller-1", "temp", "1 second")
    run = ask(admin, seeded)
    count = planned(database, run)
    found = chunks(admin, run)
    assert [chunk["number"] for chunk in found] == list(range(count))
    # 4,320 of one point and 864 of another; nothing of the other tenant.
    assert sum(chunk["rows"] for chunk in found) == 4_320 + 864
    assert 5 <= count <= 6
    assert all(chunk["rows"] <= 2_000 for chunk in found)
    order = [
        row[0]
        for row in admin.execute(
            "SELECT p.id FROM public.points p JOIN public.devices d ON d.id = p.device_id"
            " JOIN public.sites s ON s.id = d.site_id WHERE p.tenant_id = %s"
            ' ORDER BY s.slug COLLATE "C", d.name COLLATE "C", p.name COLLATE "C"',
            (run.tenant_id,),
        )
    ]
    spans: dict[UUID, list[tuple[datetime, datetime]]] = {}
    seen: list[UUID] = []
    for chunk in found:
        for point, start, end in zip(chunk["points"], chunk["starts"], chunk["ends"], strict=True):
            assert start < end
            spans.setdefault(point, []).append((start, end))
            if not seen or seen[-1] != point:
                seen.append(point)
    assert seen == order
    for of_point in spans.values():
        assert of_point[0][0] == START
        assert of_point[-1][1] == END
        assert [end for _, end in of_point[:-1]] == [start for start, _ in of_point[1:]]


def test_a_day_with_more_rows_than_a_chunk_is_cut(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    readings(admin, seeded, "acme_chiller-1", "temp", "10 seconds")
    point = seeded.points["acme_chiller-1", "temp"]
    run = ask(admin, seeded, points=[point])
    count = planned(database, run, chunk_rows=2_000)
    found = chunks(admin, run)
    assert count == len(found) >= 13
    assert all(chunk["points"] == [point] for chunk in found)
    counted = [
        row[0]
        for chunk in found
        for row in admin.execute(
            "SELECT count(*) FROM public.m_raw WHERE point_sk = %s AND ts >= %s AND ts < %s",
            (seeded.sks["acme_chiller-1", "temp"], chunk["starts"][0], chunk["ends"][0]),
        )
    ]
    assert sum(counted) == 3 * 8_640
    assert max(counted) <= 4_000


def test_rollups_are_of_num_points_alone_and_no_more_than_there_are_buckets(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    readings(admin, seeded, "acme_chiller-1", "temp", "10 seconds")
    readings(admin, seeded, "acme_chiller-1", "compressor_on", "10 seconds")
    run = ask(admin, seeded, agg="5m", device="acme_chiller-1")
    planned(database, run)
    (only,) = chunks(admin, run)
    assert only["rows"] == 3 * 288
    names = {seeded.points["acme_chiller-1", name] for name in ("temp", "pressure")}
    assert set(only["points"]) == names


def test_an_export_without_a_point_is_one_empty_chunk(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    run = ask(admin, seeded, device="acme_tds-1")
    assert planned(database, run) == 1
    work = SqlExportWork(database).chunk(run, 0)
    assert work.chunk.point_ids == ()
    assert work.chunk_count == 1


def test_a_second_try_finds_the_plan_and_a_later_attempt_makes_its_own(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    readings(admin, seeded, "acme_chiller-1", "temp", "1 minute")
    run = ask(admin, seeded)
    count = planned(database, run)
    store = SqlExportWork(database)
    assert store.finish_chunk(run, done(0))
    assert planned(database, run, chunk_rows=100) == count
    assert store.chunk(run, 0).is_done
    again = SqlUpkeepStore(database).begin_again(run)
    assert again == Run(run.tenant_id, run.export_id, 2)
    with pytest.raises(ExportEnded):
        planned(database, run)
    planned(database, again)
    assert {chunk["attempt"] for chunk in chunks(admin, again)} == {2}
    assert not store.chunk(again, 0).is_done
    with pytest.raises(ExportEnded):
        store.finish_chunk(run, done(1))


def test_two_that_plan_at_once_make_one_plan(
    database_url: str, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    readings(admin, seeded, "acme_chiller-1", "temp", "1 minute")
    run = ask(admin, seeded)
    counts: list[int] = []

    def plan() -> None:
        own = Database(database_url)
        counts.append(planned(own, run))
        own.close()

    threads = [Thread(target=plan) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counts) == 4
    assert set(counts) == {len(chunks(admin, run))}


def test_what_is_too_large_is_refused_and_leaves_no_plan(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    readings(admin, seeded, "acme_chiller-1", "temp", "1 minute")
    run = ask(admin, seeded)
    store = SqlPlanStore(database)
    store.begin(run)
    with pytest.raises(ExportTooLarge, match="4320"):
        store.plan(run, most_rows=4_319)
    assert chunks(admin, run) == []
    assert column(admin, run, "planned_rows") is None


def test_another_tenant_plans_and_ends_nothing(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    run = ask(admin, seeded)
    foreign = Run(seeded.tenants["globex"], run.export_id, 1)
    with pytest.raises(ExportEnded):
        planned(database, foreign)
    assert not SqlFinishStore(database).fail(foreign, Failure.INTERNAL)
    assert SqlFinishStore(database).standing(foreign) is None
    assert column(admin, run, "status") == "PENDING"


def test_a_worker_learns_of_a_cancel_with_its_progress(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    run = ask(admin, seeded)
    planned(database, run)
    store = SqlExportWork(database)
    assert store.note_progress(run, 0, 5)
    assert admin.execute("SELECT rows_so_far FROM public.export_chunks").fetchall() == [(5,)]
    cancel(admin, run)
    for act in (
        lambda: store.note_progress(run, 0, 6),
        lambda: store.finish_chunk(run, done(0)),
        lambda: store.chunk(run, 0),
        lambda: store.check(run),
        lambda: SqlFinishStore(database).work(run),
    ):
        with pytest.raises(ExportEnded):
            act()


def test_of_two_tries_of_a_chunk_one_is_recorded(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    run = ask(admin, seeded)
    planned(database, run)
    store = SqlExportWork(database)
    assert store.finish_chunk(run, done(0, rows=11))
    late = dataclasses.replace(done(0, rows=12), staging_key="staging/late")
    assert not store.finish_chunk(run, late)
    assert not store.note_progress(run, 0, 3)
    assert SqlFinishStore(database).work(run).chunks == (done(0, rows=11),)


def test_joining_waits_for_every_chunk(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    run = ask(admin, seeded)
    planned(database, run)
    with pytest.raises(ChunksMissing):
        SqlFinishStore(database).work(run)


def finished(database: Database, admin: psycopg.Connection[Any], seeded: Seeded) -> Run:
    run = ask(admin, seeded)
    planned(database, run)
    SqlExportWork(database).finish_chunk(run, done(0))
    file = FinishedFile(f"{run.prefix}x/a.csv", "a.csv", 100, 10, b"s" * 32, 2**32 - 1)
    SqlFinishStore(database).complete(run, file)
    return run


def test_a_finished_export_is_finished_once_and_fails_no_more(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    run = finished(database, admin, seeded)
    store = SqlFinishStore(database)
    assert column(admin, run, "expires_at - finished_at") == timedelta(hours=24)
    assert store.work(run).is_finished == f"{run.prefix}x/a.csv"
    with pytest.raises(ExportEnded):
        store.complete(run, FinishedFile("k", "n", 1, 1, None, None))
    assert not store.fail(run, Failure.INTERNAL)
    standing = store.standing(run)
    assert standing is not None
    assert standing.status is Status.COMPLETED


def test_upkeep_expires_what_is_over_and_forgets_what_is_old(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    run = finished(database, admin, seeded)
    store = SqlUpkeepStore(database)
    assert store.expire(10) == []
    admin.execute(
        "UPDATE public.exports SET expires_at = now(), finished_at = now() - interval '1 day'"
    )
    assert store.expire(10) == [run]
    assert store.expire(10) == []
    assert store.with_files(timedelta(minutes=16), 10) == [run]
    assert store.forget(timedelta(hours=1), 10) == 0
    store.note_files_removed(run)
    assert store.with_files(timedelta(minutes=16), 10) == []
    assert store.forget(timedelta(days=2), 10) == 0
    assert store.forget(timedelta(hours=1), 10) == 1
    assert chunks(admin, run) == []


def test_upkeep_sees_the_exports_of_every_tenant(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    acme, globex = ask(admin, seeded, "acme"), ask(admin, seeded, "globex")
    store = SqlUpkeepStore(database)
    assert set(store.running(timedelta(0), 10)) == {acme, globex}
    assert store.running(timedelta(minutes=1), 10) == []
    assert store.fail(globex, Failure.TIMED_OUT)
    assert not store.fail(globex, Failure.TIMED_OUT)
    assert store.begin_again(globex) is None
    assert store.unmailed(timedelta(0), 10) == [(globex, Status.FAILED)]
    assert column(admin, globex, "error") == "timed_out"
    assert store.running(timedelta(0), 10) == [acme]


def test_upkeep_marks_a_finished_export_whose_file_is_gone(
    database: Database, admin: psycopg.Connection[Any], seeded: Seeded
) -> None:
    run = finished(database, admin, seeded)
    store = SqlUpkeepStore(database)
    (one,) = store.finished(None, 10)
    assert (one.run, one.file_key) == (run, f"{run.prefix}x/a.csv")
    assert store.finished(run, 10) == []
    assert store.lose(run)
    assert not store.lose(run)
    assert column(admin, run, "status") == "EXPIRED"
