"""Quotas: never more than the limit over all containers, and few questions to the database."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from traksense.domain.errors import DatabaseAway, TooManyRequests
from traksense.services.quotas import Lease, Limits, Quotas, Subject

ACME, GLOBEX = uuid4(), uuid4()
START = 1_700_000_040.0  # the beginning of a minute


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Counts:
    """The database, in memory: it gives out up to ``chunk`` at once, by its own clock."""

    clock: Clock
    chunk: int = 5
    is_away: bool = False
    asked: int = 0
    taken: dict[tuple[Subject, int], int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, tenant_id: UUID | None, most: Mapping[Subject, int]) -> Mapping[Subject, Lease]:
        assert {subject.tenant_id for subject in most} == {tenant_id}
        with self.lock:
            self.asked += 1
            if self.is_away:
                raise DatabaseAway("connection refused")
            minute = int(self.clock.now // 60)
            leases = {}
            for subject, limit in most.items():
                taken = self.taken.get((subject, minute), 0)
                granted = min(self.chunk, limit - taken)
                self.taken[subject, minute] = taken + granted
                leases[subject] = Lease(minute, granted, (minute + 1) * 60 - self.clock.now)
            return leases


def user(tenant: UUID | None = ACME, name: str = "ana") -> Subject:
    return Subject("user", tenant, name)


def spent(quotas: Quotas, *subjects: Subject, tries: int) -> int:
    """How many of so many requests were let through."""
    through = 0
    for _ in range(tries):
        try:
            quotas.spend(subjects)
        except TooManyRequests:
            continue
        through += 1
    return through


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts(clock: Clock) -> Counts:
    return Counts(clock)


def quotas(counts: Counts, **limits: int) -> Quotas:
    return Quotas(counts, Limits(**limits), counts.clock)


def test_a_limit_is_reached_and_not_passed(counts: Counts) -> None:
    assert spent(quotas(counts, user=23), user(), tries=100) == 23
    assert counts.asked == 6, "a lease of five each, and none once it was refused"


def test_a_refusal_says_whose_quota_it_was_and_when_it_begins_anew(
    clock: Clock, counts: Counts
) -> None:
    mine = quotas(counts, user=1)
    clock.now = START + 12.5
    mine.spend([user()])
    with pytest.raises(TooManyRequests) as first:
        mine.spend([user()])
    with pytest.raises(TooManyRequests) as second:
        mine.spend([user()])
    assert (first.value.of, first.value.retry_after_s) == ("user", 48)
    assert (first.value.is_first, second.value.is_first) == (True, False)


def test_two_containers_with_many_threads_let_exactly_the_limit_through(counts: Counts) -> None:
    containers = [quotas(counts, user=500, tenant=700), quotas(counts, user=500, tenant=700)]
    together = threading.Barrier(8)

    def hammer(n: int) -> int:
        together.wait()
        people = (user(name="ana"), user(name="bia"))
        return spent(containers[n % 2], Subject("tenant", ACME), people[n // 4], tries=500)

    with ThreadPoolExecutor(8) as pool:
        through = list(pool.map(hammer, range(8)))
    assert sum(through) == 700
    assert sum(through[:4]) <= 500
    assert sum(through[4:]) <= 500


def test_what_the_tenant_is_refused_is_not_taken_from_the_user(counts: Counts) -> None:
    mine = quotas(counts, user=10, tenant=4)
    assert spent(mine, Subject("tenant", ACME), user(), tries=50) == 4
    assert spent(mine, user(), tries=50) == 6


def test_a_tenants_flood_takes_nothing_from_another(counts: Counts) -> None:
    mine = quotas(counts, user=10, tenant=10)
    assert spent(mine, Subject("tenant", ACME), user(ACME), tries=100) == 10
    assert spent(mine, Subject("tenant", GLOBEX), user(GLOBEX), tries=100) == 10


def test_at_the_minutes_edge_the_old_lease_is_worth_nothing(clock: Clock, counts: Counts) -> None:
    mine = quotas(counts, user=10)
    clock.now = START + 59.9
    mine.spend([user()])
    clock.now = START + 60.0
    assert spent(mine, user(), tries=100) == 10
    clock.now = START + 119.9
    assert spent(mine, user(), tries=100) == 0
    clock.now = START + 120.0
    assert spent(mine, user(), tries=1) == 1


def test_a_clock_that_was_set_back_locks_nobody_out(clock: Clock, counts: Counts) -> None:
    mine = quotas(counts, user=1)
    assert spent(mine, user(), tries=2) == 1
    clock.now = START - 7_200
    assert spent(mine, user(), tries=2) == 1


def test_without_the_database_a_container_counts_for_itself(clock: Clock, counts: Counts) -> None:
    mine = quotas(counts, user=10)
    assert spent(mine, user(), tries=3) == 3
    counts.is_away, before = True, counts.asked
    assert spent(mine, user(), tries=100) == 12, "two of its lease, and its own ten"
    assert counts.asked == before + 1, "it does not ask again at once"
    clock.now = START + 60
    assert spent(mine, user(), tries=100) == 10
    counts.is_away = False
    clock.now = START + 120
    assert spent(mine, user(), tries=100) == 10
    assert counts.taken[user(), int(clock.now // 60)] == 10


def test_many_subjects_do_not_fill_the_memory(clock: Clock, counts: Counts) -> None:
    mine = quotas(counts, user=10)
    for n in range(20_100):
        mine.spend([user(name=str(n))])
    assert len(mine._hands) <= 20_000


def test_a_subject_of_a_tenant_begins_with_its_id() -> None:
    assert Subject("user", ACME, "ana").key == f"{ACME} user ana"
    assert Subject("tenant", ACME).key == f"{ACME} tenant"
    assert Subject("address", None, "::1").key == "- address ::1"
