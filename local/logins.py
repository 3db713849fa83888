"""The functions' log-ins of the embedded PostgreSQL: one each, with its manifest's roles only.

In AWS each function has a log-in of its own as well; here they are made at start. A log-in
inherits nothing: it may only take the roles that it is a member of, for one transaction.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import psycopg
from psycopg import sql

from traksense.contracts.functions import FUNCTIONS, Function, Trigger
from traksense.db.logins import PREFIX, scram_verifier, with_login
from traksense.db.queries import load as load_queries
from traksense.domain.errors import DatabaseAway

# Room for what a killed run left open until the server notices, and for the threads of the API.
_CONNECTION_LIMIT: Final[dict[Trigger, int]] = {
    "queue": 12, "http": 32, "schedule": 6, "user_pool": 4, "state_machine": 24,
}  # fmt: skip

_VERIFIER: Final = "SCRAM-SHA-256"

_DEFINE: Final = sql.SQL(
    "{verb} ROLE {name} LOGIN NOINHERIT NOSUPERUSER NOCREATEROLE NOCREATEDB"
    " NOBYPASSRLS NOREPLICATION CONNECTION LIMIT {limit} PASSWORD {verifier}"
)
_GRANT: Final = sql.SQL("GRANT {} TO {}")
_REVOKE: Final = sql.SQL("REVOKE {} FROM {}")
_DROP: Final = sql.SQL("DROP ROLE {}")


class Secrets(Protocol):
    """Random secrets that stay the same for a home."""

    def secret(self, name: str) -> str:
        """The secret of that name, made when first asked for."""


@dataclass(frozen=True, slots=True)
class _Login:
    """What stands in the database."""

    is_plain: bool
    connection_limit: int
    verifier: str | None
    member_of: frozenset[str]


def ensure(
    admin_url: str,
    secrets: Secrets,
    *,
    functions: Sequence[Function] = FUNCTIONS,
    prefix: str = PREFIX,
) -> dict[str, str]:
    """Make each function's log-in what the manifest says; its database URL by function name.

    ``admin_url`` is a superuser's, and the roles of ``sql/roles.sql`` must be there. A log-in of
    a function that is no longer in the manifest is dropped, and so is a membership that the
    manifest no longer names. One round trip when nothing has to change. Raises DatabaseAway.
    """
    functions = [function for function in functions if function.database_roles]
    passwords = {f.name: secrets.secret(f"database_{f.name}") for f in functions}
    try:
        with psycopg.connect(
            admin_url, autocommit=True, application_name="traksense-logins", connect_timeout=5
        ) as connection:
            changes = _changes(connection, _standing(connection, prefix), functions, passwords,
                               prefix)  # fmt: skip
            if changes:
                with connection.transaction():
                    for change in changes:
                        connection.execute(change)
    except psycopg.OperationalError as error:
        raise DatabaseAway(str(error).strip()) from error
    return {
        name: with_login(admin_url, prefix + name, password) for name, password in passwords.items()
    }


def _standing(connection: psycopg.Connection[Any], prefix: str) -> dict[str, _Login]:
    rows = connection.execute(load_queries("logins")["list_logins"], {"prefix": prefix}).fetchall()
    return {row[0]: _Login(row[1], row[2], row[3], frozenset(row[4])) for row in rows}


def _changes(
    connection: psycopg.Connection[Any],
    standing: dict[str, _Login],
    functions: Iterable[Function],
    passwords: dict[str, str],
    prefix: str,
) -> list[sql.Composed]:
    """The statements that turn what stands into what is wanted."""
    changes: list[sql.Composed] = []
    wanted: set[str] = set()
    for function in functions:
        name = prefix + function.name
        wanted.add(name)
        login = standing.get(name)
        limit = _CONNECTION_LIMIT[function.trigger]
        password = passwords[function.name]
        if (
            login is None
            or not login.is_plain
            or login.connection_limit != limit
            or not _accepts(login.verifier, password)
        ):
            changes.append(
                _DEFINE.format(
                    verb=sql.SQL("CREATE" if login is None else "ALTER"),
                    name=sql.Identifier(name),
                    limit=sql.Literal(limit),
                    verifier=sql.Literal(scram_verifier(connection, name, password)),
                )
            )
        held = frozenset[str]() if login is None else login.member_of
        roles = frozenset(function.database_roles)
        for role in sorted(roles - held):
            changes.append(_GRANT.format(sql.Identifier(role), sql.Identifier(name)))
        for role in sorted(held - roles):
            changes.append(_REVOKE.format(sql.Identifier(role), sql.Identifier(name)))
    for name in sorted(standing.keys() - wanted):
        changes.append(_DROP.format(sql.Identifier(name)))
    return changes


def _accepts(verifier: str | None, password: str) -> bool:
    """Whether a stored verifier is this password's (RFC 5803: iterations, salt, two keys)."""
    if verifier is None:
        return False
    try:
        mechanism, parameters, keys = verifier.split("$")
        iterations, salt = parameters.split(":")
        salted = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), base64.b64decode(salt), int(iterations)
        )
        stored_key = base64.b64decode(keys.split(":")[0])
    except ValueError:
        return False  # an md5 hash, or something else that is not ours
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return mechanism == _VERIFIER and hmac.compare_digest(
        hashlib.sha256(client_key).digest(), stored_key
    )
