"""Configuration kept in a container's memory, with an epoch that tells whether it still holds.

Every committed change of the configuration raises the epoch, and each transaction learns it as it
begins (``sql/migrations/0022_config_epoch.sql``). A copy is good for the epoch of the transaction
that read it, so a hit costs no round trip, and nobody who changes something has to think of who
kept a copy.

A request may use copies before its first transaction: it then assumes that the epoch is still the
one that this container saw last. The first transaction shows whether that was true; where it was
not, the request is answered anew (``EpochMoved``). A request without a transaction of its own asks
before it is answered (``confirm``). So no answer rests on what was changed before the request
began, whichever container changed it. One that does more than read assumes nothing.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast

from traksense.contracts.metrics import CACHE_HITS, CACHE_MISSES
from traksense.domain.errors import RetryableError
from traksense.observability import metrics

TTL_S: Final = 300.0
"""How long a copy serves at most, whatever the epoch says: the second net."""
MAX_ENTRIES: Final = 10_000

V = TypeVar("V")


class EpochMoved(RetryableError):
    """Copies that the request used were outdated when it began. Nothing was done yet."""


class Epochs(Protocol):
    """The epoch in the database. Every method raises DatabaseAway."""

    def ask(self) -> None:
        """Begin and end a transaction, so that the epoch is learnt."""

    def raise_epoch(self) -> None:
        """Make every copy in every container outdated."""


@dataclass(frozen=True, slots=True)
class KindStatus:
    """How often copies of one kind were found."""

    kind: str
    hits: int
    misses: int


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """What this container's copies are and how they served since it started."""

    is_on: bool
    ttl_s: float
    entries: int
    epoch: int | None
    """The one that this container saw last."""
    kinds: tuple[KindStatus, ...]


class _Entry(NamedTuple):
    value: Any
    epoch: int
    read_at: float


@dataclass(slots=True)
class _Request:
    """What a request knows of the epoch so far."""

    may_assume: bool
    assumed: int | None = None
    """The epoch of the copies that were used before any transaction."""
    epoch: int | None = None
    """What its newest transaction saw."""
    first_of_load: int | None = None
    """What the first transaction saw since the load in hand began."""
    has_moved: bool = False


_current: Final[ContextVar[_Request | None]] = ContextVar("cache_request", default=None)


class Cache:
    """Copies by kind and key. Thread-safe; whose a copy is stands in its key.

    Outside of ``request`` nothing is kept and nothing found, since nobody would check it.
    """

    def __init__(
        self,
        epochs: Epochs | None = None,
        *,
        ttl_s: float = TTL_S,
        max_entries: int = MAX_ENTRIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without ``epochs``, or with a ``ttl_s`` of 0, it keeps nothing."""
        self._epochs = epochs
        self._ttl_s = ttl_s
        self._max_entries = max_entries
        self._clock = clock
        self._epoch: int | None = None
        self._entries: dict[tuple[str, Hashable], _Entry] = {}
        self._lock = threading.Lock()
        self._hits: Counter[str] = Counter()
        self._misses: Counter[str] = Counter()

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        return self._epochs is not None and self._ttl_s > 0

    @contextmanager
    def request(self, *, may_assume: bool) -> Iterator[None]:
        """Keep and find copies for one request of this thread.

        ``may_assume``: it can be answered anew, since it does nothing but read.
        """
        token = _current.set(_Request(may_assume and self.is_on))
        try:
            yield
        finally:
            _current.reset(token)

    def confirm(self) -> None:
        """Make sure that the copies used by the request were good. Raises EpochMoved, DatabaseAway.

        Asks only where no transaction has shown it yet.
        """
        request = _current.get()
        if request is None:
            return
        if request.has_moved:  # and somebody took that for something else
            raise EpochMoved
        if request.assumed is not None and request.epoch is None:
            self._ask()

    def saw(self, epoch: int) -> None:
        """Take note of what a transaction of this thread learnt as it began. Raises EpochMoved."""
        if epoch != self._epoch:
            with self._lock:
                self._entries.clear()
                self._epoch = epoch
        request = _current.get()
        if request is None:
            return
        if request.epoch is None and request.assumed not in (None, epoch):
            request.has_moved = True
            raise EpochMoved
        request.epoch = epoch
        if request.first_of_load is None:
            request.first_of_load = epoch

    def get(self, kind: str, key: Hashable, load: Callable[[], V | None]) -> V | None:
        """The copy of this kind and key; loaded where there is none that holds.

        ``load`` reads in a transaction that it opens, or in the one that the caller is in. None
        is not kept: what does not exist may be made at any moment, and anybody can think of
        endless names. A value must not be changed. Raises what ``load`` does, and EpochMoved.
        """
        request = _current.get()
        if request is None or not self.is_on:
            return load()
        if request.epoch is None and not request.may_assume:
            self._ask()
        wanted = next((e for e in (request.epoch, request.assumed) if e is not None), self._epoch)
        now = self._clock()
        entry = self._entries.get((kind, key))
        if entry is not None and entry.epoch == wanted and now - entry.read_at < self._ttl_s:
            if request.epoch is None:
                request.assumed = wanted
            self._count(kind, is_hit=True)
            return cast("V", entry.value)
        self._count(kind, is_hit=False)
        value, epoch = self._load(request, load)
        if value is not None and epoch is not None:
            self._keep((kind, key), _Entry(value, epoch, now))
        return value

    def _load(self, request: _Request, load: Callable[[], V | None]) -> tuple[V | None, int | None]:
        outer, request.first_of_load = request.first_of_load, None
        try:
            value = load()
            return value, request.epoch if request.first_of_load is None else request.first_of_load
        finally:
            if outer is not None:
                request.first_of_load = outer

    def _keep(self, key: tuple[str, Hashable], entry: _Entry) -> None:
        with self._lock:
            self._entries.pop(key, None)
            while len(self._entries) >= self._max_entries:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = entry

    def _count(self, kind: str, *, is_hit: bool) -> None:
        with self._lock:
            (self._hits if is_hit else self._misses)[kind] += 1
        metrics.count(CACHE_HITS if is_hit else CACHE_MISSES, label=kind)

    def _ask(self) -> None:
        if self._epochs is not None:
            self._epochs.ask()

    def status(self) -> CacheStatus:
        """How this container's copies serve."""
        with self._lock:
            kinds = sorted({*self._hits, *self._misses})
            return CacheStatus(
                is_on=self.is_on,
                ttl_s=self._ttl_s,
                entries=len(self._entries),
                epoch=self._epoch,
                kinds=tuple(KindStatus(k, self._hits[k], self._misses[k]) for k in kinds),
            )

    def clear(self) -> None:
        """Make every copy in every container outdated. Raises DatabaseAway."""
        with self._lock:
            self._entries.clear()
        if self._epochs is not None:
            self._epochs.raise_epoch()
            self._epochs.ask()


class LastEpoch:
    """The epoch that a container saw last: enough for one that does one thing at a time."""

    def __init__(self) -> None:
        self.value: int | None = None

    def saw(self, epoch: int) -> None:
        """Take note of what a transaction learnt as it began."""
        self.value = epoch
