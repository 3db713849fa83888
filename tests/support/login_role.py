"""A role of one test that logs in by a password."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

import psycopg
from psycopg import sql


class LoginRole:
    """Its name, and where it logs in; the test makes and drops it."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self.name = f"tt_rotated_{secrets.token_hex(4)}"
        parts = urlsplit(admin_url)
        self.address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        """The database, without a log-in."""
        self.url = self.address.replace("//", f"//{self.name}@")
        """Without a password."""

    def execute(self, statement: str, **values: str) -> None:
        """Run a statement as the administrator; ``{name}`` in it is the role."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            literals = {name: sql.Literal(value) for name, value in values.items()}
            connection.execute(
                sql.SQL(statement).format(name=sql.Identifier(self.name), **literals)
            )
