"""Whether the parts that the API stands on answer, each with the time it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from traksense.domain.errors import RetryableError


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


class HealthProbes(Protocol):
    """Questions to the database. Each raises RetryableError where it does not answer."""

    def database(self) -> str:
        """The server's version."""

    def storage(self) -> StorageState:
        """The storage engine."""


QueueDepths = Callable[[], Mapping[str, int]]
"""Messages waiting, by queue. Raises RetryableError where the queues do not answer."""


class Health:
    """Deep health. ``queues`` is None where nothing here knows the depth of a queue."""

    def __init__(self, probes: HealthProbes, queues: QueueDepths | None = None) -> None:
        self._probes = probes
        self._queues = queues

    def deep(self) -> dict[str, PartHealth]:
        """Each part by name; a part that does not answer is not ok, and the others still are."""
        parts = {
            "database": _probe(lambda: (True, {"server_version": self._probes.database()})),
            "storage": _probe(self._storage),
        }
        if self._queues is not None:
            queues = self._queues
            parts["queues"] = _probe(lambda: (True, {"depth": dict(queues())}))
        return parts

    def _storage(self) -> tuple[bool, dict[str, object]]:
        state = self._probes.storage()
        return state.ready, {"engine": state.engine}


def _probe(ask: Callable[[], tuple[bool, Mapping[str, object]]]) -> PartHealth:
    started = time.perf_counter()
    try:
        ok, facts = ask()
    except RetryableError:
        ok, facts = False, {}
    return PartHealth(ok, round((time.perf_counter() - started) * 1000, 3), facts)
