"""Health, shallow and deep."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

import traksense
from functions.api.services import services
from traksense.db.connection import Database
from traksense.domain.errors import DatabaseAway, RetryableError
from traksense.services.health import Health, StorageState
from traksense.services.rollups import LevelProgress
from traksense.wiring.api import api

from .support import OPERATOR, World, call, outside

NOW = datetime(2026, 5, 17, 12, 0, tzinfo=UTC)


@pytest.fixture
def restored(world: World) -> Iterator[World]:
    before = services.get()
    yield world
    services.use(before)


def test_health_needs_nothing_but_the_process(restored: World) -> None:
    services.use(None)
    answer = call("GET", "/health")
    assert answer.status == 200
    assert answer.json == {"status": "ok", "version": traksense.__version__}
    assert services.made is None


def test_deep_health_names_each_part_with_its_latency(world: World) -> None:
    answer = call("GET", "/health/deep", OPERATOR)
    assert answer.status == 200, answer.text
    body = answer.json
    assert body["status"] == "ok"
    assert set(body["parts"]) == {"database", "storage", "rollups", "release_jobs"}
    assert body["parts"]["storage"]["engine"] == "plain"
    assert set(body["parts"]["rollups"]["lag_s"]) == {"1m", "5m", "1h"}
    assert body["parts"]["database"]["server_version"]
    for part in body["parts"].values():
        assert part["status"] == "ok"
        assert 0 < part["latency_ms"] < 5_000


def test_a_database_that_is_away_is_503_in_the_same_shape(restored: World) -> None:
    # Port 1 on loopback: refused at once.
    away = Database("postgresql://nobody@127.0.0.1:1/none", connect_timeout_s=1)
    services.use(api(away, outside(restored.login), queues=lambda: {"ingest": 3}))
    answer = call("GET", "/health/deep", OPERATOR)
    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json
    assert body["status"] == "failing"
    assert body["parts"]["database"]["status"] == "failing"
    assert body["parts"]["queues"]["depth"] == {"ingest": 3}
    assert body["parts"]["queues"]["status"] == "ok"

    devices = call("GET", "/api/devices", restored.acme.viewer)
    assert devices.status == 503
    assert devices.is_problem
    assert devices.headers["Retry-After"] == "5"
    assert "127.0.0.1" not in devices.text


class Probes:
    """A database that answers, with storage that has no place for today's readings."""

    def database(self) -> str:
        return "18.4"

    def storage(self) -> StorageState:
        return StorageState("plain", ready=False)

    def rollups(self) -> list[LevelProgress]:
        return [
            LevelProgress("1m", NOW, NOW - timedelta(minutes=13), NOW, 1, 1),
            LevelProgress("1h", NOW, NOW - timedelta(minutes=50), NOW, 1, 1),
        ]

    def release_jobs(self) -> dict[str, int]:
        return {"0030_fill_names": 2, "0031_index": 3}


class Silent:
    """A database that answers nothing."""

    def database(self) -> str:
        raise DatabaseAway("gone")

    def storage(self) -> StorageState:
        raise DatabaseAway("gone")

    def rollups(self) -> list[LevelProgress]:
        raise DatabaseAway("gone")

    def release_jobs(self) -> dict[str, int]:
        raise DatabaseAway("gone")


def test_storage_without_todays_partition_fails_while_the_database_is_well() -> None:
    parts = Health(Probes()).deep()
    assert parts["database"].ok
    assert not parts["storage"].ok
    assert parts["storage"].facts == {"engine": "plain"}


def test_rollups_fail_when_a_bucket_has_been_due_for_long() -> None:
    part = Health(Probes(), now=lambda: NOW).deep()["rollups"]
    assert part.facts == {"lag_s": {"1m": 645.0, "1h": 0.0}}
    assert not part.ok
    earlier = Health(Probes(), now=lambda: NOW - timedelta(minutes=1)).deep()["rollups"]
    assert earlier.ok


def test_a_job_of_a_release_that_failed_three_times_in_a_row_is_no_accident() -> None:
    part = Health(Probes()).deep()["release_jobs"]
    assert part.facts == {"failures": {"0030_fill_names": 2, "0031_index": 3}}
    assert not part.ok


def test_queues_that_do_not_answer_fail_alone() -> None:
    def away() -> dict[str, int]:
        raise RetryableError("no answer")

    parts = Health(Probes(), away).deep()
    assert not parts["queues"].ok
    assert parts["database"].ok


def test_a_silent_database_fails_every_part_of_it() -> None:
    assert not any(part.ok for part in Health(Silent()).deep().values())
