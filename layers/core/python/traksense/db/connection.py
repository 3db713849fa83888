"""One PostgreSQL connection per container or thread, and transactions that say who they are for.

Every transaction begins with one statement that takes a role and a tenant for its own length
(``set_config(…, true)``): nothing leaks through a pool, RDS Proxy does not pin the session, and
without it the login may do nothing at all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal
from uuid import UUID

import psycopg
from psycopg import errors as pg_errors
from psycopg.rows import tuple_row

from traksense.db.binary import PgArray, PgArrayDumper
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
    "SELECT pg_catalog.set_config('role', %s, true),"
    " pg_catalog.set_config('app.tenant_id', %s, true),"
    " pg_catalog.set_config('statement_timeout', %s, true),"
    " pg_catalog.set_config('lock_timeout', %s, true),"
    " pg_catalog.set_config('idle_in_transaction_session_timeout', %s, true)"
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
)


class Database:
    """Connections to one database, one per thread, opened when first needed.

    ``prepare`` turns server-side prepared statements on: off behind a proxy.
    """

    def __init__(
        self,
        url: str,
        *,
        application_name: str = "traksense",
        statement_timeout_ms: int = 25_000,
        lock_timeout_ms: int = 5_000,
        connect_timeout_s: int = 5,
        prepare: bool = False,
    ) -> None:
        self._url = url
        self._application_name = application_name
        self._statement_timeout = str(statement_timeout_ms)
        self._lock_timeout = str(lock_timeout_ms)
        self._idle_timeout = str(max(statement_timeout_ms * 2, 10_000))
        self._connect_timeout_s = connect_timeout_s
        self._prepare_threshold = 5 if prepare else None
        self._local = threading.local()

    def _connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection: psycopg.Connection[tuple[Any, ...]] | None = getattr(
            self._local, "connection", None
        )
        if connection is None or connection.closed:
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                row_factory=tuple_row,
                application_name=self._application_name,
                connect_timeout=self._connect_timeout_s,
                prepare_threshold=self._prepare_threshold,
                keepalives_idle=30,
            )
            connection.adapters.register_dumper(PgArray, PgArrayDumper)
            self._local.connection = connection
        return connection

    @contextmanager
    def transaction(
        self, role: Role, tenant_id: UUID | None = None
    ) -> Iterator[psycopg.Cursor[tuple[Any, ...]]]:
        """One transaction as ``role``, in the sight of ``tenant_id``.

        Raises DatabaseAway where another try may succeed: no connection, a connection that broke
        before the commit was confirmed, a deadlock, a lock or statement time-out. Every other
        database error passes as it is; either way nothing was committed, except that a break
        during COMMIT leaves it open, which is why every write is one that can be repeated.
        """
        try:
            connection = self._connection()
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute(
                    _BEGIN,
                    (
                        role,
                        "" if tenant_id is None else str(tenant_id),
                        self._statement_timeout,
                        self._lock_timeout,
                        self._idle_timeout,
                    ),
                )
                yield cursor
        except _RETRYABLE as error:
            self._drop_if_broken()
            raise DatabaseAway(str(error).strip() or type(error).__name__) from error

    def _drop_if_broken(self) -> None:
        connection: psycopg.Connection[Any] | None = getattr(self._local, "connection", None)
        if connection is not None and connection.broken:
            connection.close()
            self._local.connection = None

    def close(self) -> None:
        """Close this thread's connection."""
        connection: psycopg.Connection[Any] | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None
