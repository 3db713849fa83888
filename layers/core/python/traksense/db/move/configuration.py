"""Configuration: brought to the target, and brought again as it changes, until both are equal.

A table is compared in parts by checksums of its rows; the parts that differ are copied, and the
rows that are too many deleted. So the last time, when nobody may write, costs what has changed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from psycopg import errors as pg_errors
from psycopg import sql

from traksense.db.move import catalogue
from traksense.db.move.catalogue import Table
from traksense.db.move.servers import Pair, stream

Parts = dict[int, tuple[int, Decimal]]
"""Rows and checksum of each part of a table."""

_FINGERPRINT: Final = (
    'SELECT {part}, count(*), sum(hashtextextended(ROW({columns})::text COLLATE "C", 0))'
    " FROM {table} t GROUP BY 1"
)


class Configuration:
    """Everything but telemetry."""

    def __init__(self, pair: Pair) -> None:
        """Raises MoveRefused where the two servers' tables do not fit."""
        self._pair = pair
        self.tables = catalogue.configuration(pair.source)
        catalogue.same(self.tables, catalogue.configuration(pair.target))

    def bring(self) -> int:
        """Make the target's rows those of the source; how many parts of tables differed.

        One snapshot of the source, one transaction on the target.
        """
        try:
            return self._bring(anew=False)
        except pg_errors.UniqueViolation:
            # Two rows that exchanged a name, say, cannot be changed one by one.
            return self._bring(anew=True)

    def _bring(self, *, anew: bool) -> int:
        source, target = self._pair.source, self._pair.target
        with source.transaction(snapshot=True), target.transaction():
            if anew:
                # With the counters, which refer to it.
                every = [table.identifier for table in self.tables.values()]
                every += [sql.Identifier("public", name) for name in sorted(catalogue.COUNTERS)]
                names = sql.SQL(", ").join(every)
                target.owner.execute(sql.SQL("TRUNCATE {}").format(names))
            different = {
                name: sorted(parts)
                for name, table in self.tables.items()
                if (parts := differing(*self._fingerprints(table)))
            }
            self._set_triggers("DISABLE")
            for name in different:
                self._stage(self.tables[name], different[name])
            for name in reversed(different):
                self._delete(self.tables[name], different[name])
            for name in different:
                self._upsert(self.tables[name])
            self._set_triggers("ENABLE")
            self._set_sequences()
        return sum(len(parts) for parts in different.values())

    def _set_triggers(self, state: str) -> None:
        # A point brings its dim_point along by a trigger; here both are copied as they are.
        # What checks references is no trigger of the user, and stays.
        for table in self.tables.values():
            self._pair.target.owner.execute(
                sql.SQL("ALTER TABLE {} {} TRIGGER USER").format(
                    table.identifier, sql.SQL("DISABLE" if state == "DISABLE" else "ENABLE")
                )
            )

    def _stage(self, table: Table, parts: list[int]) -> None:
        staged = sql.Identifier("pg_temp", f"staged_{table.name}")
        self._pair.target.owner.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA"
            ).format(sql.Identifier(f"staged_{table.name}"), table.names(), table.identifier)
        )
        stream(
            self._pair.source,
            sql.SQL("COPY (SELECT {} FROM {} t WHERE {} = ANY ({})) TO STDOUT").format(
                table.names("t"), table.identifier, table.part, sql.Literal(parts)
            ),
            self._pair.target,
            sql.SQL("COPY {} FROM STDIN").format(staged),
        )
        self._pair.target.owner.execute(sql.SQL("ANALYZE {}").format(staged))

    def _delete(self, table: Table, parts: list[int]) -> None:
        self._pair.target.owner.execute(
            sql.SQL(
                "DELETE FROM {} t WHERE {} = ANY ({}) AND NOT EXISTS"
                " (SELECT FROM {} s WHERE ({}) = ({}))"
            ).format(
                table.identifier,
                table.part,
                sql.Literal(parts),
                sql.Identifier("pg_temp", f"staged_{table.name}"),
                table.names("s", table.key),
                table.names("t", table.key),
            )
        )

    def _upsert(self, table: Table) -> None:
        others = tuple(column for column in table.columns if column not in table.key)
        change: sql.Composable = sql.SQL("NOTHING")
        if others:
            change = sql.SQL("UPDATE SET {} WHERE ROW({})::text <> ROW({})::text").format(
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(
                        sql.Identifier(column), sql.Identifier("excluded", column)
                    )
                    for column in others
                ),
                table.names("t", others),
                table.names("excluded", others),
            )
        self._pair.target.owner.execute(
            sql.SQL(
                "INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} s"
                " ON CONFLICT ({}) DO {}"
            ).format(
                table.identifier,
                table.names(),
                table.names("s"),
                sql.Identifier("pg_temp", f"staged_{table.name}"),
                table.names(None, table.key),
                change,
            )
        )

    def _set_sequences(self) -> None:
        """What a sequence has given out is never given out again, were the row deleted, too."""
        source, target = self._pair.source, self._pair.target
        for name, table in source.rows("sequences"):
            if table is not None and table not in self.tables:
                continue
            state = source.owner.execute(
                sql.SQL("SELECT last_value, is_called FROM {}").format(
                    sql.Identifier("public", name)
                )
            ).fetchone()
            if state is not None:
                target.owner.execute(
                    "SELECT pg_catalog.setval(%s::regclass, %s, %s)", (f'public."{name}"', *state)
                )

    def _fingerprints(self, table: Table) -> tuple[Parts, Parts]:
        statement = sql.SQL(_FINGERPRINT).format(
            part=table.part, columns=table.names("t"), table=table.identifier
        )
        return _as_parts(*self._pair.both_composed(statement))

    def compare(self) -> dict[str, tuple[int, int, bool]]:
        """Rows on the source and on the target by table, and whether they are equal."""
        compared = {}
        for name, table in self.tables.items():
            here, there = self._fingerprints(table)
            counts = [sum(rows for rows, _ in parts.values()) for parts in (here, there)]
            compared[name] = (counts[0], counts[1], not differing(here, there))
        return compared


def _as_parts(*found: Any) -> tuple[Parts, Parts]:
    here, there = ({part: (rows, checksum) for part, rows, checksum in each} for each in found)
    return here, there


def differing(here: Parts, there: Parts) -> set[int]:
    """The parts that are not the same."""
    return {part for part in here.keys() | there.keys() if here.get(part) != there.get(part)}
