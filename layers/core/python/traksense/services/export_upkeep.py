"""Exports looked after by the clock: what expires, what was lost, what was left.

An execution may end without having said how: its time was over, it was aborted, the function that
should have said so could not, or, on one machine, the emulator went with everything it held.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from traksense.domain.errors import RetryableError
from traksense.domain.exports import Failure, Run, Status
from traksense.services.export_fail import FAILURES
from traksense.services.export_runs import ExportRuns

MOST_ATTEMPTS: Final = 3
"""Executions of one export; one whose executions get lost again and again has failed."""
STARTING: Final = timedelta(seconds=60)
"""So long whoever took the request may still be about to start its execution."""
SETTLED: Final = timedelta(minutes=16)
"""After this no step of an execution runs any more: the longest may take 15 minutes."""
UNMAILED: Final = timedelta(minutes=2)
"""After this nobody else will mail how an export ended."""
AT_ONCE: Final = 200
"""Exports of a kind in one run; the next one goes on."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """An export that is done, and its file."""

    run: Run
    file_key: str


class UpkeepStore(Protocol):
    """What looking after exports asks of the database. Every method raises DatabaseAway."""

    def expire(self, most: int) -> Sequence[Run]:
        """Mark finished exports whose time is over as expired; which those were."""

    def running(self, older_than: timedelta, most: int) -> Sequence[Run]:
        """Exports that are pending or running, the oldest first."""

    def begin_again(self, run: Run) -> Run | None:
        """Give a running export another attempt; None where it no longer ran with this one."""

    def fail(self, run: Run, failure: Failure) -> bool:
        """The export failed; False where it no longer ran with this attempt."""

    def unmailed(self, older_than: timedelta, most: int) -> Sequence[tuple[Run, Status]]:
        """Exports that ended within ``TOLD_WITHIN`` and whose e-mail has had no end yet."""

    def with_files(self, ended_before: timedelta, most: int) -> Sequence[Run]:
        """Exports that ended without a file to keep, and whose files were not seen to be gone."""

    def note_files_removed(self, run: Run) -> None:
        """Nothing lies in the bucket of it any more."""

    def forget(self, after: timedelta, most: int) -> int:
        """Delete exports that ended long ago and have no files; how many."""

    def finished(self, after: Run | None, most: int) -> Sequence[Finished]:
        """Exports that can be downloaded, in the order of their ids."""

    def lose(self, run: Run) -> bool:
        """Mark a finished export whose file is gone as expired; False where it was so already."""


class UpkeepFiles(Protocol):
    """The files of exports. Every method raises RetryableError."""

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""

    def remove_all(self, prefix: str, keep: str | None = None) -> int:
        """Remove every object and every unfinished upload under a prefix, but one; how many."""


class UpkeepMail(Protocol):
    """Who tells people how their exports ended. Every method raises RetryableError."""

    def completed(self, run: Run) -> bool:
        """Mail a finished one's link; False where there is nothing to mail any more."""

    def failed(self, run: Run) -> bool:
        """Mail why one failed; False where there is nothing to mail any more."""


@dataclass(slots=True)
class SettleReport:
    """How many exports what was done to."""

    expired: int = 0
    begun_again: int = 0
    failed: int = 0
    mailed: int = 0
    emptied: int = 0
    forgotten: int = 0
    troubles: int = 0
    """Exports that something went wrong with: the next run tries again."""


class ExportUpkeep:
    """Looks after exports. Two at once do no harm: every change is conditional."""

    def __init__(
        self,
        store: UpkeepStore,
        runs: ExportRuns,
        files: UpkeepFiles,
        mail: UpkeepMail,
        keep: timedelta,
    ) -> None:
        """``keep``: how long the list still shows an export that has ended."""
        self._store = store
        self._runs = runs
        self._files = files
        self._mail = mail
        self._keep = keep

    def settle(self) -> SettleReport:
        """Settle what has to be. Raises DatabaseAway; trouble with one export stops no other."""
        report = SettleReport()
        report.expired = len(self._store.expire(AT_ONCE))
        for run in self._store.running(STARTING, AT_ONCE):
            self._try(report, self._settle_running, run)
        for run, status in self._store.unmailed(UNMAILED, AT_ONCE):
            self._try(report, self._mail_again, run, status)
        for run in self._store.with_files(SETTLED, AT_ONCE):
            self._try(report, self._empty, run)
        report.forgotten = self._store.forget(self._keep, AT_ONCE)
        return report

    def check_files(self) -> int:
        """Mark finished exports whose file is gone as expired; how many. Raises RetryableError."""
        lost = 0
        after: Run | None = None
        while some := self._store.finished(after, AT_ONCE):
            for each in some:
                if not self._files.exists(each.file_key) and self._store.lose(each.run):
                    lost += 1
                    _log.warning("the file of an export is gone", extra=each.run.named)
            after = some[-1].run
        return lost

    def _try(self, report: SettleReport, act: Callable[..., None], run: Run, *more: object) -> None:
        try:
            act(report, run, *more)
        except RetryableError as error:
            report.troubles += 1
            _log.warning("an export is not settled yet: %s", error, extra=run.named)

    def _settle_running(self, report: SettleReport, run: Run) -> None:
        execution = self._runs.find(run)
        if execution is None:
            self._begin_again(report, run)
        elif execution.status != "RUNNING":
            known = execution.error or ""
            failure = FAILURES.get(known, Failure.INTERNAL)
            if execution.status == "TIMED_OUT":
                failure = Failure.TIMED_OUT
            self._fail(report, run, failure)

    def _begin_again(self, report: SettleReport, run: Run) -> None:
        if run.attempt >= MOST_ATTEMPTS:
            self._fail(report, run, Failure.INTERNAL)
            return
        following = self._store.begin_again(run)
        if following is None:
            return
        # Where this fails, the execution is missed again in a minute, and counted as an attempt.
        self._runs.start(following)
        report.begun_again += 1
        _log.warning("the execution of an export was lost: it is begun again",
                     extra=following.named)  # fmt: skip

    def _fail(self, report: SettleReport, run: Run, failure: Failure) -> None:
        if not self._store.fail(run, failure):
            return
        report.failed += 1
        _log.error("export failed", extra={**run.named, "failure": failure.value})
        if self._mail.failed(run):
            report.mailed += 1

    def _mail_again(self, report: SettleReport, run: Run, status: Status) -> None:
        mail = self._mail.completed if status is Status.COMPLETED else self._mail.failed
        if mail(run):
            report.mailed += 1

    def _empty(self, report: SettleReport, run: Run) -> None:
        # What is removed now may have been written a moment ago: only a look that finds nothing
        # says that nothing is there.
        if self._files.remove_all(run.prefix) and self._files.remove_all(run.prefix):
            return
        self._store.note_files_removed(run)
        report.emptied += 1
