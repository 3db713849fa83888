"""Exports that do not succeed, and those that nobody looks after but the clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from traksense.domain.errors import RetryableError
from traksense.domain.exports import Failure, Run, Status
from traksense.services.export_fail import ExportFail, Standing
from traksense.services.export_runs import Execution
from traksense.services.export_upkeep import MOST_ATTEMPTS, ExportUpkeep, Finished

ACME, GLOBEX = UUID(int=1), UUID(int=2)
RUN = Run(ACME, UUID(int=10), 1)


class FakeFiles:
    """Keys in a bucket, some of which appear only after a look."""

    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)
        self.late: list[str] = []
        self.is_away = False

    def exists(self, key: str) -> bool:
        return key in self.keys

    def remove_all(self, prefix: str, keep: str | None = None) -> int:
        if self.is_away:
            raise RetryableError("S3 is away")
        gone = {key for key in self.keys if key.startswith(prefix) and key != keep}
        self.keys -= gone
        if self.late:
            self.keys.add(self.late.pop())
        return len(gone)


class FakeMail:
    def __init__(self) -> None:
        self.sent: list[tuple[str, Run]] = []
        self.is_away = False

    def _send(self, what: str, run: Run) -> bool:
        if self.is_away:
            raise RetryableError("SES is away")
        self.sent.append((what, run))
        return True

    def completed(self, run: Run) -> bool:
        return self._send("completed", run)

    def failed(self, run: Run) -> bool:
        return self._send("failed", run)


class FakeFailStore:
    def __init__(self, standing: Standing | None) -> None:
        self.at = standing
        self.failure: Failure | None = None

    def fail(self, run: Run, failure: Failure) -> bool:
        at = self.at
        if at is None or not at.status.is_running or at.attempt != run.attempt:
            return False
        self.failure = failure
        self.at = Standing(Status.FAILED, at.attempt, None)
        return True

    def standing(self, run: Run) -> Standing | None:
        return self.at


def failing(
    standing: Standing | None, files: FakeFiles
) -> tuple[ExportFail, FakeFailStore, FakeMail, list[float]]:
    store, mail = FakeFailStore(standing), FakeMail()
    slept: list[float] = []
    return ExportFail(store, files, mail, slept.append), store, mail, slept


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ("ExportTooLarge", Failure.TOO_LARGE),
        ("States.Timeout", Failure.TIMED_OUT),
        ("Sandbox.Timedout", Failure.TIMED_OUT),
        ("S3Away", Failure.STORAGE_AWAY),
        ("DatabaseAway", Failure.DATABASE_AWAY),
        ("Runtime.ExitError", Failure.INTERNAL),
        ("KeyError", Failure.INTERNAL),
    ],
)
def test_an_export_that_ran_has_failed_for_a_reason_and_is_mailed(
    error: str, failure: Failure
) -> None:
    files = FakeFiles(f"{RUN.staging_prefix}1-0000-a", "other/file")
    fail, store, mail, _ = failing(Standing(Status.PROCESSING, 1, None), files)
    assert fail.fail(RUN, error) is Status.FAILED
    assert store.failure is failure
    assert files.keys == {"other/file"}
    assert mail.sent == [("failed", RUN)]


def test_a_cancelled_export_loses_its_files_and_nobody_is_mailed() -> None:
    files = FakeFiles(f"{RUN.staging_prefix}1-0000-a")
    fail, store, mail, _ = failing(Standing(Status.CANCELLED, 1, None), files)
    assert fail.fail(RUN, "ExportEnded") is Status.CANCELLED
    assert store.failure is None
    assert files.keys == set()
    assert mail.sent == []


def test_what_other_workers_leave_a_moment_later_goes_as_well() -> None:
    files = FakeFiles(f"{RUN.staging_prefix}1-0000-a")
    files.late = [f"{RUN.staging_prefix}1-0001-b", f"{RUN.staging_prefix}1-0002-c"]
    fail, _, _, slept = failing(Standing(Status.CANCELLED, 1, None), files)
    fail.fail(RUN, "ExportEnded")
    assert files.keys == set()
    assert len(slept) == 3


def test_a_finished_file_is_never_removed() -> None:
    key = f"{RUN.prefix}1-abc/file.csv"
    files = FakeFiles(key, f"{RUN.staging_prefix}1-0000-a")
    fail, _, mail, _ = failing(Standing(Status.COMPLETED, 1, key), files)
    assert fail.fail(RUN, "States.Timeout") is Status.COMPLETED
    assert files.keys == {key}
    assert mail.sent == []


def test_of_an_attempt_that_was_overtaken_only_its_own_files_go() -> None:
    later = {f"{RUN.staging_prefix}2-0000-a", f"{RUN.prefix}2-abc/file.csv"}
    own = {f"{RUN.staging_prefix}1-0000-a", f"{RUN.prefix}1-abc/file.csv"}
    files = FakeFiles(*later, *own, f"{RUN.staging_prefix}11-0000-a")
    fail, store, mail, _ = failing(Standing(Status.PROCESSING, 2, None), files)
    assert fail.fail(RUN, "ExportEnded") is Status.PROCESSING
    assert files.keys == {*later, f"{RUN.staging_prefix}11-0000-a"}
    assert store.failure is None
    assert mail.sent == []


def test_files_of_an_export_that_was_erased_go() -> None:
    files = FakeFiles(f"{RUN.staging_prefix}1-0000-a")
    fail, _, _, _ = failing(None, files)
    assert fail.fail(RUN, "ExportEnded") is None
    assert files.keys == set()


class FakeUpkeepStore:
    """Exports by their id."""

    def __init__(self) -> None:
        self.expired: list[Run] = []
        self.alive: list[Run] = []
        self.failures: dict[UUID, Failure] = {}
        self.silent: list[tuple[Run, Status]] = []
        self.emptied: list[Run] = []
        self.to_empty: list[Run] = []
        self.done: list[Finished] = []
        self.lost: list[Run] = []

    def expire(self, most: int) -> Sequence[Run]:
        return self.expired[:most]

    def running(self, older_than: timedelta, most: int) -> Sequence[Run]:
        return self.alive[:most]

    def begin_again(self, run: Run) -> Run | None:
        if run not in self.alive:
            return None
        self.alive.remove(run)
        self.alive.append(Run(run.tenant_id, run.export_id, run.attempt + 1))
        return self.alive[-1]

    def fail(self, run: Run, failure: Failure) -> bool:
        if run not in self.alive:
            return False
        self.alive.remove(run)
        self.failures[run.export_id] = failure
        return True

    def unmailed(self, older_than: timedelta, most: int) -> Sequence[tuple[Run, Status]]:
        return self.silent[:most]

    def with_files(self, ended_before: timedelta, most: int) -> Sequence[Run]:
        return self.to_empty[:most]

    def note_files_removed(self, run: Run) -> None:
        self.emptied.append(run)

    def forget(self, after: timedelta, most: int) -> int:
        return 0

    def finished(self, after: Run | None, most: int) -> Sequence[Finished]:
        return self.done if after is None else []

    def lose(self, run: Run) -> bool:
        self.lost.append(run)
        return True


class FakeRuns:
    def __init__(self) -> None:
        self.executions: dict[str, Execution] = {}
        self.started: list[Run] = []
        self.away_for: set[Run] = set()

    def start(self, run: Run) -> None:
        self.started.append(run)

    def find(self, run: Run) -> Execution | None:
        if run in self.away_for:
            raise RetryableError("Step Functions is away")
        return self.executions.get(run.execution_name)


class Upkeep:
    def __init__(self) -> None:
        self.store, self.runs = FakeUpkeepStore(), FakeRuns()
        self.files, self.mail = FakeFiles(), FakeMail()
        self.service = ExportUpkeep(
            self.store, self.runs, self.files, self.mail, timedelta(days=90)
        )


def test_an_export_whose_execution_is_lost_is_begun_again_until_it_is_enough() -> None:
    made = Upkeep()
    made.store.alive = [RUN]
    for attempt in range(2, MOST_ATTEMPTS + 1):
        report = made.service.settle()
        assert report.begun_again == 1
        assert made.runs.started[-1] == Run(ACME, RUN.export_id, attempt)
    report = made.service.settle()
    assert (report.begun_again, report.failed) == (0, 1)
    assert made.store.failures == {RUN.export_id: Failure.INTERNAL}
    assert made.mail.sent == [("failed", Run(ACME, RUN.export_id, MOST_ATTEMPTS))]


@pytest.mark.parametrize(
    ("execution", "failure"),
    [
        (Execution("TIMED_OUT"), Failure.TIMED_OUT),
        (Execution("ABORTED"), Failure.INTERNAL),
        (Execution("FAILED", "S3Away"), Failure.STORAGE_AWAY),
        (Execution("FAILED", "DatabaseAway"), Failure.DATABASE_AWAY),
        (Execution("FAILED", "States.Runtime"), Failure.INTERNAL),
        (Execution("SUCCEEDED"), Failure.INTERNAL),
    ],
)
def test_an_export_whose_execution_ended_in_silence_has_failed(
    execution: Execution, failure: Failure
) -> None:
    made = Upkeep()
    made.store.alive = [RUN]
    made.runs.executions[RUN.execution_name] = execution
    assert made.service.settle().failed == 1
    assert made.store.failures == {RUN.export_id: failure}
    assert made.mail.sent == [("failed", RUN)]


def test_an_export_that_runs_is_left_alone() -> None:
    made = Upkeep()
    made.store.alive = [RUN]
    made.runs.executions[RUN.execution_name] = Execution("RUNNING")
    report = made.service.settle()
    assert (report.begun_again, report.failed) == (0, 0)
    assert made.store.alive == [RUN]


def test_trouble_with_one_export_keeps_no_other_from_being_settled() -> None:
    made = Upkeep()
    other = Run(GLOBEX, UUID(int=11), 1)
    made.store.alive = [RUN, other]
    made.runs.away_for = {RUN}
    made.runs.executions[other.execution_name] = Execution("TIMED_OUT")
    report = made.service.settle()
    assert (report.troubles, report.failed) == (1, 1)
    assert made.store.alive == [RUN]


def test_an_e_mail_that_was_not_sent_is_sent_again() -> None:
    made = Upkeep()
    other = Run(GLOBEX, UUID(int=11), 1)
    made.store.silent = [(RUN, Status.COMPLETED), (other, Status.FAILED)]
    assert made.service.settle().mailed == 2
    assert made.mail.sent == [("completed", RUN), ("failed", other)]
    made.mail.is_away = True
    assert made.service.settle().troubles == 2


def test_files_are_noted_as_gone_when_a_look_finds_none() -> None:
    made = Upkeep()
    made.store.to_empty = [RUN]
    made.files.keys = {f"{RUN.prefix}1-abc/file.csv"}
    assert made.service.settle().emptied == 1
    assert made.files.keys == set()
    assert made.store.emptied == [RUN]
    made.files.is_away = True
    assert made.service.settle().emptied == 0


def test_a_finished_export_without_its_file_is_lost() -> None:
    made = Upkeep()
    other = Run(GLOBEX, UUID(int=11), 1)
    made.store.done = [Finished(RUN, "there"), Finished(other, "gone")]
    made.files.keys = {"there"}
    assert made.service.check_files() == 1
    assert made.store.lost == [other]
