"""A tenant goes whole, whatever kills the job meanwhile, and nobody else loses a byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from functions import sqs
from tests.sql.conftest import ingest_service
from tests.sql.test_isolation import fill
from tests.support import fleet
from tests.support.erasure import Clock, FakePlaces, Killed, MortalStore, outside_of, run_to_the_end
from tests.support.fleet import GATEWAY_MAC, Seeded, event, record, telem
from tests.support.isolation import relations
from traksense.db.connection import Database
from traksense.db.engine import StorageEngine
from traksense.db.erasure import SqlErasureRequests, SqlErasureStore
from traksense.domain.erasure import Erasure, Step
from traksense.domain.errors import Conflict, NotFound
from traksense.services.erasure import Erasures, Tombstone
from traksense.services.tenant_erasure import QUEUES_PATIENCE, SETTLE, TenantErasure

KEPT = {"public.erasures", "public.tenant_tombstones", "public.erased_gateways"}
"""What outlives a tenant on purpose."""


@pytest.fixture
def filled(database_url: str, engine: StorageEngine) -> Seeded:
    """Both tenants have a row of everything."""
    seeded = fill(database_url, engine)
    with closing(ingest_service(database_url)) as service:
        unknown = [
            record(telem("acme", "nobody"), b"{}"),
            record(f"tds_new/devices/{GATEWAY_MAC}/telemetry", b"not json"),
        ]
        service.ingest(sqs.messages(event(*unknown)))
    return seeded


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


@pytest.fixture
def erasures(database: Database) -> Erasures:
    return Erasures(SqlErasureRequests(database))


def rows(url: str) -> dict[str, list[str]]:
    """Every row of every relation that can be read, as text."""
    found = {}
    with psycopg.connect(url) as connection:
        for relation in relations(connection):
            query = sql.SQL("SELECT to_jsonb(r)::text FROM {} r").format(
                sql.Identifier(relation.schema, relation.table)
            )
            with suppress(psycopg.errors.DataCorrupted), connection.transaction():
                found[relation.name] = [text for (text,) in connection.execute(query)]
    return found


def traces(url: str, seeded: Seeded, tenant: str) -> list[str]:
    """Rows that hold a name or an id of a tenant, or a key of one of its points."""
    things = {thing for thing in seeded.devices if thing.startswith(f"{tenant}_")}
    marks = [str(seeded.tenants[tenant]), tenant, *(str(seeded.devices[t]) for t in things)]
    marks += [str(point) for (thing, _), point in seeded.points.items() if thing in things]
    keys = {sk for (thing, _), sk in seeded.sks.items() if thing in things}
    return [
        f"{name}: {text}"
        for name, of_table in rows(url).items()
        if name not in KEPT
        for text in of_table
        if any(mark in text for mark in marks) or json.loads(text).get("point_sk") in keys
    ]


def others(url: str, tenant: str) -> dict[str, list[str]]:
    """What there is of one tenant in its own sight and in tables that name it."""
    return {
        name: sorted(text for text in of_table if tenant in text)
        for name, of_table in rows(url).items()
        if name not in KEPT and "chunk" not in name and "_internal" not in name
    }


def erased(database: Database, places: FakePlaces, slug: str = "acme") -> Erasure:
    """Ask for an erasure and see it through; the proof."""
    erasures = Erasures(SqlErasureRequests(database))
    erasures.begin(slug, slug)
    assert run_to_the_end(SqlErasureStore(database), places).finished == [slug]
    return erasures.get(slug)


def test_nothing_of_the_tenant_is_left_and_everything_of_the_others(
    database_url: str, filled: Seeded, database: Database
) -> None:
    places = outside_of(database_url)
    globex = str(filled.tenants["globex"])
    before = others(database_url, globex)
    with psycopg.connect(database_url) as connection:
        readings = connection.execute(
            "SELECT count(*) FROM raw_readings r JOIN dim_point d USING (point_sk)"
            " WHERE d.tenant_id = %s", (filled.tenants["acme"],)
        ).fetchone()  # fmt: skip
    assert traces(database_url, filled, "acme")

    proof = erased(database, places)

    assert traces(database_url, filled, "acme") == []
    assert others(database_url, globex) == before
    assert not any(name.startswith("acme_") for name in places.enabled | places.things)
    assert not any("/acme/" in topic for topic in places.kept_topics)
    assert len(places.users) == 1
    assert places.files == {filled.tenants["acme"]: 0, filled.tenants["globex"]: 2_500}
    assert readings is not None
    assert readings[0] == proof.counts["readings"] > 0
    assert proof.counts["rollups"] > 0
    assert proof.counts["messages"] > 0
    assert proof.counts["dead_letters"] + proof.counts["configuration.ingest_errors"] >= 4
    assert proof.counts["configuration.devices"] == 9
    assert proof.counts["configuration.tenants"] == 1
    assert proof.counts["certificates"] == proof.counts["things"] == 6
    assert proof.counts["users"] == 1
    assert proof.counts["objects"] == 2_500
    assert proof.step is Step.DONE


def test_the_proof_holds_numbers_and_no_personal_data(
    database_url: str, filled: Seeded, database: Database
) -> None:
    places = outside_of(database_url)
    proof = erased(database, places)
    assert all(isinstance(number, int) for number in proof.counts.values())
    kept = {name: of_table for name, of_table in rows(database_url).items() if name in KEPT}
    assert "ana@" not in str(kept)
    assert "Acme" not in str(kept)
    assert GATEWAY_MAC not in str(kept)
    grave = places.graves[filled.tenants["acme"]]
    assert (grave.slug, grave.erased_at, grave.counts) == ("acme", proof.finished_at, proof.counts)


@pytest.mark.parametrize("commits", [False, True])
def test_a_job_that_is_killed_anywhere_goes_on_and_counts_the_same(
    database_url: str, filled: Seeded, database: Database, commits: bool
) -> None:
    """Killed ever later: before its n-th transaction, or after it was committed."""
    places = outside_of(database_url)
    Erasures(SqlErasureRequests(database)).begin("acme", "acme")
    clock = Clock()
    kills = 0
    for lives in range(1, 200):
        with psycopg.connect(database_url) as connection:  # the lease of who was killed is over
            connection.execute("UPDATE erasures SET claimed_until = NULL")
        store = MortalStore(database, 7 * lives % 29, commits=commits)
        try:
            report = TenantErasure(store, places.places(), now=clock).run()
        except Killed:
            kills += 1
            clock.ahead += timedelta(minutes=1)
            continue
        if report.finished or not report.going_on:
            break
        clock.ahead += timedelta(minutes=20)
    assert kills > 5
    proof = Erasures(SqlErasureRequests(database)).get("acme")
    assert proof.step is Step.DONE
    assert traces(database_url, filled, "acme") == []
    assert proof.counts["configuration.devices"] == 9
    assert proof.counts["configuration.users"] == proof.counts["users"] == 1
    assert proof.counts["readings"] == 5


def test_what_is_written_by_whoever_was_still_inside_goes_with_the_second_sweep(
    database_url: str, filled: Seeded, database: Database
) -> None:
    places = outside_of(database_url)
    clock = Clock()
    Erasures(SqlErasureRequests(database)).begin("acme", "acme")
    job = TenantErasure(SqlErasureStore(database), places.places(), now=clock)
    job.run()
    assert Erasures(SqlErasureRequests(database)).get("acme").step is Step.SETTLING
    point = filled.sks["acme_chiller-1", "temp"]
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO m_raw (ts, point_sk, v_num) VALUES (now(), %s, 1)", (point,)
        )
    assert traces(database_url, filled, "acme")
    job.run()
    assert Erasures(SqlErasureRequests(database)).get("acme").step is Step.SETTLING
    clock.ahead = SETTLE
    assert job.run().finished == ["acme"]
    assert traces(database_url, filled, "acme") == []
    assert Erasures(SqlErasureRequests(database)).get("acme").counts["second_sweep.readings"] == 1


def test_what_its_devices_still_send_is_kept_nowhere(
    database_url: str, filled: Seeded, database: Database
) -> None:
    erased(database, outside_of(database_url))
    now = datetime.now(UTC).isoformat()
    with closing(ingest_service(database_url)) as service:
        taken = service.ingest(
            sqs.messages(
                event(
                    record(telem("acme", "chiller-1"), fleet.normalised(now, temp=1.0)),
                    record(f"tds_new/devices/{GATEWAY_MAC.upper()}/telemetry", b"not json"),
                    record(telem("globex", "nobody"), b"{}"),
                )
            )
        )
    assert taken.failed == []
    assert traces(database_url, filled, "acme") == []
    with psycopg.connect(database_url) as connection:
        topics = connection.execute(
            "SELECT topic FROM ingest_errors WHERE received_at > now() - interval '1 minute'"
            " AND topic LIKE '%nobody%'"
        ).fetchall()
    assert topics == [(telem("globex", "nobody"),)]


def test_a_tenant_being_erased_takes_no_readings(
    database_url: str, filled: Seeded, database: Database
) -> None:
    Erasures(SqlErasureRequests(database)).begin("acme", "acme")
    now = datetime.now(UTC).isoformat()
    with closing(ingest_service(database_url)) as service:
        taken = service.ingest(
            sqs.messages(
                event(
                    *(
                        record(telem(tenant, "chiller-2"), fleet.normalised(now, temp=1.0))
                        for tenant in ("acme", "globex")
                    )
                )
            )
        )
    assert (taken.stored, taken.failed) == (1, [])


def test_its_slug_is_never_used_again_and_its_erasure_is_asked_for_once(
    database_url: str, filled: Seeded, database: Database, erasures: Erasures
) -> None:
    first = erasures.begin("acme", "acme")
    assert erasures.begin("acme", "acme") == first
    run_to_the_end(SqlErasureStore(database), outside_of(database_url))
    assert erasures.begin("acme", "acme").step is Step.DONE
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.UniqueViolation),
    ):
        connection.execute("INSERT INTO tenants (slug, name) VALUES ('acme', 'Acme')")


def test_an_erasure_is_confirmed_by_the_slug_and_of_a_tenant_that_is_there(
    filled: Seeded, erasures: Erasures
) -> None:
    with pytest.raises(Conflict):
        erasures.begin("acme", "globex")
    with pytest.raises(NotFound):
        erasures.begin("nobody", "nobody")
    with pytest.raises(NotFound):
        erasures.get("acme")


@pytest.mark.parametrize("place", ["ledger", "things", "users", "retained", "objects", "queues"])
def test_a_place_that_is_away_is_waited_for_and_named(
    database_url: str, filled: Seeded, database: Database, erasures: Erasures, place: str
) -> None:
    places = outside_of(database_url)
    places.away = {place}
    erasures.begin("acme", "acme")
    job = TenantErasure(SqlErasureStore(database), places.places())
    assert job.run().going_on == ["acme"]
    found = erasures.get("acme")
    assert found.trouble is not None
    assert f"{place} is away" in found.trouble
    places.away = set()
    assert run_to_the_end(SqlErasureStore(database), places).finished == ["acme"]
    assert erasures.get("acme").trouble is None


def test_queues_are_waited_for_but_not_for_ever(
    database_url: str, filled: Seeded, database: Database, erasures: Erasures
) -> None:
    places = outside_of(database_url)
    places.queued = {"ingest": 3}
    clock = Clock()
    erasures.begin("acme", "acme")
    job = TenantErasure(SqlErasureStore(database), places.places(), now=clock)
    job.run()
    assert erasures.get("acme").step is Step.QUEUES
    clock.ahead = QUEUES_PATIENCE
    assert job.run().finished == ["acme"]


def test_two_runs_at_once_never_work_on_the_same_tenant(
    database_url: str, filled: Seeded, database: Database, erasures: Erasures
) -> None:
    erasures.begin("acme", "acme")
    with closing(Database(database_url)) as other:
        mine = SqlErasureStore(database).claim(60)
        assert mine is not None
        assert SqlErasureStore(other).claim(60) is None
        SqlErasureStore(database).release(mine.id, None)
        assert SqlErasureStore(other).claim(60) is not None


def test_a_restored_database_is_told_whom_to_erase_again(
    database_url: str, filled: Seeded, database: Database, erasures: Erasures
) -> None:
    """The database is as one that was restored from before the erasure of acme."""
    places = outside_of(database_url)
    acme = filled.tenants["acme"]
    places.graves[acme] = Tombstone(acme, "acme", datetime.now(UTC) - timedelta(days=3))
    job = TenantErasure(SqlErasureStore(database), places.places())
    assert job.apply_tombstones() == ["acme"]
    assert job.apply_tombstones() == []
    assert run_to_the_end(SqlErasureStore(database), places).finished == ["acme"]
    assert traces(database_url, filled, "acme") == []
    assert erasures.get("acme").is_again


@pytest.mark.engine("plain")
def test_rows_of_a_day_that_is_being_closed_go_with_their_copies(
    database_url: str, filled: Seeded, database: Database
) -> None:
    day = datetime.now(UTC).date() - timedelta(days=4)
    noon = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=12)
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM closed_days WHERE day = %s", (day,))
        connection.execute(f"DROP TABLE IF EXISTS m_segment_{day:%Y%m%d}".encode())
        connection.execute(f"DROP TRIGGER IF EXISTS closed_day ON m_raw_{day:%Y%m%d}".encode())
        for tenant in ("acme", "globex"):
            connection.execute(
                "INSERT INTO m_raw (ts, point_sk, v_num) VALUES (%s, %s, 1)",
                (noon, filled.sks[f"{tenant}_chiller-2", "temp"]),
            )
        connection.execute("SET ROLE traksense_owner")
        connection.execute("SELECT begin_closing(%s)", (day,))
        connection.execute("SELECT build_slice(%s, 1000)", (day,))
    erased(database, outside_of(database_url))
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT finish_closing(%s)", (day,))
        connection.commit()
        connection.execute("SELECT finish_closing(%s)", (day,))
        counted = connection.execute(
            "SELECT state, readings, segments FROM closed_days WHERE day = %s", (day,)
        ).fetchone()
        left = connection.execute(
            "SELECT point_sk FROM raw_readings WHERE stored >= %s AND stored < %s",
            (noon - timedelta(hours=12), noon + timedelta(hours=12)),
        ).fetchall()
    assert counted == ("closed", 1, 1)
    assert left == [(filled.sks["globex_chiller-2", "temp"],)]


def test_every_table_that_names_a_tenant_is_emptied_and_in_a_working_order(
    database_url: str, filled: Seeded
) -> None:
    with psycopg.connect(database_url) as connection:
        order = [str(table) for (table,) in connection.execute("SELECT tenants_tables()::text")]
        named: list[Any] = connection.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE a.attname = 'tenant_id' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND c.relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert set(order) == {name for (name,) in named} - {"tenant_tombstones", "erasures"}
    assert order.index("points") < order.index("devices") < order.index("sites")
