"""The move, from its first row to the last comparison."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

from traksense.db.move.configuration import Configuration
from traksense.db.move.errors import Mismatch
from traksense.db.move.fence import Fence
from traksense.db.move.ledger import Ledger
from traksense.db.move.progress import Phase, Say
from traksense.db.move.rollups import Rollups
from traksense.db.move.servers import Pair
from traksense.db.move.telemetry import DayResult, Telemetry


@dataclass(slots=True)
class Outcome:
    """What a move came to."""

    stopped_s: float = 0.0
    """For how long nobody could write."""
    sessions_ended: int = 0
    days: dict[str, dict[datetime, DayResult]] = field(default_factory=dict)
    """By kind of rows and day."""
    tables: dict[str, tuple[int, int, bool]] = field(default_factory=dict)
    """Configuration: rows on the source, on the target, whether equal."""


class Mover:
    """A move whose servers were found fit for it."""

    def __init__(
        self,
        pair: Pair,
        ledger: Ledger,
        configuration: Configuration,
        telemetry: list[Telemetry],
        rollups: Rollups,
        say: Say,
    ) -> None:
        """``telemetry``: readings first."""
        self._pair = pair
        self._ledger = ledger
        self._configuration = configuration
        self._telemetry = telemetry
        self._readings = telemetry[0]
        self._rollups = rollups
        self._fence = Fence(pair.source)
        self._say = say

    def copy(self, rounds: int, lag_s: float) -> None:
        """Copy everything while ingestion goes on, until a round takes less than so long.

        What a round leaves is what comes while it runs. Raises Mismatch.
        """
        self._bring_configuration()
        for number in range(1, rounds + 1):
            phase = Phase(self._say, f"round {number}")
            done = [each.round() for each in self._telemetry]
            self._refuse_wrong_days()
            self._bring_configuration()  # before the rollups: they ask for the points
            self._copy_old_rollups()
            self._rollups.refresh("target")
            copied, added = sum(d.copied for d in done), sum(d.added for d in done)
            phase.done(f"{copied:,} rows copied, {added:,} added")
            if phase.seconds <= lag_s:
                break
        else:
            self._say(f"after {rounds} rounds the last one took {phase.seconds:.0f} s: going on")
        phase = Phase(self._say, "comparing rollups")
        for which in self._rollups.recomputed_otherwise(self._ledger.move().raw_from):
            self._say(f"note: the target has computed {which} otherwise than the source has it")
        wrong = self._rollups.compare(self._readings.hours())
        phase.done(f"{len(wrong)} days are not equal yet" if wrong else "equal")

    def _bring_configuration(self) -> None:
        phase = Phase(self._say, "configuration")
        parts = self._configuration.bring()
        tables = len(self._configuration.tables)
        phase.done(f"{tables} tables, {parts} parts of them brought")

    def _copy_old_rollups(self) -> None:
        raw_from = self._ledger.move().raw_from
        if raw_from is None:
            # Without a reading, every bucket there is was made of those that are gone.
            raw_from = self._readings.first_day or self._pair.source.value("today")
            self._ledger.set_raw_from(raw_from)
        self._rollups.copy_old(raw_from)

    def _refuse_wrong_days(self) -> None:
        wrong = [f"{day:%Y-%m-%d}" for each in self._telemetry for day in each.wrong_days()]
        if wrong:
            raise Mismatch(
                f"the target has rows that the source has not, or has otherwise, on "
                f"{', '.join(sorted(set(wrong)))}. See what wrote to the target; --recopy DAY "
                "takes a day off it and copies it anew"
            )

    def finish(self) -> Outcome:
        """Stop the writers, bring what is left, compare. The source stays read-only.

        Raises Mismatch, and MoveRefused where sessions do not end.
        """
        started = time.monotonic()
        outcome = Outcome()
        self._ledger.set_phase("fenced")
        phase = Phase(self._say, "fence: the source is read-only from now on")
        outcome.sessions_ended = self._fence.raise_up()
        phase.done(f"{outcome.sessions_ended} sessions ended")
        phase = Phase(self._say, "last difference")
        done = [each.round() for each in self._telemetry]
        self._configuration.bring()
        self._copy_old_rollups()
        phase.done(f"{sum(d.copied + d.added for d in done):,} rows")
        self._compare(outcome)
        self._ledger.set_phase("done")
        outcome.stopped_s = time.monotonic() - started
        return outcome

    def _compare(self, outcome: Outcome) -> None:
        phase = Phase(self._say, "last comparison")
        self._rollups.refresh("target")
        self._rollups.refresh("source")
        outcome.tables = self._configuration.compare()
        for each in self._telemetry:
            outcome.days[each.name] = each.results()
        wrong = [name for name, (_, _, is_equal) in outcome.tables.items() if not is_equal]
        wrong += [
            f"{name} of {day:%Y-%m-%d}"
            for name, days in outcome.days.items()
            for day, result in days.items()
            if not result.is_equal
        ]
        wrong += [f"rollups {which}" for which in self._rollups.compare(self._readings.hours())]
        if wrong:
            raise Different(outcome, wrong)
        phase.done("equal")


class Different(Mismatch):
    """Source and target differ at the end; with what was found."""

    def __init__(self, outcome: Outcome, wrong: list[str]) -> None:
        super().__init__(
            f"not equal: {', '.join(wrong)}. The source stays read-only. Run the same command "
            "again; if it says the same, --reopen lets the source go on and --recopy DAY copies a "
            "day anew"
        )
        self.outcome = outcome
