"""Passwords are rotated on a real server while functions connect: nobody is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.support.login_role import LoginRole
from tests.support.secrets_manager import FakeSecretsManager
from traksense.aws.secret_versions import SecretVersions
from traksense.aws.secrets import DatabaseSecrets, SecretPasswords
from traksense.db.connection import Database
from traksense.db.login_passwords import SqlLoginPasswords
from traksense.domain.errors import DatabaseAway
from traksense.services.rotation import STEPS, Login, Rotation, RotationError

ARN = "arn:aws:secretsmanager:sa-east-1:123456789012:secret:traksense/ingest-a1b2c3"

pytestmark = pytest.mark.engine("plain")


class Server(LoginRole):
    """A server with one log-in that has a secret."""

    def __init__(self, admin_url: str) -> None:
        super().__init__(admin_url)
        self.manager = FakeSecretsManager(self.name, "first")
        self.rotation = Rotation(
            SecretVersions("sa-east-1", lambda region: self.manager),  # type: ignore[arg-type, return-value]
            SqlLoginPasswords(self.address),
        )

    def function(self) -> Database:
        """A container of a function, which knows nothing yet."""
        known = DatabaseSecrets("sa-east-1", lambda region: self.manager)  # type: ignore[arg-type, return-value]
        return Database(self.url, passwords=SecretPasswords(ARN, known))

    def rotate(self, *steps: str, between: Callable[[], None] = lambda: None) -> None:
        version = self.manager.begin_rotation()
        for step in steps or STEPS:
            self.rotation.run(step, ARN, version)  # type: ignore[arg-type]
            between()

    def verifier(self) -> str:
        with psycopg.connect(self.admin_url) as connection:
            row = connection.execute(
                "SELECT rolpassword FROM pg_authid WHERE rolname = %s", (self.name,)
            ).fetchone()
        assert row is not None
        return str(row[0])


@pytest.fixture
def server(database_url: str) -> Iterator[Server]:
    made = Server(database_url)
    made.execute("CREATE ROLE {name} LOGIN NOINHERIT PASSWORD 'first' IN ROLE traksense_ingest")
    yield made
    made.execute("DROP ROLE {name}")


def work(database: Database) -> None:
    """One call of a function that has to connect anew."""
    with database.transaction("traksense_ingest") as cursor:
        cursor.execute("SELECT 1")
    database.close()


def test_no_call_is_refused_while_passwords_are_rotated_again_and_again(server: Server) -> None:
    over = threading.Event()
    calls, refused = [0, 0], list[DatabaseAway]()

    def call(number: int) -> None:
        old = server.function()
        try:
            while not over.is_set():
                work(old)  # a container that lived through everything
                work(server.function())  # and one that has just begun
                calls[number] += 1
        except DatabaseAway as error:
            refused.append(error)

    threads = [threading.Thread(target=call, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()

    def let_them_call() -> None:
        before = list(calls)
        for _ in range(500):
            if over.wait(0.01) or all(now > then for now, then in zip(calls, before, strict=True)):
                return
            if refused:
                return

    try:
        for _ in range(4):
            server.rotate(between=let_them_call)
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert refused == []
    assert min(calls) >= 16, "both called between any two steps"


@pytest.mark.parametrize("cut", range(1, len(STEPS)))
def test_a_rotation_that_stops_half_way_refuses_nobody_and_is_finished_later(
    server: Server, cut: int
) -> None:
    function = server.function()
    work(function)
    server.rotate(*STEPS[:cut])
    for _ in range(3):
        work(function)
        work(server.function())
    server.rotate()
    work(function)
    assert server.manager.value("AWSCURRENT")["password"] != "first"


def test_a_log_in_changes_its_own_password_and_the_server_sees_a_verifier_alone(
    server: Server,
) -> None:
    server.rotate()
    assert server.verifier().startswith("SCRAM-SHA-256$")
    passwords = SqlLoginPasswords(server.address)
    new = server.manager.value("AWSCURRENT")["password"]
    assert passwords.lets_in(Login(server.name, new))
    assert not passwords.lets_in(Login(server.name, "first"))
    assert not passwords.change(Login(server.name, "first"), "third")


def test_a_step_that_comes_again_leaves_the_password_as_it_is(server: Server) -> None:
    server.rotate("createSecret", "setSecret")
    before = server.verifier()
    server.rotate("createSecret", "setSecret", "testSecret")
    assert server.verifier() == before


def test_what_an_administrator_changed_is_not_changed_back(server: Server) -> None:
    server.execute("ALTER ROLE {name} PASSWORD 'somebody-elses'")
    with pytest.raises(RotationError, match="by no password that its secret ever had"):
        server.rotate()
    assert server.manager.labels["AWSCURRENT"] == "first"


def test_a_server_that_is_away_is_worth_another_try(server: Server) -> None:
    away = SqlLoginPasswords("postgresql://127.0.0.1:1/postgres")
    with pytest.raises(DatabaseAway):
        away.lets_in(Login(server.name, "first"))
