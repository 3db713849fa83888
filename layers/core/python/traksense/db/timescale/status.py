"""What TimescaleDB keeps, in lines for people."""

from __future__ import annotations

from datetime import UTC, datetime

from traksense.db import queries
from traksense.db.connection import Database

_HEADING = (
    f"{'level':<8} {'chunks':>6} {'in columns':>10} {'late':>5} {'size':>12} "
    f"{'before':>12} {'after':>12}  from … to"
)


def describe(database: Database) -> list[str]:
    """Chunks of each level: how many, how many are compressed and how many of these got late rows,
    bytes of all, and of the compressed ones before and after. Raises DatabaseAway.
    """
    with database.transaction("traksense_owner") as cursor:
        rows = cursor.execute(queries.load("timescale")["chunks"]).fetchall()
    return [_HEADING, *(_line(*row) for row in rows)]


def _line(
    level: str,
    chunks: int,
    compressed: int,
    late: int,
    size: int,
    before: int | None,
    after: int | None,
    first: datetime | None,
    ends: datetime | None,
) -> str:
    shown = f"{level:<8} {chunks:>6} {compressed:>10} {late:>5} {size:>12,} "
    shown += f"{_bytes(before):>12} {_bytes(after):>12}"
    if first is None or ends is None:
        return shown
    return f"{shown}  {first.astimezone(UTC):%Y-%m-%d} … {ends.astimezone(UTC):%Y-%m-%d}"


def _bytes(size: int | None) -> str:
    return "–" if size is None else f"{size:,}"
