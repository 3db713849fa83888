"""What a move notes on the target of how far it is, so that the next run goes on from there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from traksense.db.move.servers import Server

Phase = Literal["copying", "fenced", "done"]


@dataclass(frozen=True, slots=True)
class Move:
    """The move that was begun."""

    source: str
    phase: Phase
    fenced_at: datetime | None
    raw_from: datetime | None
    """Where the readings begin that came along."""


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of rows, as found on both servers."""

    rows: int
    checksum: Decimal


class Ledger:
    """The tables of ``traksense_move``."""

    def __init__(self, target: Server) -> None:
        self._target = target

    def exists(self) -> bool:
        """Whether a move to here was begun."""
        return bool(self._target.value("has_ledger"))

    def begin(self, source: str) -> None:
        """Make the tables and note the source."""
        with self._target.transaction():
            self._target.owner.execute(self._target.queries["make_ledger"])
            self._target.run("begin_move", source=source)

    def move(self) -> Move:
        """The move that was begun."""
        return Move(*self._target.rows("move")[0])

    def set_phase(self, phase: Phase) -> None:
        """Note how far it is."""
        self._target.run("set_phase", phase=phase)

    def set_raw_from(self, at: datetime) -> None:
        """Note where the readings begin that came along."""
        self._target.run("set_raw_from", raw_from=at)

    def days(self, stream: str) -> dict[datetime, int]:
        """The days whose copy is here, and the rows that it brought."""
        return dict(self._target.rows("copied_days", stream=stream))

    def note_day(self, stream: str, day: datetime, rows: int) -> None:
        """In the transaction of the day's copy."""
        self._target.run("note_day", stream=stream, day=day, rows=rows)

    def forget_day(self, stream: str, day: datetime) -> None:
        """In the transaction that removes the day's rows."""
        self._target.run("forget_day", stream=stream, day=day)

    def hours(self, stream: str) -> dict[datetime, Hour]:
        """The hours that were found equal."""
        rows = self._target.rows("checked_hours", stream=stream)
        return {hour: Hour(int(count), checksum) for hour, count, checksum in rows}

    def note_hour(self, stream: str, hour: datetime, found: Hour) -> None:
        """An hour is equal on both servers."""
        self._target.run(
            "note_hour", stream=stream, hour=hour, rows=found.rows, checksum=found.checksum
        )

    def rollups(self) -> set[tuple[str, datetime]]:
        """Levels and months of rollups that were copied."""
        return {(level, month) for level, month in self._target.rows("copied_rollups")}

    def note_rollups(self, level: str, month: datetime, buckets: int, checksum: Decimal) -> None:
        """In the transaction of the month's copy."""
        self._target.run(
            "note_rollups", level=level, month=month, buckets=buckets, checksum=checksum
        )

    def drop(self) -> None:
        """Forget the move."""
        self._target.run("drop_ledger")
