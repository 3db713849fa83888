"""What the database refuses about templates, whoever writes, and two that write at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors as pg_errors

from traksense.db.connection import Database
from traksense.db.template_moves import SqlMoveStore
from traksense.db.templates import SqlTemplateStore
from traksense.domain.templates import DeviceTemplate, PointTemplate
from traksense.services.scope import Scope
from traksense.services.template_moves import TemplateMoves
from traksense.services.templates import Templates

ALL = Scope.all_tenants()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


@pytest.fixture
def templates(database: Database) -> Templates:
    return Templates(SqlTemplateStore(database), ())


def said(*names: str, code: str = "fridge") -> DeviceTemplate:
    points = tuple(PointTemplate(name, "num", unit="°C") for name in names)
    return DeviceTemplate(code=code, name="Fridge", points=points)


def ops(url: str) -> psycopg.Connection[Any]:
    """A connection of the role that writes templates."""
    connection = psycopg.connect(url)
    connection.execute("SET ROLE traksense_ops")
    connection.commit()
    return connection


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE public.device_templates SET name = 'Other'",
        "UPDATE public.device_templates SET published_at = NULL",
        "UPDATE public.device_templates SET dashboard = '{}'",
        "UPDATE public.device_templates SET superseded_by = id",
        "UPDATE public.device_templates SET version = 7",
        "DELETE FROM public.device_templates",
        "UPDATE public.point_templates SET limits = '{}'",
        "DELETE FROM public.point_templates",
        "INSERT INTO public.point_templates (device_template_id, position, name, type)"
        " SELECT id, 9, 'more', 'num' FROM public.device_templates",
    ],
)
def test_what_is_published_is_changed_by_nobody(
    database_url: str, templates: Templates, statement: str
) -> None:
    templates.create(ALL, said("temp"), publish=True)
    with ops(database_url) as connection, pytest.raises(pg_errors.RestrictViolation):
        connection.execute(statement)


def test_a_successor_is_said_once(database_url: str, templates: Templates) -> None:
    templates.create(ALL, said("temp"), publish=True)
    templates.create_version(ALL, said("temp", "more"), 1, publish=True)
    with ops(database_url) as connection, pytest.raises(pg_errors.RestrictViolation):
        connection.execute("UPDATE public.device_templates SET superseded_by = NULL")


def test_the_owner_takes_published_templates_along_with_their_tenant(
    database_url: str, templates: Templates
) -> None:
    templates.create(ALL, said("temp"), publish=True)
    with psycopg.connect(database_url) as connection:
        connection.execute("SET ROLE traksense_owner")
        assert connection.execute("DELETE FROM public.point_templates").rowcount == 1
        assert connection.execute("DELETE FROM public.device_templates").rowcount == 1


def test_no_device_is_made_of_a_draft(database_url: str, templates: Templates) -> None:
    draft = templates.create(ALL, said("temp"), publish=False)
    tenant, site = place(database_url)
    with ops(database_url) as connection, pytest.raises(pg_errors.CheckViolation):
        connection.execute(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
            " VALUES (%s, %s, %s, 'box')",
            (tenant, site, draft.id),
        )


def place(url: str) -> tuple[UUID, UUID]:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "WITH t AS (INSERT INTO public.tenants (slug, name) VALUES ('acme', 'Acme')"
            " RETURNING id) INSERT INTO public.sites (tenant_id, slug, name)"
            " SELECT id, 'plant', 'Plant' FROM t RETURNING tenant_id, id"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_a_point_waits_for_a_publication_and_is_refused(
    database_url: str, templates: Templates
) -> None:
    draft = templates.create(ALL, said("temp"), publish=False)
    insert = (
        "INSERT INTO public.point_templates (device_template_id, position, name, type)"
        " VALUES (%s, 1, 'late', 'num')"
    )
    refused: list[BaseException] = []

    def add() -> None:
        with ops(database_url) as second:
            try:
                second.execute(insert, (draft.id,))
            except pg_errors.RestrictViolation as error:
                refused.append(error)
                second.rollback()

    with ops(database_url) as first:
        first.execute("UPDATE public.device_templates SET published_at = now()")
        thread = threading.Thread(target=add)
        thread.start()
        until_somebody_waits(database_url)
        first.commit()
        thread.join(20)
    assert len(refused) == 1
    found = templates.get(ALL, "fridge", 1, sees_drafts=True)
    assert [point.name for point in found.template.points] == ["temp"]


def test_the_second_of_two_next_versions_waits_and_is_told_so(
    database_url: str, templates: Templates
) -> None:
    templates.create(ALL, said("temp"), publish=True)
    made: list[int | None] = []

    def second() -> None:
        database = Database(database_url)
        made.append(SqlTemplateStore(database).add_version(None, said("b"), None, publish=True))
        database.close()

    with ops(database_url) as first:
        first.execute(
            "INSERT INTO public.device_templates (code, version, name) VALUES ('fridge', 2, 'a')"
        )
        thread = threading.Thread(target=second)
        thread.start()
        until_somebody_waits(database_url)
        first.commit()
        thread.join(20)
    assert made == [None]


def test_a_code_is_not_taken_on_both_sides_at_once(database_url: str) -> None:
    tenant, _ = place(database_url)
    refused: list[str | None] = []

    def second() -> None:
        database = Database(database_url)
        made = SqlTemplateStore(database).add(tenant, said("temp"), publish=True)
        refused.append(None if made is None else "made")
        database.close()

    with ops(database_url) as first:
        first.execute(
            "INSERT INTO public.device_templates (code, version, name) VALUES ('fridge', 1, 'a')"
        )
        thread = threading.Thread(target=second)
        thread.start()
        until_somebody_waits(database_url)
        first.commit()
        thread.join(20)
    assert refused == [None]


def until_somebody_waits(url: str) -> None:
    """Until another session of this database waits for a lock."""
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(1000):
            row = connection.execute(
                "SELECT pg_sleep(0.01), count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone()
            if row is not None and row[1]:
                return
    raise AssertionError("nobody waits")


def test_a_move_to_a_later_version_waits_for_one_to_an_earlier_and_finishes_it(
    database_url: str, database: Database, templates: Templates
) -> None:
    templates.create(ALL, said("temp"), publish=True)
    tenant, site = place(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
            " SELECT %s, %s, id, 'box-' || n FROM public.device_templates,"
            " generate_series(1, 20) n",
            (tenant, site),
        )
        connection.execute(
            "INSERT INTO public.points (tenant_id, device_id, point_template_id, name, type, unit)"
            " SELECT d.tenant_id, d.id, p.id, p.name, p.type, p.unit FROM public.devices d"
            " JOIN public.point_templates p ON p.device_template_id = d.template_id"
        )
    templates.create_version(ALL, said("temp", "second"), 1, publish=True)
    templates.create_version(ALL, said("temp", "second", "third"), 2, publish=True)
    earlier = templates.get(ALL, "fridge", 2, sees_drafts=True)
    store = SqlMoveStore(database)
    moved: list[int] = []

    def later() -> None:
        own = Database(database_url)
        moves = TemplateMoves(Templates(SqlTemplateStore(own), ()), SqlMoveStore(own))
        moved.append(moves.move(ALL, "fridge", 3, None, contract_added=True, dry_run=False).devices)
        own.close()

    with psycopg.connect(database_url) as holder:
        holder.execute("SELECT FROM public.devices WHERE name = 'box-1' FOR UPDATE")
        first = threading.Thread(
            target=lambda: (
                store.move(ALL, earlier, None, contract_added=True),
                database.close(),
            )
        )
        first.start()
        until_somebody_waits(database_url)
        second = threading.Thread(target=later)
        second.start()
        until_somebody_waits(database_url)
    first.join(20)
    second.join(20)
    assert moved == [20]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT dt.version, array_agg(p.name ORDER BY p.name), bool_and(p.is_contracted),"
            " bool_and(pt.device_template_id = d.template_id)"
            " FROM public.devices d JOIN public.device_templates dt ON dt.id = d.template_id"
            " JOIN public.points p ON p.device_id = d.id"
            " JOIN public.point_templates pt ON pt.id = p.point_template_id"
            " GROUP BY d.id, dt.version"
        ).fetchall()
    assert rows == [(3, ["second", "temp", "third"], True, True)] * 20
