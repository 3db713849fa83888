"""Passwords of log-ins that are not in the URL, and may be rotated while somebody connects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import psycopg

Connection = TypeVar("Connection", bound=psycopg.Connection[Any])


class Passwords(Protocol):
    """Where the password of a log-in comes from.

    Every method but ``accepted`` raises DatabaseAway or ConfigurationError.
    """

    def current(self) -> str:
        """The password for a connection that is opened now."""

    def others(self, refused: str) -> Sequence[str]:
        """What may be good instead of a password that was refused just now, asked for anew."""

    def accepted(self, password: str) -> None:
        """Which of them it is: the next connection begins with it."""


def connected(passwords: Passwords, connect: Callable[[str], Connection]) -> Connection:
    """A connection by whatever password is good at this moment.

    Raises what ``connect`` raised last where none of them is, and at once what is no refusal.
    """
    first = passwords.current()
    try:
        return connect(first)
    except psycopg.OperationalError as error:
        if not was_refused(error):
            raise
        refusal = error
    for other in passwords.others(first):
        try:
            connection = connect(other)
        except psycopg.OperationalError as error:
            if not was_refused(error):
                raise
            refusal = error
        else:
            passwords.accepted(other)
            return connection
    raise refusal


def was_refused(error: psycopg.OperationalError) -> bool:
    """Whether a server asked for the password and then let nobody in.

    Before a session stands it gives no code, and its words are in its own language. That a log-in
    has too many connections already looks the same.
    """
    return error.pgconn is not None and error.pgconn.used_password
