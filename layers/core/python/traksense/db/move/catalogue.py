"""Which tables are configuration: every one that is not known to be something else.

So a table that is added later comes along without anybody thinking of it, and what is no table
stops the move before it begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

from traksense.db.move.errors import MoveRefused
from traksense.db.move.servers import Server

TELEMETRY: Final = frozenset({"m_raw", "m_segment", "m_message", "r_1m", "r_5m", "r_1h"})
"""Moved by time, in whatever form the engine keeps it."""
OF_THE_SERVER: Final = frozenset(
    {
        "schema_migrations",
        "rollup_state",
        "rollup_dirty",
        "rollup_rewrites",
        "closed_days",
        "closing_points",
        "release_jobs",
    }
)
"""How far a server is with its own work: the other one has its own."""
COUNTERS: Final = frozenset({"request_quotas", "device_minutes"})
"""What a server counts for some minutes: the other one begins anew."""
RANGE: Final = 5000
"""Keys of a part of a table whose key is a number: new rows are in the last parts alone."""
PARTS: Final = 64
"""Parts of every other table."""
_NUMBERS: Final = frozenset({"smallint", "integer", "bigint"})


@dataclass(frozen=True, slots=True)
class Table:
    """A table of configuration."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    key: tuple[str, ...]
    is_numbered: bool
    """Whether the key is one number."""

    @property
    def identifier(self) -> sql.Composable:
        """Its name, qualified."""
        return sql.Identifier("public", self.name)

    def names(
        self, alias: str | None = None, columns: tuple[str, ...] | None = None
    ) -> sql.Composable:
        """Its columns, as a list."""
        return sql.SQL(", ").join(
            sql.Identifier(column) if alias is None else sql.Identifier(alias, column)
            for column in (columns or self.columns)
        )

    @property
    def part(self) -> sql.Composable:
        """Which part of the table a row ``t`` belongs to."""
        if self.is_numbered:
            return sql.SQL("({} / {})::bigint").format(
                sql.Identifier("t", self.key[0]), sql.Literal(RANGE)
            )
        return sql.SQL('hashtextextended(ROW({})::text COLLATE "C", 0) & {}').format(
            self.names("t", self.key), sql.Literal(PARTS - 1)
        )


def configuration(server: Server) -> dict[str, Table]:
    """The tables of configuration, those that others refer to first. Raises MoveRefused."""
    found: dict[str, Table] = {}
    for name, kind in server.rows("relations"):
        if name in TELEMETRY | OF_THE_SERVER | COUNTERS:
            continue
        if kind not in ("r", "p"):
            what = {"m": "materialised view", "f": "foreign table"}[kind]
            raise MoveRefused(
                f"public.{name} on the {server.label} is a {what}: no move knows how to copy it"
            )
        found[name] = _table(server, name)
    return {name: found[name] for name in _in_order(set(found), server.rows("references"))}


def _table(server: Server, name: str) -> Table:
    rows = [row for row in server.rows("columns", table=f"public.{name}") if not row[3]]
    key = tuple(
        column for _, column in sorted((row[4], row[0]) for row in rows if row[4] is not None)
    )
    if not key:
        raise MoveRefused(
            f"public.{name} on the {server.label} has no primary key: its rows cannot be told apart"
        )
    types = {row[0]: row[1] for row in rows}
    return Table(
        name,
        tuple(types),
        tuple(types.values()),
        key,
        is_numbered=len(key) == 1 and types[key[0]] in _NUMBERS,
    )


def _in_order(names: set[str], references: list[tuple[Any, ...]]) -> list[str]:
    needs: dict[str, set[str]] = {name: set() for name in names}
    for referring, referred in references:
        child, parent = (each.removeprefix("public.").strip('"') for each in (referring, referred))
        if child in needs and parent in needs:
            needs[child].add(parent)
    ordered: list[str] = []
    while needs:
        ready = sorted(name for name, parents in needs.items() if parents <= set(ordered))
        if not ready:
            raise MoveRefused(
                f"these tables refer to each other in a circle: {', '.join(sorted(needs))}"
            )
        ordered += ready
        for name in ready:
            del needs[name]
    return ordered


def same(source: dict[str, Table], target: dict[str, Table]) -> None:
    """Raises MoveRefused where the two servers' tables of configuration are not the same."""
    for name in source.keys() ^ target.keys():
        where = "source" if name in source else "target"
        raise MoveRefused(
            f"public.{name} is on the {where} alone, and it is neither telemetry nor a server's own"
        )
    for name, table in source.items():
        if table != target[name]:
            raise MoveRefused(f"public.{name} has other columns on the target than on the source")
