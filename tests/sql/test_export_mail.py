"""What e-mails of exports are made from, as each role asks for it, in the tenant's sight alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import psycopg
import pytest

from tests.support import fleet
from tests.support.fleet import Seeded
from traksense.db.connection import Database
from traksense.db.export_mail import SqlExportMailStore
from traksense.db.export_upkeep import SqlUpkeepStore
from traksense.db.exports import SqlExportStore
from traksense.domain.exports import Run, Status
from traksense.services.export_mail import digest_of
from traksense.services.export_upkeep import UNMAILED
from traksense.services.scope import Scope

Role = Literal["traksense_app", "traksense_owner"]


@pytest.fixture
def seeded(database_url: str) -> Seeded:
    return fleet.seed(database_url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as made:
        yield made


def finished(url: str, seeded: Seeded, tenant: str) -> Run:
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO public.users (id, tenant_id, email, name, role)"
            " VALUES (gen_random_uuid(), %s, %s, 'Ana Souza', 'viewer')",
            (seeded.tenants[tenant], f"ana@{tenant}.example"),
        )
        export_id: UUID = fleet.add_export(connection, seeded, tenant)
    return Run(seeded.tenants[tenant], export_id, 1)


@pytest.mark.parametrize("role", ["traksense_app", "traksense_owner"])
def test_an_end_is_told_once_whoever_asks(
    database_url: str, seeded: Seeded, database: Database, role: Role
) -> None:
    run = finished(database_url, seeded, "acme")
    store = SqlExportMailStore(database, role)
    found = store.unmailed(run, Status.COMPLETED)
    assert found is not None
    assert (found.email, found.name, found.tenant) == ("ana@acme.example", "Ana Souza", "acme")
    assert found.expires_at is not None
    assert found.wall_expires_at is not None
    shift = found.expires_at.astimezone(UTC).replace(tzinfo=None) - found.wall_expires_at
    assert shift == timedelta(hours=3)  # São Paulo has kept no summer time since 2019
    assert store.unmailed(run, Status.FAILED) is None
    store.note_mailed(run)
    assert store.unmailed(run, Status.COMPLETED) is None


@pytest.mark.parametrize("role", ["traksense_app", "traksense_owner"])
def test_a_refusal_is_an_end_as_well(
    database_url: str, seeded: Seeded, database: Database, role: Role
) -> None:
    run = finished(database_url, seeded, "acme")
    store, upkeep = SqlExportMailStore(database, role), SqlUpkeepStore(database)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE public.exports SET finished_at = now() - interval '5 minutes' WHERE id = %s",
            (run.export_id,),
        )
    told = [(run, Status.COMPLETED)]
    assert [each for each in upkeep.unmailed(UNMAILED, 9) if each[0] == run] == told
    store.note_refused(Run(seeded.tenants["globex"], run.export_id, 1))
    store.note_refused(Run(run.tenant_id, run.export_id, 2))
    assert store.unmailed(run, Status.COMPLETED) is not None
    store.note_refused(run)
    assert store.unmailed(run, Status.COMPLETED) is None
    assert run not in [each for each, _ in upkeep.unmailed(UNMAILED, 9)]
    store.note_mailed(run)  # whoever comes too late changes nothing
    found = SqlExportStore(database).get(Scope.of(run.tenant_id), run.export_id)
    assert found is not None
    assert found.notification == "refused"


def test_an_earlier_attempt_and_another_tenant_find_nothing(
    database_url: str, seeded: Seeded, database: Database
) -> None:
    run = finished(database_url, seeded, "acme")
    store = SqlExportMailStore(database)
    for other in (
        Run(run.tenant_id, run.export_id, 2),
        Run(seeded.tenants["globex"], run.export_id, 1),
    ):
        assert store.unmailed(other, Status.COMPLETED) is None
        store.note_mailed(other)
    assert store.unmailed(run, Status.COMPLETED) is not None


def test_a_link_leads_to_its_export_and_only_the_digest_is_kept(
    database_url: str, seeded: Seeded, database: Database
) -> None:
    run = finished(database_url, seeded, "acme")
    expires_at = datetime.now(UTC) + timedelta(hours=24)
    SqlExportMailStore(database).add_link(run, digest_of("a token"), expires_at)
    links = SqlExportStore(database)
    assert links.find_link(digest_of("a token")) == (run.tenant_id, run.export_id)
    assert links.find_link(digest_of("another")) is None
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT string_agg(l::text, ' ') FROM export_links l").fetchone()
    assert row is not None
    assert "a token" not in row[0]
    # Nobody makes a link to what is another's.
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        SqlExportMailStore(database).add_link(
            Run(seeded.tenants["globex"], run.export_id, 1), digest_of("x"), expires_at
        )
