"""Tombstones in a restored copy: whom a backup brought back is erased from it again.

A copy has no devices, no people, no files and no broker of its own. What an erasure does outside
the database was done when the tenant was erased, and the real places are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from traksense.aws import s3
from traksense.db.connection import Database
from traksense.db.erasure import SqlErasureStore
from traksense.services.erasure import ErasedPlaces, Tombstone
from traksense.services.tenant_erasure import SETTLE, TenantErasure

MOST_RUNS: Final = 1_000
"""Of an erasure in a copy, twenty seconds each."""


@dataclass
class CopysLedger:
    """Implements ``traksense.services.erasure.TombstoneLedger``, reading alone.

    What the copy buries is kept in memory: a drill writes no tombstone.
    """

    tombstones: Iterable[Tombstone]
    buried_here: dict[UUID, Tombstone] = field(default_factory=dict)

    def bury(self, tombstone: Tombstone) -> None:
        """Remember it."""
        self.buried_here[tombstone.tenant_id] = tombstone

    def buried(self) -> Iterable[Tombstone]:
        """Those that were given."""
        return self.tombstones


class NoThings:
    """Implements ``traksense.services.erasure.ErasedThings``."""

    def turn_off(self, certificate: str) -> int:  # noqa: ARG002 - there is none
        """Nothing: how many that was."""
        return 0

    def remove(self, thing_name: str) -> int:  # noqa: ARG002 - there is none
        """Nothing: how many that was."""
        return 0


class NoUsers:
    """Implements ``traksense.services.erasure.ErasedUsers``."""

    def remove(self, email: str, tenant_id: UUID) -> None:
        """There are none."""


class NoBroker:
    """Implements ``traksense.services.erasure.RetainedMessages``."""

    def clear(self, topic: str) -> None:
        """It keeps nothing."""


class NoFiles:
    """Implements ``traksense.services.erasure.TenantObjects``."""

    def remove(self, tenant_id: UUID, most: int) -> int:  # noqa: ARG002 - there are none
        """Nothing: how many that was."""
        return 0


@dataclass(frozen=True, slots=True)
class Buried:
    """What tombstones did to a copy."""

    tombstones: int
    brought_back: list[str]
    """Slugs of tenants that the backup had brought back."""
    left: int
    """Rows that are still a buried tenant's."""


def apply(url: str, tombstones: Iterable[Tombstone]) -> Buried:
    """Bury and erase again whom a restored copy has alive. Raises DatabaseAway."""
    given = list(tombstones)
    database = Database(url, application_name="traksense-drill")
    try:
        store = SqlErasureStore(database)
        erasure = TenantErasure(store, _places(given), now=_after_settling)
        again = erasure.apply_tombstones()
        waiting = set(again)
        for _ in range(MOST_RUNS):
            if not waiting:
                break
            report = erasure.run()
            waiting -= set(report.finished)
        left = sum(store.leftovers(each.tenant_id) for each in given)
    finally:
        database.close()
    return Buried(len(given), again, left)


def from_folder(folder: Path) -> list[Tombstone]:
    """Tombstones as files: those of one machine, or a copy of the bucket's. Raises ValueError."""
    return [s3.decode(path.read_bytes()) for path in sorted(folder.rglob("*.json"))]


def _places(tombstones: Iterable[Tombstone]) -> ErasedPlaces:
    no_queues: Callable[[], Mapping[str, int]] = dict
    return ErasedPlaces(
        things=NoThings(),
        users=NoUsers(),
        retained=NoBroker(),
        objects=NoFiles(),
        ledger=CopysLedger(tombstones),
        queue_depths=no_queues,
    )


def _after_settling() -> datetime:
    """Nobody writes into a copy: what an erasure waits for, to be sure of that, is over."""
    return datetime.now(UTC) + SETTLE + timedelta(seconds=1)
