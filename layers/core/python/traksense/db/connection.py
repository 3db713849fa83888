"""One PostgreSQL connection per container or thread, and transactions that say who they are for.

Every transaction begins with one statement that takes a role and a tenant for its own length
(``set_config(…, true)``): nothing leaks through a pool, RDS Proxy does not pin the session, and
without it the login may do nothing at all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from types import MappingProxyType
from typing import Any, Final, Literal, LiteralString
from uuid import UUID

import psycopg
from psycopg import errors as pg_errors
from psycopg.rows import tuple_row

from traksense.db.binary import PgArray, PgArrayDumper
from traksense.db.passwords import Passwords, connected
from traksense.domain.errors import DatabaseAway

Role = Literal[
    "traksense_owner",
    "traksense_ingest",
    "traksense_app",
    "traksense_ops",
    "traksense_readonly",
]

# Timeouts are set per transaction like the role, because a pooler may hand the next transaction
# another session. lock before statement before idle: the innermost limit speaks first.
_BEGIN: Final = (
    "BEGIN; SELECT pg_catalog.set_config('role', {}, true),"
    " pg_catalog.set_config('app.tenant_id', {}, true),"
    " pg_catalog.set_config('statement_timeout', {}, true),"
    " pg_catalog.set_config('lock_timeout', {}, true),"
    " pg_catalog.set_config('idle_in_transaction_session_timeout', {}, true)"
)
_EPOCH: Final = "SELECT sum(e.changes)::bigint FROM public.config_epochs e"

_log = logging.getLogger(__name__)

# One message of two statements without a BEGIN is a transaction of its own (PostgreSQL, "Message
# Flow", simple query), and one round trip.
_AT_ONCE: Final = (
    "SELECT pg_catalog.set_config('role', %(role_)s, true),"
    " pg_catalog.set_config('app.tenant_id', %(tenant_)s, true),"
    " pg_catalog.set_config('statement_timeout', %(timeout_)s, true),"
    " pg_catalog.set_config('lock_timeout', %(timeout_)s, true),"
    " pg_catalog.set_config('synchronous_commit', %(durable_)s, true);\n"
)

# What says "not now" rather than "never": the connection, a shutdown, a deadlock, no room.
_RETRYABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    pg_errors.SerializationFailure,
    pg_errors.DeadlockDetected,
    pg_errors.LockNotAvailable,
    pg_errors.QueryCanceled,
    pg_errors.InsufficientResources,
    pg_errors.ReadOnlySqlTransaction,
    pg_errors.CannotConnectNow,
    pg_errors.AdminShutdown,
    pg_errors.IdleInTransactionSessionTimeout,
    pg_errors.TransactionTimeout,
)
# OperationalErrors to psycopg, but the same rows fail again however often they are sent.
_TOO_COMPLEX: Final = (pg_errors.ProgramLimitExceeded, pg_errors.StatementTooComplex)
_DATA: Final = (psycopg.DataError, psycopg.IntegrityError)

REFUSED: Final = (*_DATA, *_TOO_COMPLEX)
"""What says that the database will never take these rows as they are."""

# A server that vanishes without a word is given up after about half a minute.
_KEEPALIVE: Final[dict[str, Any]] = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class Database:
    """Connections to one database, one per thread, opened when first needed.

    ``prepare`` turns server-side prepared statements on: off behind a proxy. ``passwords``: None
    where the URL says it all.
    """

    def __init__(
        self,
        url: str,
        *,
        passwords: Passwords | None = None,
        application_name: str = "traksense",
        statement_timeout_ms: int = 25_000,
        lock_timeout_ms: int = 5_000,
        connect_timeout_s: int = 5,
        prepare: bool = False,
    ) -> None:
        self._url = url
        self._passwords = passwords
        self._application_name = application_name
        self._statement_timeout = str(statement_timeout_ms)
        self._lock_timeout = str(lock_timeout_ms)
        self._idle_timeout = str(max(statement_timeout_ms * 2, 10_000))
        self._connect_timeout_s = connect_timeout_s
        self._prepare_threshold = 5 if prepare else None
        self._local = threading.local()
        self._epoch_seen: Callable[[int], None] | None = None

    def watch_epoch(self, seen: Callable[[int], None] | None) -> None:
        """Tell ``seen`` the epoch of the configuration as each transaction begins.

        Every statement of the transaction sees at least all changes of that epoch. What ``seen``
        raises ends the transaction before anything was asked in it. None: no longer.
        """
        self._epoch_seen = seen

    def _live_connection(self) -> psycopg.Connection[tuple[Any, ...]] | None:
        connection: psycopg.Connection[tuple[Any, ...]] | None = getattr(
            self._local, "connection", None
        )
        return None if connection is None or connection.closed else connection

    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = self._live_connection()
        if connection is None:
            connection = self._open()
            self._local.connection = connection
        return connection

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._passwords is None:
            return self._connect(None)
        return connected(self._passwords, self._connect)

    def _connect(self, password: str | None) -> psycopg.Connection[tuple[Any, ...]]:
        connection = psycopg.connect(
            self._url,
            password=password,  # None: the URL's
            autocommit=True,
            row_factory=tuple_row,
            application_name=self._application_name,
            connect_timeout=self._connect_timeout_s,
            prepare_threshold=self._prepare_threshold,
            **_KEEPALIVE,
        )
        connection.adapters.register_dumper(PgArray, PgArrayDumper)
        return connection

    @contextmanager
    def transaction(
        self,
        role: Role,
        tenant_id: UUID | None = None,
        *,
        opening: LiteralString | None = None,
        statement_timeout_ms: int | None = None,
    ) -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
        """One transaction as ``role``, in the sight of ``tenant_id``.

        ``opening`` is a first statement, sent along with the one that takes the role, so that it
        costs no wait of its own; the cursor holds its result. ``statement_timeout_ms`` is for a
        transaction whose statements may take longer than the others'.

        Raises DatabaseAway where another try may succeed: no connection, a connection that broke
        before the commit was confirmed, a deadlock, a lock or statement time-out. Every other
        database error passes as it is (those in REFUSED are the data's fault); either way nothing
        was committed, except that a break during COMMIT leaves it open, which is why every write
        is one that can be repeated.
        """
        settings = (
            role,
            "" if tenant_id is None else str(tenant_id),
            self._statement_timeout if statement_timeout_ms is None else str(statement_timeout_ms),
            self._lock_timeout,
            self._idle_timeout,
        )
        with self._told_apart():
            begun, cursor = self._begin(settings, opening)
            with begun:
                yield cursor

    @contextmanager
    def _told_apart(self) -> Iterator[None]:
        """What another try may mend leaves as DatabaseAway, everything else as it is; a session
        that the next transaction should not have is closed.
        """
        try:
            yield
        except REFUSED:
            raise
        except pg_errors.ReadOnlySqlTransaction as error:
            # A standby, or a database that is being moved: its next session may write again.
            self.close()
            raise DatabaseAway(str(error).strip()) from error
        except _RETRYABLE as error:
            self._drop_if_broken()
            raise DatabaseAway(str(error).strip() or type(error).__name__) from error
        except psycopg.Error:
            # Neither the data's fault nor the moment's: a schema that changed under a prepared
            # statement, a role that lost a grant. The next transaction asks a fresh session.
            self.close()
            raise

    def _begin(
        self, settings: tuple[str, ...], opening: LiteralString | None
    ) -> tuple[ExitStack, psycopg.Cursor[tuple[Any, ...]]]:
        """Begin a transaction; once more where a connection from before turns out to be dead,
        as after a server's restart or a container's sleep: nothing was asked of it yet.
        """
        had_connection = self._live_connection() is not None
        try:
            return self._enter(settings, opening)
        except _RETRYABLE:
            if not had_connection or self._live_connection() is not None:
                raise
        return self._enter(settings, opening)

    def _enter(
        self, settings: tuple[str, ...], opening: LiteralString | None
    ) -> tuple[ExitStack, psycopg.Cursor[tuple[Any, ...]]]:
        connection = self._connection()
        seen = self._epoch_seen
        # In one string, because the simple protocol sends it at once: one wait for all of it.
        statements = [_BEGIN.format(*map(_quoted, settings))]
        if seen is not None:
            statements.append(_EPOCH)
        if opening is not None:
            statements.append(opening.rstrip().rstrip(";"))
        with ExitStack() as stack:
            cursor = stack.enter_context(connection.cursor())
            stack.enter_context(_committed(connection))
            cursor.execute("\n;".join(statements).encode(), prepare=False)
            cursor.nextset()
            if seen is not None:
                cursor.nextset()
                row = cursor.fetchone()
                assert row is not None  # an aggregate
                seen(row[0] or 0)
            if opening is not None:
                cursor.nextset()
            return stack.pop_all(), cursor

    def at_once(
        self,
        role: Role,
        tenant_id: UUID | None,
        query: LiteralString,
        parameters: Mapping[str, Any],
        *,
        is_durable: bool,
        timeout_ms: int,
    ) -> list[tuple[Any, ...]]:
        """One statement in a transaction of its own, role and commit in the same round trip.

        Without ``is_durable`` the commit does not wait for the disk: a crash of the server may
        take it back. Raises as ``transaction`` does. A connection from before that turns out to
        be dead is replaced and the statement sent again, so that it may rarely happen twice.
        """
        every = {
            **parameters,
            "role_": role,
            "tenant_": "" if tenant_id is None else str(tenant_id),
            "timeout_": str(timeout_ms),
            "durable_": "on" if is_durable else "off",
        }
        had_connection = self._live_connection() is not None
        with self._told_apart():
            try:
                return self._execute_at_once(query, every)
            except _RETRYABLE:
                if not had_connection or self._live_connection() is not None:
                    raise
                return self._execute_at_once(query, every)

    def _execute_at_once(
        self, query: LiteralString, parameters: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        with psycopg.ClientCursor(self._connection()) as cursor:
            cursor.execute(_AT_ONCE + query, parameters)
            cursor.nextset()
            return cursor.fetchall() if cursor.description is not None else []

    @contextmanager
    def session(
        self, role: Role, *, settings: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A connection of its own as ``role``, for what may not run in a transaction.

        Each statement commits for itself. Role and ``settings`` are the session's, so that the URL
        must not lead through a pooler that hands each transaction to another session. Raises
        DatabaseAway as ``transaction`` does.
        """
        every = {
            "role": role,
            "statement_timeout": self._statement_timeout,
            "lock_timeout": self._lock_timeout,
            **settings,
        }
        try:
            with closing(self._open()) as connection:
                for name, value in every.items():
                    connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
                yield connection
        except REFUSED:
            raise
        except _RETRYABLE as error:
            raise DatabaseAway(str(error).strip() or type(error).__name__) from error

    def _drop_if_broken(self) -> None:
        connection: psycopg.Connection[Any] | None = getattr(self._local, "connection", None)
        if connection is not None and connection.broken:
            self.close()

    def close(self) -> None:
        """Close this thread's connection."""
        connection: psycopg.Connection[Any] | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@contextmanager
def _committed(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Commit what the block did, or undo it where the block failed."""
    try:
        yield
    except BaseException:
        try:
            connection.rollback()
        except psycopg.Error as error:
            # What went wrong in the block is what has to be told; the server undoes by itself.
            _log.warning("a transaction could not be undone: %s", error)
        raise
    connection.commit()
