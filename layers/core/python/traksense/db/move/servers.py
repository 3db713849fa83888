"""The two ends of a move: sessions of the owner, and streams from one to the other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from psycopg import errors as pg_errors
from psycopg import sql

from traksense.db import queries
from traksense.db.move.errors import MoveRefused
from traksense.domain.errors import DatabaseAway

APPLICATION_NAME: Final = "traksense-move"
BLOCK_BYTES: Final = 1 << 18
"""What is sent to the target at once: a system call for each row would cost more than the row."""

# The text of a row must not depend on what the server or the login is set to; the session writes
# though the database be read-only to everybody else; and nothing here is in a hurry.
_SESSION: Final = """
    SET default_transaction_read_only = off; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD';
    SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex';
    SET search_path = pg_catalog; SET work_mem = '128MB'; SET jit = off;
    SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
    SET lock_timeout = '60s'
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server says of itself."""

    identity: str
    """The cluster and the database in it, whatever address leads there."""
    database: str
    version: int
    bytes: int
    is_standby: bool


class Server:
    """One end. Three sessions: statements of the owner, streams, and what the login does itself.

    Not for use by two threads at a time.
    """

    def __init__(self, url: str, label: str) -> None:
        """``label``: source or target, for messages. Raises DatabaseAway."""
        self.url = url
        self.label = label
        self.queries = {**queries.load("move"), **queries.load("move_telemetry")}
        self._sessions: list[psycopg.Connection[Any]] = []
        self.login = self._connect()
        """A session that has not taken the owner's role."""
        self.facts = self._facts()
        self._owner: psycopg.Connection[Any] | None = None
        self._engine = ""

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            session = psycopg.connect(
                self.url,
                autocommit=True,
                application_name=APPLICATION_NAME,
                connect_timeout=10,
                prepare_threshold=None,
                keepalives_idle=30,
            )
        except psycopg.OperationalError as error:
            raise DatabaseAway(
                f"the {self.label} cannot be reached: {str(error).strip()}"
            ) from error
        self._sessions.append(session)
        session.execute(_SESSION)
        return session

    def _facts(self) -> Facts:
        row = self.login.execute(self.queries["server"]).fetchone()
        if row is None:
            raise DatabaseAway(f"the {self.label} does not say what it is")
        return Facts(*row)

    @property
    def owner(self) -> psycopg.Connection[Any]:
        """The session of the owner of the tables."""
        if self._owner is None:
            session = self._connect()
            session.execute("SET ROLE traksense_owner")
            self._owner = session
        return self._owner

    @property
    def engine(self) -> str:
        """What keeps the readings there: plain or timescale."""
        if not self._engine:
            self._engine = str(self.value("engine"))
        return self._engine

    @property
    def pids(self) -> list[int]:
        """The server's processes for the sessions of this move."""
        return [session.info.backend_pid for session in self._sessions]

    def rows(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a named query, asked as the owner."""
        return self.owner.execute(self.queries[name], parameters).fetchall()

    def value(self, name: str, **parameters: Any) -> Any:
        """The only value of a named query, asked as the owner."""
        row = self.owner.execute(self.queries[name], parameters).fetchone()
        return None if row is None else row[0]

    def run(self, name: str, **parameters: Any) -> int:
        """A named statement of the owner; how many rows it touched."""
        return self.owner.execute(self.queries[name], parameters).rowcount

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[None]:
        """All that the owner's session does inside is done, or nothing of it.

        ``snapshot``: it sees the database as it is at the first statement.
        """
        with self.owner.transaction():
            if snapshot:
                self.owner.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield

    def close(self) -> None:
        """End the sessions."""
        for session in self._sessions:
            session.close()


Statement = LiteralString | sql.Composed


def _statement(statement: Statement) -> Any:
    return statement.rstrip().rstrip(";") if isinstance(statement, str) else statement


def stream(
    source: Server, read: Statement, target: Server, write: Statement, **parameters: Any
) -> int:
    """Send what one COPY reads into another, holding a block of it; how many rows it was."""
    with ExitStack() as stack:
        reading, writing = source.owner.cursor(), target.owner.cursor()
        out = stack.enter_context(reading.copy(_statement(read), parameters))
        into = stack.enter_context(writing.copy(_statement(write)))
        block: list[bytes | bytearray | memoryview] = []
        size = 0
        for data in out:
            block.append(data)
            size += len(data)
            if size >= BLOCK_BYTES:
                into.write(b"".join(block))
                block.clear()
                size = 0
        into.write(b"".join(block))
    return writing.rowcount


def _rows(
    server: Server, statement: sql.Composed, parameters: dict[str, Any]
) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = server.owner.execute(statement, parameters).fetchall()
    return found


class Pair:
    """Source and target, and what is asked of both at the same time."""

    def __init__(self, source: Server, target: Server) -> None:
        self.source = source
        self.target = target
        self._asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="move")

    def both(self, name: str, **parameters: Any) -> tuple[list[Any], list[Any]]:
        """The rows of a query from the source and from the target."""
        there = self._asking.submit(self.target.rows, name, **parameters)
        try:
            here = self.source.rows(name, **parameters)
        finally:
            there.exception()  # the session is ours again, whatever became of the query
        return here, there.result()

    def both_composed(
        self, statement: sql.Composed, **parameters: Any
    ) -> tuple[list[Any], list[Any]]:
        """The same for a statement that is made on the spot."""
        there = self._asking.submit(_rows, self.target, statement, parameters)
        try:
            here = _rows(self.source, statement, parameters)
        finally:
            there.exception()
        return here, there.result()

    @contextmanager
    def only_move(self) -> Iterator[None]:
        """Be the only move to this target. Raises MoveRefused where another one is at work."""
        # The lock is one of a transaction, on a session that does nothing else: the login's.
        with self.target.login.transaction():
            row = self.target.login.execute(self.target.queries["only_move"]).fetchone()
            if row is None or not row[0]:
                raise MoveRefused("another move to this target is at work")
            yield

    def close(self) -> None:
        """Ask no more; the sessions are closed by who opened them."""
        self._asking.shutdown()


def explain(error: psycopg.Error) -> str:
    """An error of a server in one line."""
    if isinstance(error, pg_errors.Error) and error.diag.message_primary:
        return error.diag.message_primary
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
