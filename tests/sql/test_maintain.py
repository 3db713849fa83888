"""The maintenance command, and the function that the schedules call."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from functions.maintenance import handler as maintenance
from tests.support.fleet import Seeded
from traksense.contracts import schedules
from traksense.contracts.metrics import Metric
from traksense.db import maintain
from traksense.observability import NoMetrics, metrics


@pytest.fixture
def environment(
    database_url: str, seeded: Seeded, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TRAKSENSE_METRICS", "none")
    maintenance.service.use(None)
    yield database_url
    if maintenance.service.made is not None:
        maintenance.service.made._store._database.close()  # type: ignore[attr-defined]
    maintenance.service.use(None)
    metrics.use(NoMetrics())


class Gathered:
    """What was measured, by metric and label."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str | None], float] = {}
        self.flushed = 0

    def count(self, metric: Metric, n: float, label: str | None = None) -> None:
        key = (metric.name, label)
        self.values[key] = self.values.get(key, 0) + n

    def gauge(self, metric: Metric, value: float, label: str | None = None) -> None:
        self.values[metric.name, label] = value

    def observe(self, metric: Metric, value: float, label: str | None = None) -> None:
        self.values[metric.name, label] = value

    def flush(self) -> None:
        self.flushed += 1


def add_reading(url: str, ago: timedelta) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO m_raw (ts, v_num, point_sk) VALUES (%s, 1, 1)", (datetime.now(UTC) - ago,)
        )


@pytest.mark.engine("plain")
def test_the_command_shows_how_the_storage_stands(
    environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert maintain.main([]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^1m +never ", shown, re.MULTILINE)
    assert re.search(r"^m_raw +20 .* \d{4}-\d\d-\d\d … \d{4}-\d\d-\d\d$", shown, re.MULTILINE)
    assert "0 late minutes" in shown


@pytest.mark.engine("timescale")
def test_the_command_shows_how_the_chunks_stand(
    environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add_reading(environment, timedelta(hours=5))
    assert maintain.main([]) == 0
    shown = capsys.readouterr().out
    assert ": timescale, PostgreSQL " in shown.splitlines()[0]
    assert re.search(r"^1m +never ", shown, re.MULTILINE)
    assert re.search(r"^raw +1 +0 .* \d{4}-\d\d-\d\d … \d{4}-\d\d-\d\d$", shown, re.MULTILINE)
    assert re.search(r"^messages +0 ", shown, re.MULTILINE)


@pytest.mark.engine("plain")
def test_the_command_runs_a_job_and_shows_what_it_did(
    environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add_reading(environment, timedelta(hours=5))
    assert maintain.main(["--run", "refresh_rollups"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("job: refresh_rollups, buckets: 3, marks: 0, ")
    assert "lag_s 1h: " in shown.splitlines()[0]
    assert re.search(
        rf"^1h +{datetime.now(UTC):%Y}-\d\d-\d\d \d\d:00:00Z +0:0", shown, re.MULTILINE
    )
    assert re.search(r"^r_5m +[1-9] ", shown, re.MULTILINE)


def test_the_command_says_in_one_line_what_keeps_it_from_the_database(
    environment: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert maintain.main([]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("maintain: ")
    assert len(said.err.splitlines()) == 1


def test_the_command_says_what_a_database_without_our_tables_lacks(
    admin_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", admin_url)
    assert maintain.main([]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "python -m traksense.db.migrate" in said.err
    assert len(said.err.splitlines()) == 1


def test_the_command_fits_a_terminal_of_100_columns_whatever_there_is(
    environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add_reading(environment, timedelta(days=4))
    assert maintain.main(["--run", "refresh_rollups"]) == 0
    with psycopg.connect(environment) as connection:
        connection.execute("UPDATE rollup_state SET refreshed = now() - interval '40 days',"
                           " buckets = 123456789, took_ms = 119999")  # fmt: skip
        connection.execute("UPDATE pg_class SET reltuples = 2e9 WHERE relname = 'm_raw_20000101'")
        connection.execute("INSERT INTO purges (level, up_to, partitions, rows)"
                           " VALUES ('dead_letters', now(), 0, 123456789)")  # fmt: skip
    capsys.readouterr()
    assert maintain.main([]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= 100
    assert any(line.startswith("last purge of dead_letters: ") for line in shown)
    warnings = [line for line in shown if line.startswith("WARNING: ")]
    assert [line.partition(" days, ")[0] for line in warnings] == [
        f"WARNING: rollups of {level} are 39" for level in ("1m", "5m", "1h")
    ]


def test_the_command_speaks_json_to_programs(
    environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    add_reading(environment, timedelta(hours=5))
    assert maintain.main(["--run", "refresh_rollups", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ran"]["job"] == "refresh_rollups"
    assert said["engine"] in ("plain", "timescale")
    assert [level["level"] for level in said["levels"]] == ["1m", "5m", "1h"]
    for level in said["levels"]:
        assert 0 <= level["lag_s"] < 60
        assert datetime.fromisoformat(level["refreshed"]) < datetime.fromisoformat(said["at"])
    assert said["database_bytes"] > 1_000_000


def test_each_minute_the_database_is_measured(environment: str) -> None:
    assert maintenance.service.get()
    gathered = Gathered()
    metrics.use(gathered)
    with psycopg.connect(environment) as another:
        maintenance.handler(schedules.OFFLINE_SWEEP.payload, None)
        row = another.execute(
            "SELECT pg_database_size(current_database()), current_setting('max_connections')::int"
        ).fetchone()
    assert row is not None
    size, most = row
    assert gathered.values["DatabaseBytes", None] == pytest.approx(size, rel=0.1)
    connections = gathered.values["DatabaseConnections", None]
    assert connections >= 2  # the job's own, and another
    assert 0 < gathered.values["DatabaseConnectionsLeft", None] <= most - connections
    assert 0 < gathered.values["TransactionAge", None] < 2_000_000_000


def test_another_job_measures_no_database(environment: str) -> None:
    assert maintenance.service.get()
    gathered = Gathered()
    metrics.use(gathered)
    maintenance.handler(schedules.COMMAND_TIMEOUTS.payload, None)
    assert ("DatabaseBytes", None) not in gathered.values


def test_a_refresh_measures_what_it_did_and_how_far_it_is_behind(environment: str) -> None:
    add_reading(environment, timedelta(hours=5))
    assert maintenance.service.get()  # before the sink: it chooses one of its own
    gathered = Gathered()
    metrics.use(gathered)
    maintenance.handler(schedules.REFRESH_ROLLUPS.payload, None)
    assert gathered.values["RollupBuckets", None] == 3
    assert gathered.values["RollupDuration", None] > 0
    assert {level: gathered.values["RollupLag", level] < 60 for level in ("1m", "5m", "1h")} == {
        "1m": True, "5m": True, "1h": True,
    }  # fmt: skip
    assert gathered.flushed == 1


@pytest.mark.engine("plain")
def test_a_refresh_that_fails_is_counted_with_the_lag_that_it_leaves(environment: str) -> None:
    add_reading(environment, timedelta(hours=5))
    with psycopg.connect(environment) as connection:
        connection.execute("ALTER TABLE r_1h ADD CHECK (n < 0)")
        connection.execute("UPDATE rollup_state SET ran_at = now() - interval '1 day'")
        connection.execute("UPDATE rollup_state SET refreshed = now() - interval '1 day'")
    assert maintenance.service.get()
    gathered = Gathered()
    metrics.use(gathered)
    with pytest.raises(psycopg.errors.CheckViolation):
        maintenance.handler(schedules.REFRESH_ROLLUPS.payload, None)
    assert gathered.values["RollupFailures", None] == 1
    assert gathered.values["RollupLag", "1m"] > 3600
    assert gathered.flushed == 1
