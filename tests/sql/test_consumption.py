"""Months of a tenant's calendar: each as long as its zone's clocks make it, to the minute."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from tests.support.fleet import Seeded
from traksense.db.connection import Database
from traksense.db.consumption import SqlConsumptionStore
from traksense.db.rollups import SqlRollupStore
from traksense.services.consumption import ConsumptionQuery, Month
from traksense.services.scope import Scope

# Rollups are put into their tables as they stand; the other engine has none that take rows.
pytestmark = pytest.mark.engine("plain")

STEP = timedelta(minutes=5)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
YEAR = TODAY.year - 1
"""The last one that is over, with both changes of the clocks."""

ZONES = {
    "America/Sao_Paulo": "no summer time",
    "America/New_York": "an hour less in March, one more in November",
    "Europe/Lisbon": "an hour less in March, one more in October",
    "Asia/Kolkata": "half an hour beside UTC's hours",
    "Asia/Kathmandu": "three quarters of an hour beside them",
    "Australia/Lord_Howe": "half an hour of summer time: some months end between hours",
    "Pacific/Kiritimati": "fourteen hours ahead",
}


@pytest.fixture
def database(database_url: str, seeded: Seeded) -> Iterator[Database]:
    """A reading of 2.5 in every five minutes of a year and some days, and its rollups."""
    made = Database(database_url)
    SqlRollupStore(made).ensure_partitions(date(YEAR - 1, 12, 1), date(YEAR + 1, 2, 1))
    sk = seeded.sks["acme_chiller-1", "temp"]
    with psycopg.connect(database_url) as connection:
        for level, n in (("5m", 1), ("1h", 12)):
            connection.execute(
                f"INSERT INTO public.r_{level} (bucket, s, mn, mx, point_sk, n)"
                " SELECT g.at, 2.5 * %s, 2.5, 2.5, %s, %s"
                " FROM generate_series(%s::timestamptz, %s, %s::interval) AS g(at)".encode(),
                (n, sk, n, datetime(YEAR - 1, 12, 30, tzinfo=UTC),
                 datetime(YEAR + 1, 1, 2, tzinfo=UTC), n * STEP),
            )  # fmt: skip
        connection.execute("UPDATE public.rollup_state SET refreshed = %s", (TODAY,))
        connection.execute("ANALYZE")
    yield made
    made.close()


def months(
    database: Database, seeded: Seeded, start: datetime, end: datetime
) -> tuple[str, list[Month]]:
    query = ConsumptionQuery(SqlConsumptionStore(database), lambda _: None)
    device, point = seeded.devices["acme_chiller-1"], seeded.points["acme_chiller-1", "temp"]
    found = query.months(Scope.of(seeded.tenants["acme"]), device, [point], start, end)
    return found.time_zone, list(found.points[0].months)


def in_zone(url: str, zone: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE public.tenants SET time_zone = %s WHERE slug = 'acme'", (zone,))


@pytest.mark.parametrize("zone", ZONES)
def test_a_month_is_as_long_as_the_clocks_of_its_zone_make_it(
    database: Database, database_url: str, seeded: Seeded, zone: str
) -> None:
    in_zone(database_url, zone)
    here = ZoneInfo(zone)
    firsts = [datetime(YEAR, n, 1, tzinfo=here) for n in range(1, 13)]
    firsts.append(datetime(YEAR + 1, 1, 1, tzinfo=here))
    named, found = months(database, seeded, firsts[0], firsts[-1])
    assert named == zone
    wanted: list[Month] = []
    for first, following in itertools.pairwise(firsts):
        length = following.astimezone(UTC) - first.astimezone(UTC)
        count = length // STEP
        wanted.append(Month(first.date(), 2.5 * count, 2.5, count))
    assert found == wanted
    assert len({month.count for month in found}) > 2


def test_a_month_is_whole_however_little_of_it_is_asked_for(
    database: Database, database_url: str, seeded: Seeded
) -> None:
    in_zone(database_url, "America/Sao_Paulo")
    first = datetime(YEAR, 3, 1, 3, tzinfo=UTC)
    just = timedelta(microseconds=1)
    february, march = date(YEAR, 2, 1), date(YEAR, 3, 1)

    def asked(start: datetime, end: datetime) -> list[tuple[date, int]]:
        return [(each.first_day, each.count) for each in months(database, seeded, start, end)[1]]

    whole = 31 * 24 * 12
    assert asked(first, first + just) == [(march, whole)]
    assert asked(first + timedelta(days=9), first + timedelta(days=9, hours=1)) == [(march, whole)]
    assert [day for day, _ in asked(first - just, first)] == [february]
    assert [day for day, _ in asked(first - just, first + just)] == [february, march]


def test_a_month_that_the_tenant_keeps_only_a_part_of_is_not_shown(
    database: Database, database_url: str, seeded: Seeded
) -> None:
    in_zone(database_url, "America/Sao_Paulo")
    start, end = datetime(YEAR, 1, 2, tzinfo=UTC), datetime(YEAR, 12, 31, tzinfo=UTC)
    assert len(months(database, seeded, start, end)[1]) == 12
    kept_from = datetime(YEAR, 6, 15, tzinfo=UTC)
    days = (TODAY - kept_from).days
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE public.tenants SET retention_1h_days = %s WHERE slug = 'acme'", (days,)
        )
    found: Any = months(database, seeded, start, end)[1]
    assert [month.first_day.month for month in found] == [7, 8, 9, 10, 11, 12]
