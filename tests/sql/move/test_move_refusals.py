"""What a move notices, and what it will not do."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.conftest import Servers
from tests.support import database as db
from tests.support import move as mv
from tests.support import routes
from tests.support.move import Route


def refusal(
    capsys: pytest.CaptureFixture[str],
    route: Route,
    *options: str,
) -> str:
    code, said = mv.move(route, *options)
    assert code == 1, said.lines
    return capsys.readouterr().err


def test_a_reading_that_is_otherwise_on_the_target_is_found_and_can_be_copied_anew(
    route: Route,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mv.fill(route.source)
    assert mv.move(route, "--copy-only")[0] == 0
    ((day,),) = mv.run(
        route.target,
        "UPDATE public.m_raw m SET v_num = m.v_num + 1 FROM (SELECT r.point_sk, r.ts FROM"
        " public.m_raw r WHERE r.v_num BETWEEN 1 AND 100 ORDER BY r.ts DESC LIMIT 1) one"
        " WHERE m.point_sk = one.point_sk AND m.ts = one.ts"
        " RETURNING (m.ts AT TIME ZONE 'UTC')::date",
    )
    said = refusal(capsys, route)
    assert f"{day:%Y-%m-%d}" in said
    assert "--recopy" in said
    assert not mv.is_read_only(route.source)
    code, lines = mv.move(route, "--recopy", f"{day:%Y-%m-%d}")
    assert code == 0, lines.lines
    assert mv.readings(route.target) == mv.readings(route.source)


def test_a_reading_that_only_the_target_has_is_found(
    plain: Route,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mv.fill(plain.source)
    assert mv.move(plain, "--copy-only")[0] == 0
    mv.run(
        plain.target,
        "INSERT INTO public.m_raw (ts, v_num, point_sk) VALUES (current_date, 77, 1)",
    )
    assert "the target has rows that the source has not" in refusal(capsys, plain)


def test_a_reading_that_the_target_lost_is_brought_again(plain: Route) -> None:
    mv.fill(plain.source)
    assert mv.move(plain, "--copy-only")[0] == 0
    mv.run(plain.target, "DELETE FROM public.m_raw WHERE ts < current_date + interval '1 hour'")
    code, said = mv.move(plain)
    assert code == 0, said.lines
    assert mv.readings(plain.target) == mv.readings(plain.source)


def test_a_bucket_that_is_otherwise_on_the_target_keeps_the_source_closed(
    plain: Route,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mv.fill(plain.source)
    assert mv.move(plain, "--copy-only")[0] == 0
    mv.run(plain.target, "UPDATE public.r_5m SET s = s + 1 WHERE bucket >= current_date - 1")
    said = refusal(capsys, plain)
    assert "rollups 5m" in said
    assert mv.is_read_only(plain.source)
    assert mv.move(plain, "--reopen")[0] == 0
    assert not mv.is_read_only(plain.source)


def test_configuration_that_changes_meanwhile_is_right_at_the_end(plain: Route) -> None:
    assert mv.move(plain, "--copy-only")[0] == 0
    mv.run(
        plain.source,
        "DELETE FROM public.devices WHERE name = 'parsec-1'",
        "UPDATE public.devices SET name = 'renamed' WHERE name = 'je02-1'",
        "INSERT INTO public.devices (tenant_id, site_id, template_id, name) SELECT tenant_id,"
        " site_id, template_id, 'je02-1' FROM public.devices WHERE name = 'renamed'",
        "UPDATE public.tenants SET name = 'Acme Frio', raw_retention_days = 7 WHERE slug = 'acme'",
    )
    code, said = mv.move(plain)
    assert code == 0, said.lines
    assert mv.tables(plain.target) == mv.tables(plain.source)


def test_names_that_were_exchanged_meanwhile_are_right_at_the_end(plain: Route) -> None:
    assert mv.move(plain, "--copy-only")[0] == 0
    mv.run(
        plain.source,
        "UPDATE public.devices SET name = 'x' WHERE name = 'chiller-1'",
        "UPDATE public.devices SET name = 'chiller-1' WHERE name = 'chiller-2'",
        "UPDATE public.devices SET name = 'chiller-2' WHERE name = 'x'",
    )
    code, said = mv.move(plain)
    assert code == 0, said.lines
    assert mv.tables(plain.target) == mv.tables(plain.source)


def test_a_table_that_nobody_thought_of_comes_along(plain: Route) -> None:
    for url in (plain.source, plain.target):
        mv.run(
            url,
            "CREATE TABLE public.z_rules (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            " device_id uuid REFERENCES public.devices, parent integer REFERENCES public.z_rules,"
            " twice integer GENERATED ALWAYS AS (id * 2) STORED, data bytea)",
        )
    rows = "SELECT t::text FROM public.z_rules t ORDER BY id"
    mv.run(
        plain.source,
        "INSERT INTO public.z_rules (device_id, data) SELECT id, '\\x00ff' FROM public.devices",
        "UPDATE public.z_rules SET parent = 13 WHERE id < 5",
    )
    code, said = mv.move(plain)
    assert code == 0, said.lines
    assert mv.run(plain.target, rows) == mv.run(plain.source, rows)
    assert len(mv.run(plain.target, rows)) == 13


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE public.z (a integer)", "no primary key"),
        ("CREATE TABLE public.z (a integer PRIMARY KEY)", "is on the source alone"),
        ("CREATE MATERIALIZED VIEW public.z AS SELECT 1", "is a materialised view"),
        ("ALTER TABLE public.sites ADD COLUMN z integer", "has other columns on the target"),
    ],
)
def test_what_cannot_be_copied_stops_the_move_before_it_begins(
    plain: Route,
    statement: str,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mv.run(plain.source, statement)
    assert reason in refusal(capsys, plain)
    assert not mv.is_read_only(plain.source)
    assert mv.run(plain.target, "SELECT count(*) FROM public.tenants") == [(0,)]


def test_the_source_is_no_target(
    plain: Route,
    capsys: pytest.CaptureFixture[str],
) -> None:
    itself = Route(plain.source, plain.source, "plain", "plain", plain.seeded)
    assert "the target is the source" in refusal(capsys, itself)


def test_a_target_that_is_in_use_is_refused(
    plain: Route,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mv.run(plain.target, "INSERT INTO public.tenants (slug, name) VALUES ('other', 'Other')")
    assert "the target has tenants already" in refusal(capsys, plain)


def test_a_target_of_something_else_is_refused_as_it_is(
    plain: Route, servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    with mv.empty_database(servers.url("plain")) as other:
        with psycopg.connect(other) as connection:
            connection.execute("CREATE TABLE public.invoices (id integer PRIMARY KEY)")
        said = refusal(capsys, Route(plain.source, other, "plain", "plain", plain.seeded))
        assert "such as public.invoices" in said
        assert mv.has_no_schema(other)


def test_a_target_of_another_source_is_refused(
    plain: Route,
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert mv.move(plain, "--copy-only")[0] == 0
    with routes.made(servers, ("plain", "plain"), monkeypatch) as other:
        mixed = Route(other.source, plain.target, "plain", "plain", other.seeded)
        assert "filled from another source" in refusal(capsys, mixed)


def test_what_is_done_is_not_done_again_and_can_be_forgotten(
    plain: Route,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "no move" in refusal(capsys, plain, "--reopen")
    assert mv.move(plain, "--copy-only")[0] == 0
    assert "not done" in refusal(capsys, plain, "--finish")
    assert mv.move(plain)[0] == 0
    assert "everything was moved already" in refusal(capsys, plain)
    assert mv.move(plain, "--finish")[0] == 0
    assert mv.run(plain.target, "SELECT to_regclass('traksense_move.move')") == [(None,)]
    assert "the target has tenants already" in refusal(capsys, plain)


def test_the_source_does_not_go_on_once_the_target_is_in_use(
    plain: Route,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert mv.move(plain)[0] == 0
    mv.run(
        plain.target,
        "SELECT public.ensure_raw_partitions(current_date - 1, current_date + 2)",
        "INSERT INTO public.m_raw (ts, v_num, point_sk) VALUES (now() + interval '1 s', 1, 1)",
    )
    assert "it is in use" in refusal(capsys, plain, "--reopen")
    assert mv.is_read_only(plain.source)


def test_a_second_move_to_the_same_target_is_refused(
    plain: Route,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with psycopg.connect(plain.target) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('traksense.move', 0))")
        assert "another move to this target is at work" in refusal(capsys, plain)


def test_a_dry_run_changes_nothing(
    plain: Route,
    servers: Servers,
) -> None:
    mv.fill(plain.source)
    with mv.empty_database(servers.url("plain")) as empty:
        code, said = mv.move(
            Route(plain.source, empty, "plain", "plain", plain.seeded), "--dry-run"
        )
        assert code == 0, said.lines
        assert "to be migrated" in said
        assert mv.has_no_schema(empty)
    assert not mv.is_read_only(plain.source)


def test_an_empty_target_is_migrated_first(
    plain: Route,
    servers: Servers,
) -> None:
    with mv.empty_database(servers.url("plain")) as empty:
        code, said = mv.move(Route(plain.source, empty, "plain", "plain", plain.seeded))
        assert code == 0, said.lines
        assert mv.tables(empty) == mv.tables(plain.source)


def test_a_login_that_cannot_stop_the_writers_is_told_what_it_lacks(
    plain: Route,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    login = f"tt_mover_{plain.source.rsplit('/', 1)[1]}"
    with psycopg.connect(plain.source, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'm' IN ROLE traksense_owner".encode())
        try:
            parts = urlsplit(plain.source)
            url = urlunsplit(parts._replace(netloc=f"{login}:m@{parts.hostname}:{parts.port}"))
            monkeypatch.setenv("DATABASE_URL", url)
            lacking = Route(url, plain.target, "plain", "plain", plain.seeded)
            said = refusal(capsys, lacking)
            assert f"OWNER TO {login}" in said
            assert f"GRANT pg_read_all_stats TO {login}" in said
            assert "may not end the sessions of postgres" in said
        finally:
            monkeypatch.setenv("DATABASE_URL", plain.source)
            admin.execute(f"DROP ROLE {login}".encode())
    assert mv.run(plain.target, "SELECT count(*) FROM public.tenants") == [(0,)]


def test_an_address_that_leads_nowhere_is_named(
    plain: Route,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nowhere = db.with_database(plain.target, "tt_nowhere")
    away = Route(plain.source, nowhere, "plain", "plain", plain.seeded)
    assert "the target cannot be reached" in refusal(capsys, away)


def test_long_work_of_a_release_is_finished_before_a_move(
    plain: Route, capsys: pytest.CaptureFixture[str]
) -> None:
    mv.run(
        plain.source,
        "INSERT INTO public.release_jobs (number, name, slice_rows) VALUES (9002, 'fill', 100)",
    )
    said = refusal(capsys, plain)
    assert "the source has not finished job 9002_fill" in said
    assert "--jobs" in said
    assert not mv.is_read_only(plain.source)
