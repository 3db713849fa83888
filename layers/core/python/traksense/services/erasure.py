"""Erasing a tenant: who asks for it, and every place that holds something of a tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol
from uuid import UUID

from traksense.domain.erasure import Erasure, Step
from traksense.domain.errors import Conflict, NotFound
from traksense.i18n.catalogue import text

Kind = Literal["point", "device", "certificate", "thing", "user", "topic"]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is kept outside the database, so that a restore cannot bring a tenant back."""

    tenant_id: UUID
    slug: str
    buried_at: datetime
    erased_at: datetime | None = None
    counts: Mapping[str, int] | None = None


class ErasureRequests(Protocol):
    """Erasures as operators see them. Every method raises DatabaseAway."""

    def find(self, slug: str) -> UUID | None:
        """The tenant with this slug."""

    def begin(self, tenant_id: UUID) -> None:
        """Bury a tenant and ask for its erasure."""

    def by_slug(self, slug: str) -> Erasure | None:
        """The erasure of the tenant that had this slug."""


class ErasureStore(Protocol):
    """What erasing asks of the database. Every method raises DatabaseAway.

    Each deletion is one transaction, counted in it under a kind with the given ``prefix``.
    """

    def claim(self, lease_s: float) -> Erasure | None:
        """One that is not finished, for us alone until the lease is over."""

    def release(self, erasure_id: UUID, trouble: str | None) -> None:
        """Let go of it until the next run."""

    def advance(self, erasure_id: UUID, step: Step, following: Step) -> datetime | None:
        """From one step to the next, and since when; None where somebody else did."""

    def note(self, erasure_id: UUID, step: Step, done_to: str) -> None:
        """How far a step is."""

    def list_items(self, erasure_id: UUID) -> None:
        """Note what there is outside the tables that name the tenant."""

    def items(self, erasure_id: UUID, kind: Kind, after: str | None, limit: int) -> list[str]:
        """The next items of a kind, in order."""

    def drop_item(self, erasure_id: UUID, kind: Kind, key: str, counted: str, number: int) -> None:
        """One item is done with, and so many things are counted for it."""

    def telemetry_days(self) -> list[date]:
        """UTC days of which telemetry may be stored."""

    def erase_readings(
        self, erasure_id: UUID, prefix: str, day: date, points: Sequence[int]
    ) -> None:
        """A day's readings of some points, in rows and segments."""

    def erase_rollups(self, erasure_id: UUID, prefix: str, points: Sequence[int]) -> None:
        """The rollups of some points."""

    def erase_messages(
        self, erasure_id: UUID, prefix: str, day: date, devices: Sequence[UUID]
    ) -> None:
        """A day's kept messages of some devices."""

    def erase_configuration(self, erasure: Erasure, prefix: str, most: int) -> bool:
        """Some rows that name the tenant; whether there were any."""

    def erase_dead_letters(self, erasure: Erasure, prefix: str, most: int) -> bool:
        """Some of its dead letters; whether there were any."""

    def count(self, erasure_id: UUID, kind: str, number: int) -> None:
        """Count what was deleted elsewhere."""

    def leftovers(self, tenant_id: UUID) -> int:
        """Rows that are still the tenant's."""

    def finish(self, erasure_id: UUID) -> Erasure | None:
        """The end: nothing is noted any more but the proof, which is this. None: it had ended."""

    def bury_again(self, tombstone: Tombstone) -> bool:
        """Bury a tenant in a database that does not know of it; whether that was so."""


class ErasedThings(Protocol):
    """Where devices have their identity. Raises RetryableError."""

    def turn_off(self, certificate: str) -> int:
        """Let a certificate in no more: ``thing id arn``; how many that was."""

    def remove(self, thing_name: str) -> int:
        """The thing goes, all of whose certificates are off; how many that was."""


class ErasedUsers(Protocol):
    """Where people log in. Raises RetryableError."""

    def remove(self, email: str, tenant_id: UUID) -> None:
        """The user goes, if there is one of this tenant."""


class RetainedMessages(Protocol):
    """What the broker keeps. Raises RetryableError."""

    def clear(self, topic: str) -> None:
        """Have it keep nothing for a topic."""


class TenantObjects(Protocol):
    """Files of tenants. Raises RetryableError."""

    def remove(self, tenant_id: UUID, most: int) -> int:
        """Delete up to so many of a tenant's; how many."""


class TombstoneLedger(Protocol):
    """Tombstones outside the database. Raises RetryableError."""

    def bury(self, tombstone: Tombstone) -> None:
        """Keep it, in place of an earlier one of the same tenant."""

    def buried(self) -> Iterable[Tombstone]:
        """All of them."""


@dataclass(frozen=True, slots=True)
class ErasedPlaces:
    """Everything outside the database that holds something of a tenant."""

    things: ErasedThings
    users: ErasedUsers
    retained: RetainedMessages
    objects: TenantObjects
    ledger: TombstoneLedger
    queue_depths: Callable[[], Mapping[str, int]]
    """Messages that wait, by queue. Raises RetryableError."""


class Erasures:
    """What operators ask for and look at."""

    def __init__(self, store: ErasureRequests) -> None:
        self._store = store

    def begin(self, slug: str, confirmed_slug: str) -> Erasure:
        """Ask for the erasure of a tenant; the same one, asked for again.

        Raises NotFound, and Conflict where the confirmation names another tenant.
        """
        tenant_id = self._store.find(slug)
        if tenant_id is None and self._store.by_slug(slug) is None:
            raise NotFound(text("tenant.not_found", slug=slug))
        if slug != confirmed_slug:
            raise Conflict(text("erasure.not_confirmed", slug=slug))
        if tenant_id is not None:
            self._store.begin(tenant_id)
        return self.get(slug)

    def get(self, slug: str) -> Erasure:
        """The erasure, or its proof once it is finished. Raises NotFound."""
        found = self._store.by_slug(slug)
        if found is None:
            raise NotFound(text("erasure.not_found", slug=slug))
        return found
