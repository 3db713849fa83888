"""Request quotas: so many requests a minute of a tenant, a user, an address, over all containers.

A container asks the database for some requests of a subject's minute at once (a lease) and
spends them in its memory: no write for each request, and never more than the limit over all
containers. What others hold and have not spent may be missing at the end of a minute; leases
grow smaller towards the limit, so that this is little.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol
from uuid import UUID

from traksense.domain.errors import RetryableError, TooManyRequests

MINUTE_S: Final = 60.0
REST_S: Final = 2.0
"""How long after a failure the database is not asked again."""
_MOST_KEPT: Final = 20_000

Kind = Literal["tenant", "user", "address"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests a minute, where a tenant has no limits of its own."""

    tenant: int = 6_000
    user: int = 600
    address: int = 120
    """Of those who are not logged in."""

    def of(self, kind: Kind) -> int:
        """The limit of a kind of subject."""
        return {"tenant": self.tenant, "user": self.user, "address": self.address}[kind]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose requests are counted together."""

    kind: Kind
    tenant_id: UUID | None
    name: str = ""

    @property
    def key(self) -> str:
        """As it is stored: a tenant's subjects begin with its id."""
        return " ".join((str(self.tenant_id or "-"), self.kind, self.name)).rstrip()


@dataclass(frozen=True, slots=True)
class Lease:
    """Some requests of one minute. None granted: the subject has no more in it."""

    minute: int
    granted: int
    left_s: float
    """Until the minute is over."""
    is_alone: bool = False
    """Whether the container gave it to itself."""


class QuotaStore(Protocol):
    """Where the minutes' counts are kept."""

    def take(self, tenant_id: UUID | None, most: Mapping[Subject, int]) -> Mapping[Subject, Lease]:
        """A lease for each subject, which all are of this tenant. Raises DatabaseAway."""


@dataclass(slots=True)
class _Hand:
    """What the container holds of a subject."""

    minute: int
    left: int
    ends: float
    is_refused: bool = False
    """The database has no more of this minute: it is not asked again."""
    is_reported: bool = False
    is_alone: bool = False


class Quotas:
    """Spends requests; safe under many threads."""

    def __init__(
        self, store: QuotaStore, limits: Limits, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock`` is the wall's: the monotonic one stands still while a container sleeps."""
        self._store = store
        self._limits = limits
        self._clock = clock
        self._hands: dict[Subject, _Hand] = {}
        self._lock = threading.Lock()
        self._rests_until = 0.0

    def spend(self, subjects: Sequence[Subject]) -> None:
        """Spend one request of each subject, which all are of one tenant.

        Raises TooManyRequests where one of them has none left; then none is spent.
        """
        now = self._clock()
        with self._lock:
            held, missing = self._from_hands(subjects, now)
        if not missing:
            return
        leases = self._take(missing, now)
        with self._lock:
            refused = []
            for subject in missing:
                if self._put(subject, leases[subject], now):
                    held.append(subject)
                else:
                    refused.append(subject)
            if refused:
                self._give_back(held)
                raise self._refusal(refused[0], now)

    def _from_hands(
        self, subjects: Sequence[Subject], now: float
    ) -> tuple[list[Subject], list[Subject]]:
        """Spend what is in the hands: the subjects that had some, and those that had none."""
        hands = {subject: self._hand(subject, now) for subject in subjects}
        for subject, hand in hands.items():
            if hand is not None and hand.is_refused:
                raise self._refusal(subject, now)
        held = [subject for subject, hand in hands.items() if hand is not None and hand.left > 0]
        for subject in held:
            self._hands[subject].left -= 1
        return held, [subject for subject in subjects if subject not in held]

    def _hand(self, subject: Subject, now: float) -> _Hand | None:
        hand = self._hands.get(subject)
        # An end that is too far away is of a clock that was set back since.
        if hand is None or 0 < hand.ends - now <= MINUTE_S + 1:
            return hand
        del self._hands[subject]
        return None

    def _put(self, subject: Subject, lease: Lease, now: float) -> bool:
        """Into the hand, less one that is spent; False: there is none to spend.

        ``now`` is from before the lease was asked for, so that it ends here no later than in the
        database.
        """
        hand = self._hands.get(subject)
        if hand is None or hand.minute < lease.minute:
            if len(self._hands) >= _MOST_KEPT:
                self._drop_ended(now)
            hand = _Hand(lease.minute, 0, now + lease.left_s)
            self._hands[subject] = hand
        elif hand.minute > lease.minute:
            return lease.granted > 0  # a slow answer, of a minute that is over
        hand.left += lease.granted
        hand.is_alone = hand.is_alone or lease.is_alone
        hand.is_refused = hand.left == 0
        if hand.is_refused:
            return False
        hand.left -= 1
        return True

    def _give_back(self, subjects: Sequence[Subject]) -> None:
        for subject in subjects:
            if (hand := self._hands.get(subject)) is not None:
                hand.left += 1

    def _drop_ended(self, now: float) -> None:
        self._hands = {each: hand for each, hand in self._hands.items() if hand.ends > now}
        if len(self._hands) >= _MOST_KEPT:
            self._hands.clear()  # their leases are lost, and nothing else

    def _refusal(self, subject: Subject, now: float) -> TooManyRequests:
        hand = self._hands.get(subject)
        wait = MINUTE_S if hand is None else hand.ends - now
        is_first = hand is None or not hand.is_reported
        if hand is not None:
            hand.is_reported = True
        return TooManyRequests(
            subject.kind, retry_after_s=max(1, math.ceil(wait)), is_first=is_first
        )

    def _take(self, missing: Sequence[Subject], now: float) -> Mapping[Subject, Lease]:
        most = {subject: self._limits.of(subject.kind) for subject in missing}
        if now >= self._rests_until or self._rests_until - now > REST_S:
            try:
                return self._store.take(missing[0].tenant_id, most)
            except RetryableError as error:
                self._rests_until = now + REST_S
                _log.warning("quotas are counted in this container alone: %s", error)
        return self._alone(most, now)

    def _alone(self, most: Mapping[Subject, int], now: float) -> Mapping[Subject, Lease]:
        """Without the database each container counts for itself, once the limit a minute: nobody
        is shut out by its outage, and nobody floods a container, whose calls hardly succeed then.
        """
        minute, into = divmod(now, MINUTE_S)
        with self._lock:
            spent = {
                subject
                for subject in most
                if (hand := self._hands.get(subject)) is not None and hand.is_alone
            }
        return {
            subject: Lease(
                int(minute), 0 if subject in spent else limit, MINUTE_S - into, is_alone=True
            )
            for subject, limit in most.items()
        }
