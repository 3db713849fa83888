"""All that the database holds of one tenant and not of another, and whether it changed."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg import sql

from tests.unit.api.support import Tenant

SHORTEST: Final = 5
"""Characters of a text that is telling: shorter ones stand in answers by chance."""
WORDS: Final = frozenset({"locale", "time_zone", "role", "status", "type", "action", "op"})
"""Columns whose values are words that everybody uses."""

_TABLES: Final = """
SELECT c.relname,
       array_agg(a.attname) FILTER (WHERE t.typname IN ('uuid', 'text', 'varchar', 'citext'))
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND c.relname <> 'audit_log'  -- it repeats what its callers have said
   AND (c.relname = 'tenants' OR EXISTS (
         SELECT FROM pg_catalog.pg_attribute AS o
          WHERE o.attrelid = c.oid AND o.attname = 'tenant_id' AND NOT o.attisdropped))
 GROUP BY c.relname ORDER BY c.relname
"""


def secrets(connection: psycopg.Connection[Any], of: Tenant, beside: Tenant) -> frozenset[str]:
    """Every id and telling text in the rows of a tenant that no row of the other one has."""
    return _texts(connection, of) - _texts(connection, beside)


def _texts(connection: psycopg.Connection[Any], tenant: Tenant) -> frozenset[str]:
    parts = [
        _of_tenant(table, sql.SQL("x.{}::text").format(sql.Identifier(column)), tenant)
        for table, columns in _tables(connection)
        for column in columns
    ]
    rows = connection.execute(sql.SQL(" UNION ").join(parts)).fetchall()
    values = {value for (value,) in rows if value is not None and len(value) >= SHORTEST}
    return frozenset(values | {tenant.slug})


def fingerprint(connection: psycopg.Connection[Any], tenant: Tenant) -> dict[str, str]:
    """A digest of the tenant's rows in each table."""
    digest = sql.SQL("{} AS name, md5(coalesce(string_agg(x::text, chr(10) ORDER BY x::text), ''))")
    parts = [
        _of_tenant(table, digest.format(sql.Literal(table)), tenant)
        for table, _ in _tables(connection)
    ]
    return dict(connection.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall())


def _tables(connection: psycopg.Connection[Any]) -> list[tuple[str, list[str]]]:
    return [
        (name, [column for column in columns or () if column not in WORDS])
        for name, columns in connection.execute(_TABLES).fetchall()
    ]


def _of_tenant(table: str, what: sql.Composable, tenant: Tenant) -> sql.Composed:
    return sql.SQL("SELECT {} FROM {} AS x WHERE {} = {}").format(
        what,
        sql.Identifier("public", table),
        sql.Identifier("id" if table == "tenants" else "tenant_id"),
        sql.Literal(tenant.id),
    )
