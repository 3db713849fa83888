"""Passwords that are not in the URL, against a server that asks for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.login_role import LoginRole
from tests.support.passwords import KnownPasswords
from traksense.db.connection import Database
from traksense.domain.errors import DatabaseAway


@pytest.fixture
def login(database_url: str) -> Iterator[LoginRole]:
    made = LoginRole(database_url)
    made.execute("CREATE ROLE {name} LOGIN NOINHERIT PASSWORD 'new' IN ROLE traksense_app")
    yield made
    made.execute("DROP ROLE {name}")


def who(database: Database) -> str:
    with database.transaction("traksense_app") as cursor:
        row = cursor.execute("SELECT session_user::text").fetchone()
    database.close()
    assert row is not None
    return str(row[0])


def test_a_login_is_let_in_by_a_password_that_the_url_does_not_hold(login: LoginRole) -> None:
    passwords = KnownPasswords("new")
    assert who(Database(login.url, passwords=passwords)) == login.name
    assert passwords.asked_again == 0


def test_a_password_that_was_rotated_is_asked_for_again_at_once(login: LoginRole) -> None:
    passwords = KnownPasswords("old", "new")
    assert who(Database(login.url, passwords=passwords)) == login.name
    assert passwords.asked_again == 1


def test_each_password_that_may_be_good_is_tried_and_the_good_one_remembered(
    login: LoginRole,
) -> None:
    passwords = KnownPasswords("old", "older", "new")
    database = Database(login.url, passwords=passwords)
    assert who(database) == login.name
    assert who(database) == login.name
    assert passwords.asked_again == 1


def test_where_no_password_is_good_the_refusal_is_told_and_no_password(login: LoginRole) -> None:
    passwords = KnownPasswords("old", "older")
    with pytest.raises(DatabaseAway, match="password authentication failed") as error:
        who(Database(login.url, passwords=passwords))
    assert passwords.asked_again == 1
    assert "older" not in str(error.value)


def test_a_rotation_in_the_life_of_a_container_is_not_noticed_by_who_works(
    login: LoginRole,
) -> None:
    passwords = KnownPasswords("new", "newest")
    database = Database(login.url, passwords=passwords)
    with database.transaction("traksense_app") as cursor:
        cursor.execute("SELECT 1")
    login.execute("ALTER ROLE {name} PASSWORD {password}", password="newest")
    with database.transaction("traksense_app") as cursor:
        cursor.execute("SELECT 1")
    database.close()
    assert who(database) == login.name
    assert passwords.asked_again == 1


def test_a_server_that_is_away_is_no_reason_to_ask_for_another_password(login: LoginRole) -> None:
    passwords = KnownPasswords("new", "newer")
    away = Database(f"postgresql://{login.name}@127.0.0.1:1/x", passwords=passwords)
    with pytest.raises(DatabaseAway):
        who(away)
    assert passwords.asked_again == 0
