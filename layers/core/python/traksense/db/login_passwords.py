"""Log-ins that change their own passwords."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import sql

from traksense.db.logins import scram_verifier, with_login
from traksense.db.passwords import was_refused
from traksense.domain.errors import DatabaseAway
from traksense.services.rotation import Login, RotationError

_CHANGE: Final = sql.SQL("ALTER ROLE {name} PASSWORD {verifier}")


class SqlLoginPasswords:
    """Implements ``traksense.services.rotation.LoginPasswords``."""

    def __init__(self, url: str) -> None:
        """``url``: of the database, without a log-in."""
        self._url = url

    def lets_in(self, login: Login) -> bool:
        """Whether a log-in's password is good."""
        connection = self._connect(login)
        if connection is None:
            return False
        connection.close()
        return True

    def change(self, login: Login, password: str) -> bool:
        """Change a log-in's password as the log-in itself; False: it is not let in."""
        connection = self._connect(login)
        if connection is None:
            return False
        try:
            with connection:
                verifier = scram_verifier(connection, login.username, password)
                connection.execute("SET LOCAL lock_timeout = '10s'")
                connection.execute(
                    _CHANGE.format(
                        name=sql.Identifier(login.username), verifier=sql.Literal(verifier)
                    )
                )
        except psycopg.OperationalError as error:
            raise DatabaseAway(str(error).strip()) from error
        except psycopg.Error as error:
            told = error.diag.message_primary or type(error).__name__
            raise RotationError(f"the password of {login.username}: {told}") from error
        return True

    def _connect(self, login: Login) -> psycopg.Connection[Any] | None:
        try:
            return psycopg.connect(
                with_login(self._url, login.username, login.password),
                application_name="traksense-rotate",
                connect_timeout=5,
            )
        except psycopg.OperationalError as error:
            if was_refused(error):
                return None
            raise DatabaseAway(str(error).strip()) from error
