"""Whether the parts that the API stands on answer, each with the time it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from traksense.domain.errors import RetryableError
from traksense.services.rollups import LevelProgress, lag

MOST_LAG: Final = timedelta(minutes=10)
"""How long a bucket may be due: the refresh comes every minute, so this many were missed."""


@dataclass(frozen=True, slots=True)
class PartHealth:
    """One part: whether it works, and the facts it told."""

    ok: bool
    latency_ms: float
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StorageState:
    """The storage engine, and whether it is ready to take the readings of today."""

    engine: str
    ready: bool


TOO_OFTEN: Final = 3
"""Failures of a release's job in a row that are no accident."""


class HealthProbes(Protocol):
    """Questions to the database. Each raises RetryableError where it does not answer."""

    def database(self) -> str:
        """The server's version."""

    def storage(self) -> StorageState:
        """The storage engine."""

    def rollups(self) -> list[LevelProgress]:
        """How far each level of rollups is."""

    def release_jobs(self) -> Mapping[str, int]:
        """The jobs of releases that are not finished, with their failures in a row."""


QueueDepths = Callable[[], Mapping[str, int]]
"""Messages waiting, by queue. Raises RetryableError where the queues do not answer."""


class Health:
    """Deep health. ``queues`` is None where nothing here knows the depth of a queue."""

    def __init__(
        self,
        probes: HealthProbes,
        queues: QueueDepths | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._probes = probes
        self._queues = queues
        self._now = now

    def deep(self) -> dict[str, PartHealth]:
        """Each part by name; a part that does not answer is not ok, and the others still are."""
        parts = {
            "database": _probe(lambda: (True, {"server_version": self._probes.database()})),
            "storage": _probe(self._storage),
            "rollups": _probe(self._rollups),
            "release_jobs": _probe(self._release_jobs),
        }
        if self._queues is not None:
            queues = self._queues
            parts["queues"] = _probe(lambda: (True, {"depth": dict(queues())}))
        return parts

    def _storage(self) -> tuple[bool, dict[str, object]]:
        state = self._probes.storage()
        return state.ready, {"engine": state.engine}

    def _rollups(self) -> tuple[bool, dict[str, object]]:
        now = self._now()
        lags = {each.level: lag(each, now) for each in self._probes.rollups()}
        seconds = {level: round(each.total_seconds(), 3) for level, each in lags.items()}
        return all(each <= MOST_LAG for each in lags.values()), {"lag_s": seconds}

    def _release_jobs(self) -> tuple[bool, dict[str, object]]:
        left = self._probes.release_jobs()
        return all(each < TOO_OFTEN for each in left.values()), {"failures": dict(left)}


def _probe(ask: Callable[[], tuple[bool, Mapping[str, object]]]) -> PartHealth:
    started = time.perf_counter()
    try:
        ok, facts = ask()
    except RetryableError:
        ok, facts = False, {}
    return PartHealth(ok, round((time.perf_counter() - started) * 1000, 3), facts)
