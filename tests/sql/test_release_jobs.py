"""Long work of a release: in slices, killed and resumed, by one runner at a time, tried again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.support import database as db
from tests.support.release_jobs import FILL, THINGS, Release, of, rows
from traksense.db import migrate as m
from traksense.db.connection import Database
from traksense.domain.errors import DatabaseAway
from traksense.services.release_jobs import Advance, ReleaseJobs, SliceFailed

pytestmark = pytest.mark.engine("plain")

COUNT = 1000


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    made = Release(tmp_path)
    made.migration("9001_things", THINGS.format(count=COUNT))
    yield made
    made.close()


@pytest.fixture
def url(admin_url: str) -> Iterator[str]:
    with db.fresh_database(admin_url) as made:
        yield made


def deploy(release: Release, url: str) -> None:
    m.migrate(url, directory=release.folder)


def left(url: str) -> int:
    ((count,),) = rows(url, "SELECT count(*) FROM things WHERE loud IS NULL")
    return int(count)


def most_touched(url: str) -> int:
    ((count,),) = rows(url, "SELECT max(touched) FROM things")
    return int(count)


def test_a_job_is_done_in_slices_each_of_which_stands_by_itself(release: Release, url: str) -> None:
    release.job("9002_fill", FILL.format(rows=100))
    deploy(release, url)
    store = release.store(url)
    assert of(store, 9002).state == "waiting"
    assert store.advance(9002) == Advance(100, is_last=False)
    assert (of(store, 9002).state, left(url)) == ("working", COUNT - 100)
    report = ReleaseJobs(store).run()
    assert report.finished == ("9002_fill",)
    assert (report.rows, report.left, report.failing) == (COUNT - 100, 0, 0)
    state = of(store, 9002)
    assert (state.state, state.slices, state.rows) == ("finished", COUNT // 100 + 1, COUNT)
    assert (left(url), most_touched(url)) == (0, 1)
    assert ReleaseJobs(store).run().slices == 0


def test_a_run_ends_with_its_time_and_the_next_goes_on(release: Release, url: str) -> None:
    release.job("9002_fill", FILL.format(rows=100))
    deploy(release, url)
    ticks = iter(range(1000))
    jobs = ReleaseJobs(release.store(url), clock=lambda: float(next(ticks)))
    first = jobs.run(budget_s=4)
    assert 0 < first.slices < 5
    assert first.left == 1
    assert jobs.run(budget_s=100).finished == ("9002_fill",)
    assert most_touched(url) == 1


def test_a_runner_that_is_killed_in_a_slice_leaves_the_job_where_the_slice_began(
    release: Release, url: str
) -> None:
    release.job("9002_fill", FILL.format(rows=100))
    deploy(release, url)
    store = release.store(url)
    store.advance(9002)
    rows(url, "CREATE TABLE public.killing (yes boolean)")
    rows(
        url,
        "CREATE FUNCTION public.kill() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$"
        "BEGIN IF EXISTS (SELECT FROM public.killing) THEN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER kill AFTER UPDATE ON public.things EXECUTE FUNCTION public.kill()",
    )
    rows(url, "INSERT INTO public.killing VALUES (true)")
    with pytest.raises(SliceFailed):
        store.advance(9002)
    assert (of(store, 9002).slices, left(url)) == (1, COUNT - 100)
    rows(url, "DELETE FROM public.killing")
    another = ReleaseJobs(release.store(url), now=lambda: datetime.now(UTC) + timedelta(hours=1))
    assert another.run().finished == ("9002_fill",)
    assert (left(url), most_touched(url)) == (0, 1)


def test_two_runners_never_do_one_slice(release: Release, url: str) -> None:
    release.job("9002_fill", FILL.format(rows=10))
    deploy(release, url)
    reports = []

    def run() -> None:
        # As schedules do: one that finds another at work comes again.
        jobs = release.jobs(url)
        while of(jobs, 9002).state != "finished":
            reports.append(jobs.run())
        release.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(report.rows for report in reports) == COUNT
    assert sum(bool(report.finished) for report in reports) == 1
    assert (left(url), most_touched(url)) == (0, 1)


def test_a_job_that_somebody_is_at_is_passed_over(release: Release, url: str) -> None:
    release.job("9002_fill", FILL.format(rows=100))
    deploy(release, url)
    with psycopg.connect(url) as other:
        other.execute("SELECT FROM release_jobs WHERE number = 9002 FOR UPDATE")
        assert release.store(url).advance(9002) is None
        assert release.jobs(url).run().left == 1
    assert left(url) == COUNT


def test_a_slice_that_fails_is_undone_noted_and_tried_again_later(
    release: Release, url: str
) -> None:
    path = release.job("9002_fill", FILL.format(rows=100).replace("upper(t.name)", "1 / 0 || ''"))
    deploy(release, url)
    assert release.jobs(url).run().failing == 1
    state = of(release.store(url), 9002)
    assert (state.state, state.failures, state.slices) == ("failing", 1, 0)
    assert state.error == "22012: division by zero"
    assert state.next_try_at is not None
    assert release.jobs(url).run().failing == 1
    assert of(release.store(url), 9002).failures == 1, "its time has not come"
    # What has not finished may be corrected by the next release.
    path.write_text(FILL.format(rows=100))
    deploy(release, url)
    later = ReleaseJobs(release.store(url), now=lambda: datetime.now(UTC) + timedelta(minutes=2))
    report = later.run()
    assert (report.finished, report.failing) == (("9002_fill",), 0)
    state = of(release.store(url), 9002)
    assert (state.failures, state.error) == (0, None)


def test_a_job_that_fails_keeps_no_other_waiting_but_those_that_need_it(
    release: Release, url: str
) -> None:
    release.job("9002_bad", FILL.format(rows=100).replace("upper(t.name)", "1 / 0 || ''"))
    release.job("9003_good", FILL.format(rows=100))
    release.job("9004_after", "-- needs: 9002 9003\n" + FILL.format(rows=100))
    deploy(release, url)
    report = release.jobs(url).run()
    assert report.finished == ("9003_good",)
    assert (report.left, report.failing) == (2, 1)
    assert of(release.store(url), 9004).state == "waiting"


def test_jobs_that_need_each_other_are_done_in_one_run(release: Release, url: str) -> None:
    release.job("9002_first", FILL.format(rows=500))
    release.job("9003_second", "-- needs: 9002\n" + FILL.format(rows=500))
    deploy(release, url)
    assert release.jobs(url).run().finished == ("9002_first", "9003_second")


def test_a_slice_that_takes_too_long_is_tried_with_fewer_rows(release: Release, url: str) -> None:
    slow = FILL.format(rows=400).replace("upper(t.name)", "upper(t.name || pg_sleep(0.002))")
    release.job("9002_fill", slow)
    deploy(release, url)
    store = release.store(url, slice_timeout_ms=500)
    with pytest.raises(SliceFailed, match="statement timeout"):
        store.advance(9002)
    assert left(url) == COUNT
    assert store.advance(9002) == Advance(100, is_last=False)


def test_slices_grow_while_they_are_quick_and_shrink_where_they_are_slow(
    release: Release, url: str
) -> None:
    release.job("9002_fill", FILL.format(rows=100))
    deploy(release, url)
    times = iter([0, 9, 9, 18, 18, 18, 18, 18])
    store = release.store(url, clock=lambda: float(next(times)))
    assert [store.advance(9002) for _ in range(4)] == [
        Advance(n, is_last=False) for n in (100, 50, 25, 50)
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT 0, coalesce(%(position)s, 'here') WHERE %(rows)s > 0", "stands where it stood"),
        ("SELECT 1 WHERE %(rows)s > 0 AND %(position)s::text IS NULL", "one row of"),
        ("SELECT 1, 'x' WHERE %(rows)s < 0 AND %(position)s::text IS NULL", "one row of"),
    ],
)
def test_a_slice_that_would_never_end_is_a_failure(
    release: Release, url: str, text: str, told: str
) -> None:
    release.job("9002_odd", f"-- Odd.\n-- kind: slices\n-- rows: 5\n{text}")
    deploy(release, url)
    store = release.store(url)
    with pytest.raises(SliceFailed, match=told):
        all(store.advance(9002) for _ in range(3))
    assert of(store, 9002).failures == 1


def test_an_older_release_leaves_a_job_alone_that_it_does_not_know(
    release: Release, url: str, tmp_path: Path
) -> None:
    release.job("9002_fill", FILL.format(rows=100))
    deploy(release, url)
    older = Release(tmp_path / "older")
    report = older.jobs(url).run()
    assert (report.slices, report.left) == (0, 0)
    (state,) = older.store(url).states()
    assert (state.label, state.is_known, state.state) == ("9002_fill", False, "waiting")
    assert m.migrate(url, directory=older.folder) == []
    older.close()


def test_a_database_that_is_away_is_worth_another_try(release: Release) -> None:
    with pytest.raises(DatabaseAway):
        release.jobs("postgresql://nobody@127.0.0.1:1/none").run()


def test_a_database_from_before_there_were_jobs_has_none(release: Release, admin_url: str) -> None:
    with db.fresh_database(admin_url, template="template0") as empty:
        for path in (release.folder / "migrations").glob("002[89]_*.sql"):
            path.unlink()
        (release.folder / "migrations" / "9001_things.sql").unlink()
        m.migrate(empty, directory=release.folder)
        assert release.store(empty).states() == []
        release.close()


def test_operators_may_see_jobs_and_nobody_else(url: str) -> None:
    database = Database(url)
    for role in ("traksense_app", "traksense_ingest", "traksense_readonly"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), database.transaction(role) as c:
            c.execute("SELECT FROM public.release_jobs")
    with database.transaction("traksense_ops") as cursor:
        cursor.execute("SELECT FROM public.release_jobs")
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        database.transaction("traksense_ops") as cursor,
    ):
        cursor.execute("DELETE FROM public.release_jobs")
    database.close()
