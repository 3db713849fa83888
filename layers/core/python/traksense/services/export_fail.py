"""The last step of an export that fails: it is marked, its files go, and who asked is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from traksense.domain.exports import Failure, Run, Status

SWEEP_EVERY_S: Final = 1.5
"""Other workers notice within a second that the export has ended, and then remove their own."""
MOST_SWEEPS: Final = 10

FAILURES: Final = {
    "ExportTooLarge": Failure.TOO_LARGE,
    "States.Timeout": Failure.TIMED_OUT,
    "Sandbox.Timedout": Failure.TIMED_OUT,
    "S3Away": Failure.STORAGE_AWAY,
    "FileMismatch": Failure.STORAGE_AWAY,
    "DatabaseAway": Failure.DATABASE_AWAY,
}
"""What a step's error means to a person, by the error's name; every other one is ours."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an export is at."""

    status: Status
    attempt: int
    file_key: str | None


class FailStore(Protocol):
    """What failing asks of the database. Every method raises DatabaseAway."""

    def fail(self, run: Run, failure: Failure) -> bool:
        """The export failed; False where it no longer ran with this attempt."""

    def standing(self, run: Run) -> Standing | None:
        """What the export is at; None where there is none any more."""


class Files(Protocol):
    """The files of exports."""

    def remove_all(self, prefix: str, keep: str | None = None) -> int:
        """Remove every object and every unfinished upload under a prefix, but one; how many.

        Raises RetryableError.
        """


class FailureMail(Protocol):
    """Who tells the person who asked."""

    def failed(self, run: Run) -> bool:
        """Mail why it failed, if it did and was not mailed. Raises RetryableError."""


class ExportFail:
    """Ends executions that did not succeed."""

    def __init__(
        self,
        store: FailStore,
        files: Files,
        mail: FailureMail,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._files = files
        self._mail = mail
        self._sleep = sleep

    def fail(self, run: Run, error: str) -> Status | None:
        """Mark what still runs as failed, by the name of a step's error; remove its files in any
        case, unless they are a finished export's. What the export is at; None where it is gone.

        Raises DatabaseAway, RetryableError: then call again.
        """
        if self._store.fail(run, FAILURES.get(error, Failure.INTERNAL)):
            _log.error("export failed", extra={**run.named, "error": error})
        standing = self._store.standing(run)
        self._remove_files(run, standing)
        if standing is None:
            return None
        if standing.status is Status.FAILED:
            self._mail.failed(run)
        return standing.status

    def _remove_files(self, run: Run, standing: Standing | None) -> None:
        for sweep in range(MOST_SWEEPS):
            if sweep:
                self._sleep(SWEEP_EVERY_S)
            removed = self._sweep(run, standing)
            if sweep and not removed:
                return
        _log.warning("files of an export keep appearing", extra=run.named)

    def _sweep(self, run: Run, standing: Standing | None) -> int:
        if standing is not None and standing.attempt != run.attempt:
            # A later attempt has it: only what this one wrote.
            own = (f"{run.staging_prefix}{run.attempt}-", f"{run.prefix}{run.attempt}-")
            return sum(self._files.remove_all(prefix) for prefix in own)
        if standing is not None and standing.status is Status.COMPLETED:
            return self._files.remove_all(run.prefix, keep=standing.file_key)
        return self._files.remove_all(run.prefix)
