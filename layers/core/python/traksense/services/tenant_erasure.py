"""The erasure of a tenant, done: in steps that survive a kill, proved with numbers.

Every deletion commits together with its count, and what lies outside the database is noted there
before the configuration that names it goes. A run that ends anywhere is gone on with by the next.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from traksense.domain.erasure import Erasure, Step
from traksense.domain.errors import RetryableError
from traksense.services.erasure import ErasedPlaces, ErasureStore, Kind, Tombstone

BUDGET_S: Final = 20.0
"""A run begins nothing further after so long: other jobs wait for it on one machine."""
LEASE_S: Final = 300.0
"""So long nobody else takes an erasure whose run was killed."""
POINTS_AT_ONCE: Final = 2_000
DEVICES_AT_ONCE: Final = 500
ROWS_AT_ONCE: Final = 5_000
OBJECTS_AT_ONCE: Final = 1_000
CALLS_AT_ONCE: Final = 8
"""Outside the database; IoT's own limits are some tens of calls a second."""
QUEUES_PATIENCE: Final = timedelta(minutes=15)
"""Queues that never run empty are not waited for: what they hold is dropped when it comes."""
SETTLE: Final = timedelta(minutes=2)
"""Longer than any call takes that may write: the ingest function's time-out is a minute."""

_log = logging.getLogger(__name__)

_Unit = tuple[str, Callable[[], None]]
"""A label by which units are in order, and what to do."""


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What a run did."""

    finished: list[str]
    """Slugs."""
    going_on: list[str]
    """Slugs of those that the next run goes on with."""


class _TimeIsOver(Exception):
    """The rest is for the next run."""


class TenantErasure:
    """Does what was asked for, some seconds at a time."""

    def __init__(
        self,
        store: ErasureStore,
        places: ErasedPlaces,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """``timer`` gives seconds that only ever grow."""
        self._store = store
        self._places = places
        self._now = now
        self._timer = timer
        self._ends = 0.0
        self._steps: dict[Step, Callable[[Erasure], bool]] = {
            Step.LISTING: self._list,
            Step.CERTIFICATES: self._certificates,
            Step.QUEUES: self._queues,
            Step.READINGS: lambda e: self._in_units(e, self._readings(e, "")),
            Step.ROLLUPS: lambda e: self._in_units(e, self._rollups(e, "")),
            Step.MESSAGES: lambda e: self._in_units(e, self._messages(e, "")),
            Step.CONFIGURATION: lambda e: self._rows(self._store.erase_configuration, e, ""),
            Step.OBJECTS: self._objects,
            Step.THINGS: self._things,
            Step.USERS: self._users,
            Step.RETAINED: self._retained,
            Step.DEAD_LETTERS: lambda e: self._rows(self._store.erase_dead_letters, e, ""),
            Step.SETTLING: lambda e: self._now() - e.step_since >= SETTLE,
            Step.SECOND_SWEEP: self._sweep,
        }

    def run(self) -> ErasureReport:
        """Go on with what is asked for, until it is done or time is over. Raises DatabaseAway."""
        self._ends = self._timer() + BUDGET_S
        report = ErasureReport([], [])
        seen: set[UUID] = set()
        while self._timer() < self._ends:
            erasure = self._store.claim(LEASE_S)
            if erasure is None:
                break
            if erasure.id in seen:
                self._store.release(erasure.id, erasure.trouble)
                break
            seen.add(erasure.id)
            is_finished = self._go_on(erasure)
            (report.finished if is_finished else report.going_on).append(erasure.slug)
        return report

    def apply_tombstones(self) -> list[str]:
        """Bury again whom this database does not know to be buried, as one that was restored.

        Their slugs; their erasure is then asked for anew. Raises DatabaseAway, RetryableError.
        """
        again = [t.slug for t in self._places.ledger.buried() if self._store.bury_again(t)]
        if again:
            _log.warning("tenants that had been erased were in this database: %s", again)
        return again

    def _go_on(self, erasure: Erasure) -> bool:
        trouble = None
        try:
            while erasure.step is not Step.DONE and self._steps[erasure.step](erasure):
                if erasure.step is Step.SECOND_SWEEP:
                    return self._finish(erasure)
                following = erasure.step.following
                since = self._store.advance(erasure.id, erasure.step, following)
                if since is None:
                    return False
                erasure = replace(erasure, step=following, step_since=since, done_to=None)
        except _TimeIsOver:
            pass
        except RetryableError as error:
            trouble = f"{erasure.step}: {error}"[:200]
            _log.warning("the erasure of %s waits: %s", erasure.slug, trouble)
        finally:
            with suppress(RetryableError):  # the lease ends by itself
                self._store.release(erasure.id, trouble)
        return False

    def _finish(self, erasure: Erasure) -> bool:
        left = self._store.leftovers(erasure.tenant_id)
        if left:
            self._store.note(erasure.id, erasure.step, "")
            raise RetryableError(f"{left} rows are there again")
        proof = self._store.finish(erasure.id)
        if proof is not None:
            _log.info("%s is erased: %s", proof.slug, proof.counts)
            self._bury(proof)
        return True

    def _bury(self, erasure: Erasure) -> None:
        counts = None if erasure.finished_at is None else erasure.counts
        self._places.ledger.bury(
            Tombstone(
                erasure.tenant_id, erasure.slug, erasure.requested_at, erasure.finished_at, counts
            )
        )

    # -- steps: each says whether it is done, or raises _TimeIsOver

    def _list(self, erasure: Erasure) -> bool:
        self._bury(erasure)
        self._store.list_items(erasure.id)
        return True

    def _certificates(self, erasure: Erasure) -> bool:
        return self._outside(erasure, "certificate", "certificates", self._places.things.turn_off)

    def _queues(self, erasure: Erasure) -> bool:
        if not any(self._places.queue_depths().values()):
            return True
        return self._now() - erasure.step_since >= QUEUES_PATIENCE

    def _objects(self, erasure: Erasure) -> bool:
        while gone := self._places.objects.remove(erasure.tenant_id, OBJECTS_AT_ONCE):
            self._store.count(erasure.id, "objects", gone)
            self._check_time()
        return True

    def _things(self, erasure: Erasure) -> bool:
        return self._outside(erasure, "thing", "things", self._places.things.remove)

    def _users(self, erasure: Erasure) -> bool:
        def remove(email: str) -> int:
            self._places.users.remove(email, erasure.tenant_id)
            return 1

        return self._outside(erasure, "user", "users", remove)

    def _retained(self, erasure: Erasure) -> bool:
        def clear(topic: str) -> int:
            self._places.retained.clear(topic)
            return 1

        return self._outside(erasure, "topic", "retained", clear)

    def _sweep(self, erasure: Erasure) -> bool:
        # What appeared while the doors were being closed, under names known or new.
        self._store.list_items(erasure.id)
        for look_after in (self._certificates, self._things, self._users, self._retained):
            look_after(erasure)
        again = "second_sweep."
        units = itertools.chain(
            _labelled("1 ", self._readings(erasure, again)),
            _labelled("2 ", self._rollups(erasure, again)),
            _labelled("3 ", self._messages(erasure, again)),
        )
        self._in_units(erasure, units)
        self._rows(self._store.erase_configuration, erasure, again)
        return self._rows(self._store.erase_dead_letters, erasure, again)

    # -- what steps are made of

    def _readings(self, erasure: Erasure, prefix: str) -> Iterator[_Unit]:
        slices = list(self._slices(erasure, "point", POINTS_AT_ONCE))
        for day in self._store.telemetry_days():
            for first, points in slices:
                yield (
                    f"{day.isoformat()} {first}",
                    lambda day=day, points=points: self._store.erase_readings(  # type: ignore[misc]
                        erasure.id, prefix, day, [int(point) for point in points]
                    ),
                )

    def _rollups(self, erasure: Erasure, prefix: str) -> Iterator[_Unit]:
        for first, points in self._slices(erasure, "point", POINTS_AT_ONCE):
            yield (
                first,
                lambda points=points: self._store.erase_rollups(  # type: ignore[misc]
                    erasure.id, prefix, [int(point) for point in points]
                ),
            )

    def _messages(self, erasure: Erasure, prefix: str) -> Iterator[_Unit]:
        slices = list(self._slices(erasure, "device", DEVICES_AT_ONCE))
        for day in self._store.telemetry_days():
            for first, devices in slices:
                yield (
                    f"{day.isoformat()} {first}",
                    lambda day=day, devices=devices: self._store.erase_messages(  # type: ignore[misc]
                        erasure.id, prefix, day, [UUID(device) for device in devices]
                    ),
                )

    def _slices(
        self, erasure: Erasure, kind: Kind, size: int
    ) -> Iterator[tuple[str, Sequence[str]]]:
        after = None
        while keys := self._store.items(erasure.id, kind, after, size):
            yield keys[0], keys
            after = keys[-1]

    def _in_units(self, erasure: Erasure, units: Iterable[_Unit]) -> bool:
        """Do units in the order of their labels, beginning behind the last one that was done."""
        for label, act in units:
            if erasure.done_to is not None and label <= erasure.done_to:
                continue
            self._check_time()
            act()
            self._store.note(erasure.id, erasure.step, label)
        return True

    def _rows(
        self, erase: Callable[[Erasure, str, int], bool], erasure: Erasure, prefix: str
    ) -> bool:
        while erase(erasure, prefix, ROWS_AT_ONCE):
            self._check_time()
        return True

    def _outside(
        self, erasure: Erasure, kind: Kind, counted: str, act: Callable[[str], int]
    ) -> bool:
        """Do what is noted of a kind, some at once. Repeating one is harmless, and a failure of
        one does not keep the others from being done.
        """
        while keys := self._store.items(erasure.id, kind, None, 8 * CALLS_AT_ONCE):
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                calls = [(key, pool.submit(act, key)) for key in keys]
            trouble = None
            for key, call in calls:
                error = call.exception()
                if error is None:
                    self._store.drop_item(erasure.id, kind, key, counted, call.result())
                else:
                    trouble = error
            if trouble is not None:
                raise trouble
            self._check_time()
        return True

    def _check_time(self) -> None:
        if self._timer() >= self._ends:
            raise _TimeIsOver


def _labelled(prefix: str, units: Iterable[_Unit]) -> Iterator[_Unit]:
    for label, act in units:
        yield prefix + label, act
