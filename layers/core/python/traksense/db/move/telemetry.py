"""Rows that come by time: copied by days, compared by hours, until both servers have the same.

A day is one transaction on the target. Rows are only ever added to the source, so an hour is the
same on both as long as the counts are, once it was found to be by its checksum; and what has to be
looked at again, when nobody may write any more, is the hours whose count has changed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from traksense.db.move.errors import MoveRefused
from traksense.db.move.ledger import Hour, Ledger
from traksense.db.move.progress import Rate, Say
from traksense.db.move.servers import Pair, Server, stream
from traksense.db.move.spans import DAY, HOUR, day_of, hours_of, spans

_NOTHING: Final = Hour(0, 0)  # type: ignore[arg-type]


@dataclass(slots=True)
class DayResult:
    """A day on both servers, as far as it was compared."""

    source: int = 0
    target: int = 0
    is_equal: bool = True


@dataclass(slots=True)
class Round:
    """What a round did."""

    copied: int = 0
    """Rows of days that were not there."""
    added: int = 0
    """Rows that came to the others meanwhile."""
    days: set[datetime] = field(default_factory=set)
    """Days that got any."""


class Telemetry:
    """One kind of rows."""

    def __init__(
        self, pair: Pair, ledger: Ledger, name: str, say: Say, *, trust_ledger: bool
    ) -> None:
        """``trust_ledger``: what an earlier run found equal is; else it is compared again."""
        self._pair = pair
        self._ledger = ledger
        self.name = name
        """``readings``, say."""
        self._say = say
        self._copied = set(ledger.days(name))
        self._checked = ledger.hours(name) if trust_ledger else {}
        self._different: dict[datetime, tuple[Hour, Hour]] = {}
        self._has_straight_copy = f"{name}_write" in pair.target.queries

    # What there is ------------------------------------------------------------------------------

    @staticmethod
    def counts_of(source: Server, name: str) -> dict[datetime, int]:
        """The rows on a server by day; days without any are left out."""
        days = [day for (day,) in source.rows(f"{name}_days_{source.engine}")]
        count = f"{name}_count_day_{source.engine}"
        return {day: n for day in days if (n := int(source.value(count, day=day)))}

    @property
    def first_day(self) -> datetime | None:
        """The first day that is on the target."""
        return min(self._copied, default=None)

    # Copying ------------------------------------------------------------------------------------

    def round(self) -> Round:
        """Copy the days that are missing, and what came to the others; compare what changed."""
        done = Round()
        counts = self.counts_of(self._pair.source, self.name)
        self._forget_gone(counts)
        rate = Rate(sum(n for day, n in counts.items() if day not in self._copied))
        for place, (day, count) in enumerate(sorted(counts.items()), 1):
            if day not in self._copied:
                started = time.monotonic()
                copied = self._copy_day(day)
                took = time.monotonic() - started
                self._settle(day)
                done.copied += copied
                done.days.add(day)
                self._say(
                    f"{self.name} {day:%Y-%m-%d}: {copied:,} rows in {took:.1f} s, "
                    f"{self._verdict(day)}, day {place} of {len(counts)}, {rate.add(copied)}"
                )
            elif count != self._checked_rows(day):
                added = self._settle(day)
                if added:
                    done.added += added
                    done.days.add(day)
                    self._say(
                        f"{self.name} {day:%Y-%m-%d}: {added:,} rows more, {self._verdict(day)}"
                    )
        return done

    def _forget_gone(self, counts: dict[datetime, int]) -> None:
        """Days that the source's retention has dropped meanwhile: the target's will, too."""
        oldest = min(counts, default=None)
        for day in sorted(self._copied):
            if oldest is not None and day < oldest:
                self._say(f"{self.name} {day:%Y-%m-%d}: gone from the source since it was copied")
                self._copied.discard(day)
                for hour in hours_of(day):
                    self._checked.pop(hour, None)
                    self._different.pop(hour, None)

    def _copy_day(self, day: datetime) -> int:
        target = self._pair.target
        with target.transaction():
            sealed, current_pass = target.rows("watermark")[0]
            if f"{self.name}_ensure_day" in target.queries:
                target.run(f"{self.name}_ensure_day", day=day)
            if self._has_straight_copy and not _is_past(sealed, day) and not self._is_closed(day):
                rows = stream(
                    self._pair.source,
                    self._pair.source.queries[f"{self.name}_read"],
                    target,
                    target.queries[f"{self.name}_write"],
                    first=day,
                    ends=day + DAY,
                )
            else:
                rows = self._add(day, day + DAY, sealed, current_pass)
            self._ledger.note_day(self.name, day, rows)
        self._copied.add(day)
        return rows

    def _add_span(self, first: datetime, ends: datetime) -> int:
        target = self._pair.target
        with target.transaction():
            sealed, current_pass = target.rows("watermark")[0]
            return self._add(first, ends, sealed, current_pass)

    def _add(
        self, first: datetime, ends: datetime, sealed: datetime | None, current_pass: int | None
    ) -> int:
        """Rows of a span within a day that are not there yet; how many. In a transaction."""
        target = self._pair.target
        target.run(f"{self.name}_stage")
        staged = stream(
            self._pair.source,
            self._pair.source.queries[f"{self.name}_read"],
            target,
            target.queries[f"{self.name}_write_staged"],
            first=first,
            ends=ends,
        )
        if not staged:
            return 0
        add = f"{self.name}_add"
        if f"{add}_to_closed" in target.queries and self._is_closed(first):
            add = f"{add}_to_closed"
        added = target.value(add)
        if _is_past(sealed, first) and f"{self.name}_mark" in target.queries:
            target.run(f"{self.name}_mark", sealed=sealed, **{"pass": current_pass})
        return int(added or 0)

    def _is_closed(self, at: datetime) -> bool:
        return bool(self._pair.target.value(f"is_closed_{self._pair.target.engine}", day=at))

    def remove_day(self, day: datetime) -> None:
        """Take a day off the target, in a transaction, so that the next round copies it."""
        if self._is_closed(day):
            raise MoveRefused(
                f"{day:%Y-%m-%d} is closed on the target: begin anew with an empty database"
            )
        target = self._pair.target
        target.rows("watermark")
        target.run(f"{self.name}_remove_day", day=day)
        self._ledger.forget_day(self.name, day)
        self._copied.discard(day)
        for hour in hours_of(day):
            self._checked.pop(hour, None)

    # Comparing ----------------------------------------------------------------------------------

    def _settle(self, day: datetime) -> int:
        """Compare the hours that changed, add what is missing, compare that again; rows added."""
        due = self._due(day)
        if not due:
            return 0
        missing = self._compare(due)
        added = sum(self._add_span(first, ends) for first, ends in spans(missing))
        if missing:
            self._compare(missing)
        return added

    def _due(self, day: datetime) -> set[datetime]:
        known = [hour for hour in hours_of(day) if hour in self._checked]
        if not known:
            return set(hours_of(day))
        rows = self._pair.source.rows(f"{self.name}_count_hours", first=day, ends=day + DAY)
        counts = dict(rows)
        return {
            hour
            for hour in hours_of(day)
            if counts.get(hour, 0) != self._checked.get(hour, _NOTHING).rows
            or hour in self._different
        }

    def _compare(self, hours: set[datetime]) -> set[datetime]:
        """Compare hours of one day; those of which the target has fewer rows."""
        first, ends = min(hours), max(hours) + HOUR
        here, there = self._pair.both(f"{self.name}_check_hours", first=first, ends=ends)
        on_source, on_target = (
            {hour: Hour(int(rows), checksum) for hour, rows, checksum in found}
            for found in (here, there)
        )
        missing = set()
        for hour in sorted(hours):
            source, target = on_source.get(hour, _NOTHING), on_target.get(hour, _NOTHING)
            if source == target:
                self._different.pop(hour, None)
                if self._checked.get(hour) != source:
                    self._checked[hour] = source
                    self._ledger.note_hour(self.name, hour, source)
                continue
            self._checked.pop(hour, None)
            self._different[hour] = (source, target)
            if target.rows < source.rows:
                missing.add(hour)
        return missing

    def _checked_rows(self, day: datetime) -> int:
        return sum(self._checked[hour].rows for hour in hours_of(day) if hour in self._checked)

    def _verdict(self, day: datetime) -> str:
        if any(hour in self._different for hour in hours_of(day)):
            return "DIFFERENT" if self.is_wrong(day) else "goes on"
        return "equal"

    def is_wrong(self, day: datetime) -> bool:
        """Whether the target has rows of this day that the source has not, or has otherwise."""
        return any(
            self._different[hour][0].rows <= self._different[hour][1].rows
            for hour in hours_of(day)
            if hour in self._different
        )

    def wrong_days(self) -> list[datetime]:
        """Days that no further copying makes equal."""
        days = {day_of(hour) for hour in self._different}
        return [day for day in sorted(days) if self.is_wrong(day)]

    def hours(self) -> dict[datetime, int]:
        """The hours that are equal, and their rows."""
        return {hour: each.rows for hour, each in self._checked.items() if each.rows}

    def results(self) -> dict[datetime, DayResult]:
        """Every day as it was last compared, oldest first."""
        found: dict[datetime, DayResult] = {day: DayResult() for day in sorted(self._copied)}
        for hour, each in self._checked.items():
            result = found.setdefault(day_of(hour), DayResult())
            result.source += each.rows
            result.target += each.rows
        for hour, (source, target) in self._different.items():
            result = found.setdefault(day_of(hour), DayResult())
            result.source += source.rows
            result.target += target.rows
            result.is_equal = False
        return dict(sorted(found.items()))


def _is_past(sealed: datetime | None, first: datetime) -> bool:
    return sealed is not None and sealed > first
