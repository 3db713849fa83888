"""Indexes of large tables, made while they are written to, partition by partition."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.support import database as db
from tests.support.release_jobs import Release, of, rows
from traksense.db import migrate as m
from traksense.services.release_jobs import Advance, ReleaseJobs, SliceFailed

pytestmark = pytest.mark.engine("plain")

TABLES = """
CREATE TABLE public.logs (at date NOT NULL, n integer) PARTITION BY RANGE (at);
CREATE TABLE public.logs_1 PARTITION OF public.logs
    FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE public.logs_2 PARTITION OF public.logs
    FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO public.logs SELECT date '2026-01-01' + n % 50, n FROM generate_series(1, 2000) n;
CREATE TABLE public.plain (n integer);
"""
INDEX = """-- Finds logs by their number.
-- kind: statements
SELECT public.next_index_step('public.{table}', '{name}', '(n)')
"""


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    made = Release(tmp_path)
    made.migration("9001_tables", TABLES)
    made.job("9002_logs_by_n", INDEX.format(table="logs", name="logs_by_n"))
    yield made
    made.close()


@pytest.fixture
def url(admin_url: str, release: Release) -> Iterator[str]:
    with db.fresh_database(admin_url) as made:
        m.migrate(made, directory=release.folder)
        yield made


def later(release: Release, url: str) -> ReleaseJobs:
    return ReleaseJobs(release.store(url), now=lambda: datetime.now(UTC) + timedelta(hours=1))


def indexes(url: str) -> dict[str, bool]:
    """Whether each index is valid, by its table's name."""
    return dict(
        rows(
            url,
            "SELECT x.indrelid::regclass::text, bool_and(x.indisvalid) FROM pg_index x"
            " WHERE x.indrelid::regclass::text ~ '^(logs|plain)' GROUP BY 1",
        )
    )


def test_each_partition_gets_the_index_by_itself_and_the_whole_is_valid(
    release: Release, url: str
) -> None:
    report = release.jobs(url).run()
    assert report.finished == ("9002_logs_by_n",)
    assert indexes(url) == {"logs": True, "logs_1": True, "logs_2": True}
    assert report.slices == 6, "the whole, two made and two attached, and nothing is left"
    rows(
        url,
        "CREATE TABLE public.logs_3 PARTITION OF public.logs"
        " FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
    )
    assert indexes(url)["logs_3"]


def test_a_table_without_partitions_gets_one_index(release: Release, url: str) -> None:
    release.job("9003_plain_by_n", INDEX.format(table="plain", name="plain_by_n"))
    m.migrate(url, directory=release.folder)
    assert "9003_plain_by_n" in release.jobs(url).run().finished
    assert indexes(url)["plain"]


def test_a_partition_that_is_made_meanwhile_has_the_index_from_the_beginning(
    release: Release, url: str
) -> None:
    store = release.store(url)
    store.advance(9002)
    rows(
        url,
        "CREATE TABLE public.logs_3 PARTITION OF public.logs"
        " FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
    )
    assert indexes(url) == {"logs": False, "logs_3": True}
    assert ReleaseJobs(store).run().finished == ("9002_logs_by_n",)
    assert indexes(url) == dict.fromkeys(["logs", "logs_1", "logs_2", "logs_3"], True)


def test_rows_are_written_while_an_index_is_being_made(release: Release, url: str) -> None:
    store = release.store(url)
    store.advance(9002)
    with psycopg.connect(url) as writer:
        writer.execute("INSERT INTO public.logs VALUES ('2026-01-02', 1)")
        done: list[Advance | None] = []

        def work() -> None:
            done.append(store.advance(9002))
            release.close()

        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(100):
            if rows(url, "SELECT FROM pg_stat_activity WHERE query ~ '^CREATE INDEX CONCURRENTLY'"):
                break
        # It waits for us, and we for nobody.
        writer.execute("SET statement_timeout = '5s'")
        writer.execute("INSERT INTO public.logs VALUES ('2026-01-03', 2)")
        writer.commit()
        thread.join(30)
    assert done == [Advance(0, is_last=False)]
    assert indexes(url)["logs_1"]


def test_a_ruin_is_taken_away_and_the_index_made_again(release: Release, url: str) -> None:
    store = release.store(url, statement_timeout_ms=200)
    store.advance(9002)
    with psycopg.connect(url) as writer:
        writer.execute("INSERT INTO public.logs VALUES ('2026-01-02', 1)")
        with pytest.raises(SliceFailed, match="statement timeout"):
            store.advance(9002)
    assert indexes(url) == {"logs": False, "logs_1": False}
    assert later(release, url).run().finished == ("9002_logs_by_n",)
    assert indexes(url) == {"logs": True, "logs_1": True, "logs_2": True}


def test_what_somebody_is_still_making_is_waited_for(release: Release, url: str) -> None:
    """As when a runner was killed and the server goes on with its statement."""
    store = release.store(url)
    store.advance(9002)
    ((statement,),) = rows(url, "SELECT public.next_index_step('logs', 'logs_by_n', '(n)')")
    with psycopg.connect(url) as writer:
        writer.execute("INSERT INTO public.logs VALUES ('2026-01-02', 1)")
        orphan = threading.Thread(target=rows, args=(url, statement))
        orphan.start()
        for _ in range(500):
            if "logs_1" in indexes(url):
                break
        assert store.advance(9002) == Advance(0, is_last=False, has_to_wait=True)
        report = ReleaseJobs(store).run()
        assert (report.slices, report.left, report.failing) == (0, 1, 0)
        writer.commit()
        orphan.join(30)
    assert release.jobs(url).run().finished == ("9002_logs_by_n",)
    assert indexes(url)["logs_1"]


def test_two_runners_make_no_statement_at_once(release: Release, url: str) -> None:
    store = release.store(url)
    store.advance(9002)
    with psycopg.connect(url) as writer:
        writer.execute("INSERT INTO public.logs VALUES ('2026-01-02', 1)")

        def work() -> None:
            store.advance(9002)
            release.close()

        first = threading.Thread(target=work)
        first.start()
        for _ in range(500):
            if "logs_1" in indexes(url):
                break
        assert release.store(url).advance(9002) is None
        writer.commit()
        first.join(30)
    assert indexes(url) == {"logs": False, "logs_1": True}
    assert of(release.store(url), 9002).slices == 2
