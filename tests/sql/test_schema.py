"""What a deployment does to a database, as an administrator who is no superuser."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support import database as db
from tests.support.passwords import KnownPasswords
from traksense.contracts.functions import FUNCTIONS
from traksense.db import logins, queries
from traksense.db import migrate as m
from traksense.db.connection import Database
from traksense.db.schema import Schema
from traksense.domain.errors import DatabaseAway
from traksense.services.rotation import Login

WITH_LOG_IN = tuple(each for each in FUNCTIONS if each.database_roles)
CONNECTIONS = {each.name: 4 for each in WITH_LOG_IN}


@dataclass
class Server:
    """A database of its own on a server that an administrator keeps who is no superuser."""

    admin_url: str
    url: str
    """Without a log-in."""
    passwords: dict[str, str]
    """By secret."""

    def schema(self, **changes: Any) -> Schema:
        def read(secret: str) -> Login:
            username = "tt_admin" if secret == "administrator" else "unused"
            return Login(username, self.passwords[secret])

        slept: list[float] = []
        return Schema(
            self.url,
            "plain",
            "administrator",
            read,
            self.known,
            **{"sleep": slept.append} | changes,
        )

    def known(self, secret: str) -> KnownPasswords:
        """What a log-in's secret says, as ``current`` or ``current pending``."""
        return KnownPasswords(*self.passwords[secret].split())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.admin_url) as connection:
            return connection.execute(query.encode()).fetchall()

    def log_in(self, function: str) -> Database:
        return Database(
            logins.with_login(self.url, logins.login_name(function), self.passwords[function])
        )


@pytest.fixture
def server(admin_url: str) -> Iterator[Server]:
    """The administrator has what RDS gives its own: CREATEROLE, and the database."""
    name = f"tt_schema_{secrets.token_hex(4)}"
    # The roles are the server's, and other tests' too: who is no superuser must administer them.
    with psycopg.connect(admin_url, autocommit=True) as connection:
        is_16 = connection.info.server_version >= 160000
        connection.execute("DROP ROLE IF EXISTS tt_admin")
        connection.execute("CREATE ROLE tt_admin LOGIN CREATEROLE CREATEDB PASSWORD 'example'")
        for role in ("owner", "ingest", "app", "ops", "readonly"):
            how = "ADMIN TRUE, SET FALSE, INHERIT FALSE" if is_16 else "ADMIN OPTION"
            connection.execute(f"GRANT traksense_{role} TO tt_admin WITH {how}".encode())
        connection.execute(f"CREATE DATABASE {name} OWNER tt_admin".encode())
    full = db.with_database(admin_url, name)
    parts = urlsplit(full)
    passwords = {each.name: secrets.token_urlsafe(16) for each in WITH_LOG_IN}
    made = Server(
        admin_url,
        parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
        passwords | {"administrator": "example"},
    )
    yield made
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        for each in WITH_LOG_IN:
            connection.execute(f"DROP ROLE IF EXISTS {logins.login_name(each.name)}".encode())
        connection.execute("DROP ROLE tt_admin")


SECRETS = {each.name: each.name for each in WITH_LOG_IN}

pytestmark = [pytest.mark.engine("plain"), pytest.mark.xdist_group("traksense_logins")]


def bring(server: Server, connections: Mapping[str, int] = CONNECTIONS, left_s: float = 600) -> int:
    return server.schema().bring(connections, SECRETS, lambda: left_s)


def test_an_empty_database_is_made_ready_for_every_function(server: Server) -> None:
    assert bring(server) == len(m.discover("plain"))
    for function in WITH_LOG_IN:
        database = server.log_in(function.name)
        for role in function.database_roles:
            with database.transaction(role) as cursor:  # type: ignore[arg-type]
                assert cursor.execute("SELECT current_user::text").fetchone() == (role,)
        database.close()


def test_a_log_in_can_take_no_role_but_its_manifests_and_has_no_rights_of_its_own(
    server: Server,
) -> None:
    bring(server)
    database = server.log_in("ingest")
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        database.transaction("traksense_owner"),
    ):
        pytest.fail("it took a role that is not its own")
    database.close()
    rows = server.rows(
        "SELECT bool_or(rolinherit OR rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls),"
        " min(rolconnlimit), max(rolconnlimit) FROM pg_roles WHERE rolname ~ '^traksense_login_'"
    )
    assert rows == [(False, 4, 4)]


def test_a_second_deployment_changes_nothing_but_what_changed(server: Server) -> None:
    bring(server)
    server.passwords["ingest"] = "another-password"
    assert bring(server, CONNECTIONS | {"api": 9}) == 0
    limits = dict(
        server.rows(
            "SELECT rolname::text, rolconnlimit FROM pg_roles WHERE rolname ~ '^traksense_login_'"
        )
    )
    assert limits.pop("traksense_login_api") == 9
    assert set(limits.values()) == {4}
    database = server.log_in("ingest")
    with database.transaction("traksense_ingest") as cursor:
        cursor.execute("SELECT 1")
    database.close()


def opens(server: Server, password: str) -> bool:
    try:
        psycopg.connect(logins.with_login(server.url, "traksense_login_ingest", password)).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.parametrize("stands", ["one", "two"])
def test_a_deployment_in_the_middle_of_a_rotation_undoes_nothing(
    server: Server, stands: str
) -> None:
    server.passwords["ingest"] = stands
    bring(server)
    server.passwords["ingest"] = "one two"
    bring(server)
    assert opens(server, stands)


def test_a_log_in_that_somebody_changed_gets_the_newest_of_its_secrets_passwords(
    server: Server,
) -> None:
    server.passwords["ingest"] = "somebody-elses"
    bring(server)
    server.passwords["ingest"] = "one two"
    bring(server)
    assert opens(server, "two")


def test_a_log_in_without_a_free_connection_is_brought_up_to_date_all_the_same(
    server: Server,
) -> None:
    bring(server, CONNECTIONS | {"ingest": 1})
    server.passwords["ingest"] += " pending"
    url = logins.with_login(
        server.url, "traksense_login_ingest", server.passwords["ingest"].split()[0]
    )
    with psycopg.connect(url):
        bring(server, CONNECTIONS | {"ingest": 1})
    assert opens(server, "pending"), "nobody could tell which of the two it had"


def test_a_role_that_a_manifest_no_longer_names_is_taken_back(server: Server) -> None:
    bring(server)
    url = logins.with_login(server.url, "tt_admin", "example")
    less = tuple(
        logins.Login(each.name, each.roles - {"traksense_ops"}, each.connections, each.passwords)
        for each in logins.logins_of(CONNECTIONS, {name: server.known(name) for name in SECRETS})
    )
    logins.ensure(url, less)
    database = server.log_in("api")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), database.transaction("traksense_ops"):
        pytest.fail("it took a role that was taken back")
    database.close()


def test_a_newer_schema_is_left_alone_when_a_release_is_rolled_back(server: Server) -> None:
    bring(server)
    with psycopg.connect(
        logins.with_login(server.url, "tt_admin", "example"), autocommit=True
    ) as connection:
        connection.execute("SET ROLE traksense_owner")
        connection.execute(
            "INSERT INTO public.schema_migrations (version, name, checksum, engine, duration_ms)"
            " VALUES (9999, 'newer', 'x', 'plain', 1)"
        )
    assert bring(server) == 0


def test_a_database_that_wakes_up_is_waited_for(server: Server) -> None:
    naps: list[float] = []

    def read(secret: str) -> Login:
        if len(naps) < 3:
            raise DatabaseAway("it is starting")
        return Login("tt_admin", "example")

    schema = Schema(server.url, "plain", "administrator", read, server.known, naps.append)
    with pytest.raises(logins.LoginError, match="ingest has no secret"):
        schema.bring(CONNECTIONS, {}, lambda: 600)
    assert naps == [10, 10, 10]


def test_a_database_that_stays_away_is_told_while_there_is_time_to(server: Server) -> None:
    left = iter([600.0, 300.0, 40.0])

    def read(secret: str) -> Login:
        raise DatabaseAway("it is starting")

    naps: list[float] = []
    with pytest.raises(DatabaseAway, match="it is starting"):
        Schema(server.url, "plain", "administrator", read, server.known, naps.append).bring(
            CONNECTIONS, SECRETS, lambda: next(left)
        )
    assert len(naps) == 2


def test_a_function_whose_connections_nobody_says_is_named(server: Server) -> None:
    with pytest.raises(logins.LoginError, match="how many connections ingest may have"):
        bring(server, {})


def test_a_login_that_shows_a_token_is_a_member_of_what_rds_asks_for() -> None:
    found = logins.logins_of(CONNECTIONS)
    assert all(logins.BY_IAM in each.roles for each in found)
    assert all(each.passwords is None for each in found)
    secret = KnownPasswords("hunter2")
    with_passwords = logins.logins_of(CONNECTIONS, dict.fromkeys(CONNECTIONS, secret))
    assert not any(logins.BY_IAM in each.roles for each in with_passwords)
    assert "hunter2" not in json.dumps([repr(each) for each in with_passwords])


def test_a_migration_that_takes_longer_than_a_deployment_has_is_undone_and_says_so(
    server: Server, tmp_path: Path
) -> None:
    for folder in ("migrations", "engine/plain"):
        (tmp_path / folder).mkdir(parents=True)
        for path in (queries.sql_directory() / folder).glob("*.sql"):
            (tmp_path / folder / path.name).write_text(path.read_text())
    bring(server)
    slow = "CREATE TABLE public.slow (id int); SELECT pg_sleep(30);"
    (tmp_path / "migrations" / "9001_slow.sql").write_text(slow)
    url = logins.with_login(server.url, "tt_admin", "example")
    with pytest.raises(m.MigrationError, match="9001_slow takes longer than a deployment has"):
        m.migrate(url, engine="plain", directory=tmp_path, time_left_s=lambda: 0.3)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('public.slow')").fetchone() == (None,)
