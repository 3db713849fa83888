"""Jobs and migrations of one release and the next: order, needs, and what operators are told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from functions.maintenance import handler as maintenance
from tests.support import database as db
from tests.support.release_jobs import FILL, THINGS, Release, add_tenant, of, rows
from traksense import bootstrap
from traksense.contracts import metrics as names
from traksense.contracts.metrics import Metric
from traksense.db import job_command
from traksense.db import migrate as m
from traksense.db.connection import Database
from traksense.db.job_files import JobError, discover
from traksense.observability import NoMetrics, metrics
from traksense.services.maintenance import MaintenanceService
from traksense.settings.function import FunctionSettings

pytestmark = pytest.mark.engine("plain")

BAD = FILL.format(rows=100).replace("upper(t.name)", "1 / 0 || ''")
LOUD = "-- needs: 9002\nALTER TABLE public.things ALTER COLUMN loud SET NOT NULL;"


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    made = Release(tmp_path)
    made.migration("9001_things", THINGS.format(count=250))
    made.job("9002_fill", FILL.format(rows=100))
    yield made
    made.close()


@pytest.fixture
def url(admin_url: str) -> Iterator[str]:
    with db.fresh_database(admin_url) as made:
        yield made


def deploy(release: Release, url: str, *, alone: bool = False) -> list[int]:
    return [each.version for each in m.migrate(url, directory=release.folder, alone=alone)]


def test_a_migration_that_needs_a_job_stops_before_anything_changes_and_says_what_to_do(
    release: Release, url: str
) -> None:
    assert deploy(release, url) == [9001]
    add_tenant(url)
    release.store(url).advance(9002)
    release.migration("9003_other", "CREATE TABLE public.other (n int);")
    release.migration("9004_loud", LOUD)
    with pytest.raises(JobError) as error:
        deploy(release, url)
    for told in (
        "9004_loud needs job 9002_fill", "1 slices, 100 rows so far", "--status", "--jobs",
        "deploy again",
    ):  # fmt: skip
        assert told in str(error.value)
    assert rows(url, "SELECT to_regclass('public.other')") == [(None,)]
    assert release.jobs(url).run().finished == ("9002_fill",)
    assert deploy(release, url) == [9003, 9004]


def test_what_a_job_failed_with_is_in_the_deployments_message(release: Release, url: str) -> None:
    release.job("9002_fill", BAD)
    deploy(release, url)
    add_tenant(url)
    release.jobs(url).run()
    release.migration("9003_loud", LOUD)
    with pytest.raises(JobError, match="its last try failed: division by zero"):
        deploy(release, url)


def test_a_release_is_not_left_out_where_data_is(release: Release, url: str) -> None:
    add_tenant(url)
    release.migration("9003_loud", LOUD)
    with pytest.raises(JobError, match="deploy the release that brought it"):
        deploy(release, url)
    assert rows(url, "SELECT to_regclass('public.things')") == [(None,)]


def test_an_empty_database_is_brought_through_all_releases_at_once(
    release: Release, url: str
) -> None:
    release.migration("9003_loud", LOUD)
    assert deploy(release, url) == [9001, 9003]
    assert of(release.store(url), 9002).state == "finished"


def test_who_is_alone_with_a_database_does_what_is_needed_at_once(
    release: Release, url: str
) -> None:
    add_tenant(url)
    release.migration("9003_loud", LOUD)
    assert deploy(release, url, alone=True) == [9001, 9003]
    assert rows(url, "SELECT count(*) FROM things WHERE loud = upper(name)") == [(250,)]


def test_who_is_alone_does_no_more_than_is_needed(release: Release, url: str) -> None:
    deploy(release, url, alone=True)
    assert of(release.store(url), 9002).state == "waiting"


def test_a_job_that_fails_stops_also_who_is_alone(release: Release, url: str) -> None:
    release.job("9002_fill", BAD)
    release.migration("9003_loud", LOUD)
    with pytest.raises(JobError, match="9003_loud needs job 9002_fill"):
        deploy(release, url, alone=True)
    release.job("9002_fill", FILL.format(rows=100))
    rows(url, "UPDATE release_jobs SET next_try_at = NULL")
    assert deploy(release, url, alone=True) == [9003]


def test_a_finished_job_that_was_edited_is_refused(release: Release, url: str) -> None:
    deploy(release, url)
    release.jobs(url).run()
    release.job("9002_fill", FILL.format(rows=99))
    with pytest.raises(JobError, match="9002_fill was changed after it was finished"):
        deploy(release, url)


def test_a_job_numbered_before_an_applied_migration_is_refused(release: Release, url: str) -> None:
    deploy(release, url)
    release.migration("9005_later", "SELECT 1;")
    deploy(release, url)
    release.job("9004_earlier", FILL.format(rows=1))
    with pytest.raises(JobError, match="9004_earlier is older than the newest"):
        deploy(release, url)


def test_a_job_and_a_migration_of_one_number_are_refused(release: Release, url: str) -> None:
    release.job("9001_twice", FILL.format(rows=1))
    with pytest.raises(JobError, match="has the number of a migration"):
        deploy(release, url)


def test_a_second_deployment_registers_nothing_anew(release: Release, url: str) -> None:
    deploy(release, url)
    release.store(url).advance(9002)
    before = rows(url, "SELECT * FROM release_jobs")
    assert deploy(release, url) == []
    assert rows(url, "SELECT * FROM release_jobs") == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SELECT 1", "must say -- kind"),
        ("-- kind: sliced\nSELECT 1", "must say -- kind"),
        ("-- kind: slices\nSELECT 1", "how many -- rows"),
        ("-- kind: slices\n-- rows: 0\nSELECT 1", "how many -- rows"),
        ("-- kind: statements\n-- needs: 12\nSELECT 1", "no job's number"),
    ],
)
def test_a_file_that_says_too_little_is_refused(release: Release, text: str, told: str) -> None:
    release.job("9002_fill", text)
    with pytest.raises(JobError, match=told):
        discover("plain", release.folder)


def test_every_job_on_disk_is_a_job_on_both_engines() -> None:
    assert {each.number for each in discover("plain")} == {
        each.number for each in discover("timescale")
    }


def test_an_engine_may_have_its_own_way(release: Release) -> None:
    folder = release.folder / "engine" / "plain" / "jobs"
    folder.mkdir()
    (folder / "9003_own.sql").write_text(FILL.format(rows=1))
    assert [each.number for each in discover("plain", release.folder)] == [9002, 9003]
    assert [each.number for each in discover("timescale", release.folder)] == [9002]
    (folder / "9002_again.sql").write_text(FILL.format(rows=1))
    with pytest.raises(JobError, match="has the number of 9002_fill"):
        discover("plain", release.folder)


def test_the_command_shows_jobs_and_does_them(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    rows(url, "INSERT INTO release_jobs (number, name, slice_rows) VALUES (9002, 'fill', 5)")
    assert m.main(["--status"]) == 0
    shown = capsys.readouterr().out.splitlines()[-1]
    assert shown.split() == ["9002_fill", "job", "waiting,", "of", "another", "release"]
    assert m.main(["--jobs"]) == 0, "what another release registered is left to that one"


def test_work_by_hand_goes_on_until_all_is_done(
    release: Release, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(release, url)
    assert job_command.work(url, discover("plain", release.folder)) == 0
    assert "9002_fill" in (out := capsys.readouterr().out)
    assert "job finished" in out
    assert "3 slices, 250 rows" in out
    release.job("9003_bad", BAD)
    deploy(release, url)
    assert job_command.work(url, discover("plain", release.folder)) == 1
    assert "job failing, 1 times in a row: 22012: division by zero" in capsys.readouterr().out


class Gauges:
    """The gauges that were set."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def count(self, metric: Metric, n: float, label: str | None = None) -> None:
        pass

    def gauge(self, metric: Metric, value: float, label: str | None = None) -> None:
        self.values[metric.name] = value

    def observe(self, metric: Metric, value: float, label: str | None = None) -> None:
        pass

    def flush(self) -> None:
        pass


@pytest.fixture
def gauges() -> Iterator[Gauges]:
    made = Gauges()
    metrics.use(made)
    yield made
    metrics.use(NoMetrics())
    maintenance.service.use(None)


def test_the_schedule_does_jobs_and_measures_them_while_there_are_any(
    release: Release, url: str, gauges: Gauges
) -> None:
    release.job("9003_bad", BAD)
    deploy(release, url)
    service = MaintenanceService(None, timedelta(), release_jobs=release.jobs(url))  # type: ignore[arg-type]
    maintenance.service.use(service)
    result = maintenance.handler({"job": "release_jobs"}, None)
    assert result == {
        "job": "release_jobs", "finished": ("9002_fill",), "slices": 3, "rows": 250, "left": 1,
        "failing": 1,
    }  # fmt: skip
    measured = {names.RELEASE_JOBS_LEFT.name: 1, names.RELEASE_JOBS_FAILING.name: 1}
    assert gauges.values == measured
    release.job("9003_bad", FILL.format(rows=100))
    rows(url, "UPDATE release_jobs SET next_try_at = NULL")
    maintenance.handler({"job": "release_jobs"}, None)
    assert gauges.values == dict.fromkeys(measured, 0), "the last one says that it is over"


def test_a_release_without_jobs_measures_none(
    url: str, monkeypatch: pytest.MonkeyPatch, gauges: Gauges
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TRAKSENSE_METRICS", "none")
    database = Database(url)
    maintenance.service.use(bootstrap.maintenance_of(FunctionSettings.from_environment(), database))
    assert maintenance.handler({"job": "release_jobs"}, None)["left"] == 0
    assert gauges.values == {}
    database.close()
