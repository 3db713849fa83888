from __future__ import annotations

import dataclasses
import secrets as random
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from local import logins
from traksense.contracts import functions
from traksense.contracts.functions import Function
from traksense.db.connection import Database
from traksense.domain.errors import DatabaseAway

FUNCTIONS = tuple(each for each in functions.FUNCTIONS if each.database_roles)
"""Those that have a log-in."""


class FakeSecrets:
    """Random secrets in memory."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def secret(self, name: str) -> str:
        return self.known.setdefault(name, random.token_urlsafe(24))


class Server:
    """The log-ins of one test, whose names no other test on the server shares."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"demo_{random.token_hex(6)}_"
        self.secrets = FakeSecrets()

    def ensure(self, wanted: tuple[Function, ...] = functions.FUNCTIONS) -> dict[str, str]:
        return logins.ensure(self.url, self.secrets, functions=wanted, prefix=self.prefix)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query, {"prefix": self.prefix}).fetchall()

    def execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def memberships(self) -> dict[str, set[str]]:
        found = self.rows(
            "SELECT r.rolname::text, g.rolname::text FROM pg_roles r"
            " LEFT JOIN pg_auth_members m ON m.member = r.oid"
            " LEFT JOIN pg_roles g ON g.oid = m.roleid"
            " WHERE starts_with(r.rolname, %(prefix)s)"
        )
        members: dict[str, set[str]] = {}
        for login, role in found:
            members.setdefault(login.removeprefix(self.prefix), set()).update(
                [] if role is None else [role]
            )
        return members

    def stamps(self) -> list[tuple[Any, ...]]:
        """Row versions: any change, also one to the same values, makes another."""
        return self.rows(
            "SELECT rolname, xmin::text FROM pg_authid WHERE starts_with(rolname, %(prefix)s)"
            " UNION ALL SELECT r.rolname, m.xmin::text FROM pg_auth_members m"
            " JOIN pg_roles r ON r.oid = m.member WHERE starts_with(r.rolname, %(prefix)s)"
            " ORDER BY 1, 2"
        )


@pytest.fixture
def server(database_url: str) -> Iterator[Server]:
    made = Server(database_url)
    yield made
    for (name,) in made.rows("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %(prefix)s)"):
        made.execute("DROP ROLE {}", name)


MANIFEST = {function.name: set(function.database_roles) for function in FUNCTIONS}


def test_each_function_has_a_login_that_is_a_member_of_its_roles_alone(server: Server) -> None:
    urls = server.ensure()
    assert urls.keys() == MANIFEST.keys()
    assert server.memberships() == MANIFEST


def test_a_login_takes_its_roles_and_no_other(server: Server) -> None:
    urls = server.ensure()
    every_role = {role for function in FUNCTIONS for role in function.database_roles}
    for function in FUNCTIONS:
        database = Database(urls[function.name])
        try:
            for role in function.database_roles:
                with database.transaction(role) as cursor:  # type: ignore[arg-type]
                    assert cursor.execute("SELECT current_user").fetchone() == (role,)
            for role in every_role - set(function.database_roles):
                with (
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                    database.transaction(role),  # type: ignore[arg-type]
                ):
                    pass
        finally:
            database.close()


def test_a_login_that_takes_no_role_may_read_nothing(server: Server) -> None:
    with (
        psycopg.connect(server.ensure()["api"]) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT * FROM public.tenants")


def test_the_url_differs_from_the_administrators_only_in_who_logs_in(server: Server) -> None:
    url = urlsplit(server.ensure()["ingest"])
    admin = urlsplit(server.url)
    assert (url.scheme, url.hostname, url.port, url.path) == (
        admin.scheme, admin.hostname, admin.port, admin.path
    )  # fmt: skip
    assert url.username == f"{server.prefix}ingest"
    assert url.password == server.secrets.known["database_ingest"]


def test_passwords_are_kept_as_scram_verifiers_of_the_secrets(server: Server) -> None:
    server.ensure()
    for name, verifier in server.rows(
        "SELECT rolname::text, rolpassword FROM pg_authid WHERE starts_with(rolname, %(prefix)s)"
    ):
        secret = server.secrets.known[f"database_{name.removeprefix(server.prefix)}"]
        assert logins._accepts(verifier, secret)
        assert not logins._accepts(verifier, f"{secret}x")


def test_a_second_start_changes_nothing(server: Server) -> None:
    first = server.ensure()
    before = server.stamps()
    assert server.ensure() == first
    assert server.stamps() == before


def test_new_secrets_become_the_passwords(server: Server) -> None:
    server.ensure()
    server.secrets = FakeSecrets()
    server.ensure()
    verifiers = dict(
        server.rows(
            "SELECT rolname::text, rolpassword FROM pg_authid"
            " WHERE starts_with(rolname, %(prefix)s)"
        )
    )
    secret = server.secrets.known["database_api"]
    assert logins._accepts(verifiers[f"{server.prefix}api"], secret)


def test_a_membership_that_the_manifest_does_not_name_is_removed(server: Server) -> None:
    server.ensure()
    server.execute("GRANT {} TO {}", "traksense_owner", f"{server.prefix}api")
    server.ensure()
    assert server.memberships() == MANIFEST


def test_a_role_that_the_manifest_newly_names_is_granted(server: Server) -> None:
    less = tuple(dataclasses.replace(f, database_roles=f.database_roles[:1]) for f in FUNCTIONS)
    server.ensure(less)
    assert server.memberships() != MANIFEST
    server.ensure()
    assert server.memberships() == MANIFEST


def test_the_login_of_a_function_that_is_gone_is_dropped(server: Server) -> None:
    server.ensure()
    server.ensure(FUNCTIONS[1:])
    assert server.memberships().keys() == {function.name for function in FUNCTIONS[1:]}


@pytest.mark.parametrize(
    "attribute", ["SUPERUSER", "CREATEROLE", "CREATEDB", "BYPASSRLS", "INHERIT", "NOLOGIN",
                  "CONNECTION LIMIT 1000"],
)  # fmt: skip
def test_an_attribute_that_somebody_changed_is_set_back(server: Server, attribute: str) -> None:
    server.ensure()
    columns = (
        "SELECT rolcanlogin, rolinherit, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls,"
        " rolconnlimit FROM pg_roles WHERE starts_with(rolname, %(prefix)s) ORDER BY rolname"
    )
    before = server.rows(columns)
    server.execute(f"ALTER ROLE {{}} {attribute}", f"{server.prefix}ingest")
    assert server.rows(columns) != before
    server.ensure()
    assert server.rows(columns) == before


def test_the_number_of_connections_of_each_login_is_limited(server: Server) -> None:
    server.ensure()
    limits = server.rows("SELECT rolconnlimit FROM pg_roles WHERE starts_with(rolname, %(prefix)s)")
    assert all(0 < limit < 100 for (limit,) in limits)


@pytest.mark.parametrize(
    "verifier", [None, "", "md5d41d8cd98f00b204e9800998ecf8427e", "SCRAM-SHA-256$x",
                 "SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA", "SCRAM-SHA-256$0:c2FsdA==$AAAA:AAAA"],
)  # fmt: skip
def test_a_verifier_that_is_none_of_ours_accepts_nothing(verifier: str | None) -> None:
    assert not logins._accepts(verifier, "secret")


def test_a_server_that_is_away_is_said_as_that() -> None:
    with pytest.raises(DatabaseAway):
        logins.ensure("postgresql://postgres@127.0.0.1:1/postgres", FakeSecrets())
