"""The functions' log-ins of a database, made by an administrator who need be no superuser.

Each is a member of the roles that its manifest names and inherits nothing of them. What a
database that AWS keeps lets its administrator do is enough: nothing here needs a superuser.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from traksense.contracts.functions import FUNCTIONS, Function
from traksense.db.passwords import Passwords, connected, was_refused
from traksense.db.queries import load as load_queries
from traksense.domain.errors import DatabaseAway, PermanentError

PREFIX: Final = "traksense_login_"
BY_IAM: Final = "rds_iam"
"""Who is a member of it shows a token where others show a password (RDS, Aurora)."""

_DEFINE: Final = sql.SQL("{verb} ROLE {name} LOGIN NOINHERIT CONNECTION LIMIT {limit}")
_PASSWORD: Final = sql.SQL("ALTER ROLE {name} PASSWORD {verifier}")
_GRANT: Final = sql.SQL("GRANT {} TO {}")
_REVOKE: Final = sql.SQL("REVOKE {} FROM {}")


class LoginError(PermanentError):
    """The log-ins cannot be made what they should be; the message says why."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a function's log-in should be."""

    name: str
    roles: frozenset[str]
    connections: int
    """Most at once."""
    passwords: Passwords | None = field(default=None, repr=False)
    """None: it shows its role's token."""


@dataclass(frozen=True, slots=True)
class _Standing:
    can_log_in: bool
    inherits: bool
    connections: int
    member_of: frozenset[str]


def login_name(function: str) -> str:
    """Of a function's log-in."""
    return PREFIX + function


def logins_of(
    connections: Mapping[str, int],
    passwords: Mapping[str, Passwords] | None = None,
    functions: Sequence[Function] = FUNCTIONS,
) -> tuple[Login, ...]:
    """What the manifest asks for. Both are by the function's name.

    ``connections``: most of each log-in at once. ``passwords``: None where log-ins show their
    role's token. Raises LoginError for a function of which either is not said.
    """
    wanted = [function for function in functions if function.database_roles]
    for function in wanted:
        if function.name not in connections:
            raise LoginError(f"nothing says how many connections {function.name} may have")
        if passwords is not None and function.name not in passwords:
            raise LoginError(f"{function.name} has no secret for its log-in")
    return tuple(
        Login(
            login_name(function.name),
            frozenset(function.database_roles) | _proof(passwords),
            connections[function.name],
            None if passwords is None else passwords[function.name],
        )
        for function in wanted
    )


def _proof(passwords: Mapping[str, Passwords] | None) -> frozenset[str]:
    return frozenset({BY_IAM}) if passwords is None else frozenset()


def ensure(url: str, logins: Sequence[Login]) -> int:
    """Make each log-in what it should be, all or none; how many statements that took.

    ``url`` is the administrator's, and the roles must be there. A log-in that is not asked for is
    left alone: the release that is being replaced, or is rolled back to, may still use it. Raises
    DatabaseAway, ConfigurationError or LoginError.
    """
    try:
        with (
            psycopg.connect(
                url, autocommit=True, application_name="traksense-logins", connect_timeout=10
            ) as connection,
            connection.transaction(),
        ):
            connection.execute("SET LOCAL lock_timeout = '30s'")
            found = connection.execute(
                load_queries("logins")["list_standing_logins"],
                {"names": [login.name for login in logins]},
            ).fetchall()
            standing = {
                name: _Standing(can_log_in, inherits, limit, frozenset(member_of))
                for name, can_log_in, inherits, limit, member_of in found
            }
            made = 0
            for login in logins:
                stands = standing.get(login.name)
                password = _new_password(url, login, is_new=stands is None)
                for statement in _changes(connection, login, stands, password):
                    connection.execute(statement)
                    made += 1
            return made
    except psycopg.OperationalError as error:
        raise DatabaseAway(str(error).strip()) from error
    except psycopg.Error as error:
        told = error.diag.message_primary or type(error).__name__
        raise LoginError(f"the functions' log-ins: {told}") from error


def _new_password(url: str, login: Login, *, is_new: bool) -> str | None:
    """The password that a log-in has to get; None: it keeps the one that it has.

    One that is let in by any of its passwords keeps it, so that a rotation that is under way is
    not undone: after its last look at the database nobody would set it right. Where nobody may
    tell whether it is let in, as it has too many connections, the newest one is it.
    """
    if login.passwords is None:
        return None
    if is_new:
        return login.passwords.current()
    tried: list[str] = []

    def connect(password: str) -> psycopg.Connection[Any]:
        tried.append(password)
        return psycopg.connect(
            with_login(url, login.name, password),
            application_name="traksense-logins",
            connect_timeout=10,
        )

    try:
        connected(login.passwords, connect).close()
    except psycopg.OperationalError as error:
        if not was_refused(error):
            raise
        return tried[-1]
    return None


def _changes(
    connection: psycopg.Connection[Any],
    login: Login,
    standing: _Standing | None,
    password: str | None,
) -> Iterator[sql.Composed]:
    name = sql.Identifier(login.name)
    if standing is None or (standing.can_log_in, standing.inherits, standing.connections) != (
        True, False, login.connections,
    ):  # fmt: skip
        yield _DEFINE.format(
            verb=sql.SQL("CREATE" if standing is None else "ALTER"),
            name=name,
            limit=sql.Literal(login.connections),
        )
    if password is not None:
        verifier = scram_verifier(connection, login.name, password)
        yield _PASSWORD.format(name=name, verifier=sql.Literal(verifier))
    held = frozenset[str]() if standing is None else standing.member_of
    for role in sorted(login.roles - held):
        yield _GRANT.format(sql.Identifier(role), name)
    for role in sorted(held - login.roles):
        yield _REVOKE.format(sql.Identifier(role), name)


def scram_verifier(connection: psycopg.Connection[Any], user: str, password: str) -> str:
    """A password's verifier, made here so that the password reaches neither server nor log."""
    verifier: bytes = connection.pgconn.encrypt_password(
        password.encode(), user.encode(), b"scram-sha-256"
    )
    return verifier.decode("ascii")


def with_login(url: str, user: str, password: str) -> str:
    """The same server and database for another log-in."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(
        parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}")
    )
