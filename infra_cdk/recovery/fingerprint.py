"""A database as numbers: rows and a checksum of each table, and how far sequences are."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import psycopg
from psycopg import sql

_AS_TEXT: Final = (
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres';"
    " SET extra_float_digits = 1; SET bytea_output = 'hex'; SET row_security = off"
)
"""So that a row has the same text on both servers, and no row is hidden."""
_TABLES: Final = """
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema$)'
ORDER BY n.nspname, c.relname
"""
"""Tables that hold rows themselves: partitions, not what they are parts of."""
_SEQUENCES: Final = """
SELECT s.schemaname, s.sequencename, coalesce(s.last_value, 0)
FROM pg_catalog.pg_sequences s
ORDER BY s.schemaname, s.sequencename
"""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table; their order does not count."""

    number: int
    checksum: Decimal


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A database in numbers."""

    tables: dict[str, Rows]
    sequences: dict[str, int]

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(each.number for each in self.tables.values())


def fingerprint(connection: psycopg.Connection[Any]) -> Fingerprint:
    """What a connection's transaction sees. Raises psycopg.Error, also if rows were hidden."""
    connection.execute(_AS_TEXT)
    names = connection.execute(_TABLES).fetchall()
    return Fingerprint(
        {f"{schema}.{table}": _rows(connection, schema, table) for schema, table in names},
        {
            f"{schema}.{name}": int(value)
            for schema, name, value in connection.execute(_SEQUENCES).fetchall()
        },
    )


def differences(source: Fingerprint, restored: Fingerprint) -> list[str]:
    """What is otherwise in a restored database; nothing where it is whole.

    Sequences are outside of transactions: a restored one may be further, but never behind.
    """
    found = [
        f"{name}: {_told(source.tables.get(name))} were backed up, "
        f"{_told(restored.tables.get(name))} restored"
        for name in sorted(source.tables.keys() | restored.tables.keys())
        if source.tables.get(name) != restored.tables.get(name)
    ]
    found += [
        f"{name}: the sequence was at {value} and is behind it"
        for name, value in source.sequences.items()
        if restored.sequences.get(name, -1) < value
    ]
    return found


def _rows(connection: psycopg.Connection[Any], schema: str, table: str) -> Rows:
    row = connection.execute(
        sql.SQL(
            "SELECT count(*), coalesce(sum(pg_catalog.hashtextextended(t::text, 0)), 0) FROM {} t"
        ).format(sql.Identifier(schema, table))
    ).fetchone()
    assert row is not None  # an aggregate without GROUP BY has one
    return Rows(int(row[0]), Decimal(row[1]))


def _told(rows: Rows | None) -> str:
    return "no table" if rows is None else f"{rows.number} rows ({rows.checksum})"
