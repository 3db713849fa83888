"""The transaction of a scope: the tenant's role in a tenant's sight, the operators' over all."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import psycopg

from traksense.db.connection import Database
from traksense.services.scope import Scope


def transaction(
    database: Database, scope: Scope
) -> AbstractContextManager[psycopg.Cursor[tuple[Any, ...]]]:
    """A transaction in whose sight is what the scope says. Raises DatabaseAway."""
    if scope.tenant_id is None:
        return database.transaction("traksense_ops")
    return database.transaction("traksense_app", scope.tenant_id)
