"""Maintenance that is killed at any moment, twice at once, amid writers: nothing is lost by it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.support import rollups
from tests.support import segments as sg
from tests.support.fleet import Seeded
from traksense.db.connection import Database
from traksense.db.retention import SqlRetentionStore
from traksense.domain.readings import Value
from traksense.services.retention import Keep, Retention

ROOT = Path(__file__).parents[2]
MAINTAINER = """
import sys
from datetime import timedelta
from traksense.db.connection import Database
from traksense.db.retention import SqlRetentionStore
from traksense.db.rollups import SqlRollupStore
from traksense.db.segments import SqlSegmentStore
from traksense.domain.errors import DatabaseAway
from traksense.services import segments
from traksense.services.retention import Keep, Retention
from traksense.services.rollups import Rollups

segments.SLICE_ROWS = 300
database = Database(sys.argv[1])
print("ready", flush=True)
while True:
    try:
        Rollups(SqlRollupStore(database)).refresh()
        segments.Segments(SqlSegmentStore(database), timedelta(days=2)).close()
        Retention(SqlRetentionStore(database), Keep()).run()
    except DatabaseAway as error:
        print(error, file=sys.stderr)
"""
OLD_MONTH = (datetime.now(UTC) - timedelta(days=80)).replace(
    day=1, hour=0, minute=0, second=0, microsecond=0
)

pytestmark = pytest.mark.engine("plain")


@contextmanager
def maintained(url: str, count: int) -> Iterator[None]:
    """Maintainers in processes of their own, killed at once with whatever they have open."""
    with ExitStack() as stack:
        processes = []
        for _ in range(count):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", MAINTAINER, url],
                    cwd=ROOT, stdout=subprocess.PIPE, text=True,
                )
            )  # fmt: skip
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield
        assert [process.poll() for process in processes] == [None] * count, "one ended by itself"


def test_whatever_is_killed_in_the_middle_the_next_run_ends(
    database_url: str, seeded: Seeded
) -> None:
    choose = random.Random(4)
    sg.prepared(database_url)
    keys = [seeded.sks[f"{tenant}_chiller-1", "temp"] for tenant in ("acme", "globex")]
    with psycopg.connect(database_url) as connection:
        connection.execute("SET LOCAL ROLE traksense_owner")
        connection.execute("UPDATE public.rollup_state SET refreshed = '-infinity'")
        connection.execute(
            "SELECT public.ensure_rollup_partitions(%s, %s)", (OLD_MONTH.date(), OLD_MONTH.date())
        )
        connection.execute(
            "INSERT INTO public.r_1m SELECT %s + m * interval '1 minute', p, m, p, p, 1"
            " FROM generate_series(0, 4999) m, generate_series(1, 10) p ORDER BY m, p",
            (OLD_MONTH,),
        )
    old = "SELECT point_sk, bucket, s FROM public.r_1m WHERE bucket < now() - interval '30 days'"
    with psycopg.connect(database_url) as connection:
        before = sorted(connection.execute(old).fetchall())
    there: dict[sg.Key, Value] = {}
    for _ in range(8):
        with maintained(database_url, 2):
            ends = time.monotonic() + choose.uniform(0.05, 1.2)
            while time.monotonic() < ends:
                rows: dict[sg.Key, Value] = {}
                for _ in range(150):
                    ago, second = choose.randint(1, 10), choose.randint(0, 8000) * 7
                    rows[choose.choice(keys), sg.at(ago, second)] = 0.25
                sg.write(database_url, rows)
                there |= rows
        assert sg.stored(database_url) == sg.facts(there)
    database = Database(database_url)
    assert rollups.refresh(database).complete
    assert sg.close(database_url, close_after=timedelta(days=2)).complete
    assert Retention(SqlRetentionStore(database), Keep()).run().complete
    database.close()
    assert sg.stored(database_url) == sg.facts(there)
    with psycopg.connect(database_url) as connection:
        assert sorted(connection.execute(old).fetchall()) == before
        connection.execute("DELETE FROM public.r_1m WHERE bucket < now() - interval '30 days'")
        assert rollups.wrong_buckets(connection) == []
        states = connection.execute(
            "SELECT DISTINCT state FROM public.rollup_rewrites UNION ALL"
            " SELECT DISTINCT state FROM public.closed_days ORDER BY 1"
        ).fetchall()
    assert states == [("closed",), ("done",)]
