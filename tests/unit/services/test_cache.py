"""Copies in memory: what they rest on, when they no longer hold, and what a request may assume."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from traksense.services.cache import Cache, EpochMoved


class Server:
    """A database with an epoch and one value, that tells the epoch as a transaction begins."""

    def __init__(self) -> None:
        self.epoch = 1
        self.value: str | None = "old"
        self.transactions = 0
        self.seen: Callable[[int], None] = lambda _: None

    def begin(self) -> None:
        self.transactions += 1
        self.seen(self.epoch)

    ask = begin

    def raise_epoch(self) -> None:
        self.begin()
        self.epoch += 1

    def read(self) -> str | None:
        self.begin()
        return self.value

    def change(self, value: str) -> None:
        """Another container does that."""
        self.value = value
        self.epoch += 1


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(server: Server, clock: Clock) -> Cache:
    made = Cache(server, clock=clock, max_entries=3)
    server.seen = made.saw
    return made


def once(cache: Cache, server: Server, key: object = "key", *, may_assume: bool = True) -> object:
    """One request that reads one thing."""
    with cache.request(may_assume=may_assume):
        value = cache.get("kind", key, server.read)
        cache.confirm()
        return value


def test_a_hit_asks_nobody_and_the_request_once_whether_it_was_good(
    cache: Cache, server: Server
) -> None:
    once(cache, server)
    with cache.request(may_assume=True):
        before = server.transactions
        assert cache.get("kind", "key", server.read) == "old"
        assert server.transactions == before
        server.begin()  # what the request does in the database anyway
        cache.confirm()
        assert server.transactions == before + 1


def test_a_request_of_hits_alone_asks_before_it_is_answered(cache: Cache, server: Server) -> None:
    once(cache, server)
    before = server.transactions
    assert once(cache, server) == "old"
    assert server.transactions == before + 1


def test_what_another_container_changed_before_the_request_is_not_shown(
    cache: Cache, server: Server
) -> None:
    once(cache, server)
    server.change("new")
    with cache.request(may_assume=True):
        assert cache.get("kind", "key", server.read) == "old"
        with pytest.raises(EpochMoved):
            server.begin()
    assert once(cache, server) == "new", "answered anew"


def test_a_request_of_hits_alone_notices_it_too(cache: Cache, server: Server) -> None:
    once(cache, server)
    server.change("new")
    with pytest.raises(EpochMoved):
        once(cache, server)
    assert once(cache, server) == "new"


def test_that_it_moved_is_told_again_to_whoever_took_it_for_something_else(
    cache: Cache, server: Server
) -> None:
    once(cache, server)
    server.change("new")
    with cache.request(may_assume=True):
        cache.get("kind", "key", server.read)
        for ask in (server.begin, cache.confirm):
            with pytest.raises(EpochMoved):
                ask()


def test_a_request_that_does_something_assumes_nothing(cache: Cache, server: Server) -> None:
    once(cache, server)
    server.change("new")
    assert once(cache, server, may_assume=False) == "new"
    before = server.transactions
    with cache.request(may_assume=False):
        assert [cache.get("kind", "key", server.read) for _ in range(3)] == ["new"] * 3
    assert server.transactions == before + 1, "asked once, for the first copy"


def test_a_change_after_the_request_began_is_for_the_next_request(
    cache: Cache, server: Server
) -> None:
    once(cache, server)
    with cache.request(may_assume=True):
        server.begin()
        server.change("new")
        assert cache.get("kind", "key", server.read) == "old"
        cache.confirm()
    with pytest.raises(EpochMoved):
        once(cache, server)


def test_a_copy_is_good_for_the_epoch_of_the_transaction_that_read_it_not_of_a_later_one(
    cache: Cache, server: Server
) -> None:
    def read_and_go_on() -> str | None:
        value = server.read()
        server.change("new")
        server.begin()  # the same request's next transaction sees the next epoch
        return value

    with cache.request(may_assume=True):
        assert cache.get("kind", "key", read_and_go_on) == "old"
    assert once(cache, server) == "new"


def test_a_load_within_a_load_is_good_for_the_first_transaction_of_both(
    cache: Cache, server: Server
) -> None:
    def outer() -> str:
        value = server.read()
        server.change("new")
        return f"{value}, {cache.get('inner', 1, server.read)}"

    with cache.request(may_assume=True):
        assert cache.get("kind", "key", outer) == "old, new"
        cache.confirm()
    assert once(cache, server) == "new", "the outer one was of the old epoch"


def test_a_load_within_the_callers_transaction_is_good_for_that(
    cache: Cache, server: Server
) -> None:
    with cache.request(may_assume=True):
        server.begin()
        assert cache.get("kind", "key", lambda: server.value) == "old"
    server.value = "changed behind the epoch's back"
    assert once(cache, server) == "old"


def test_a_copy_serves_no_longer_than_its_time_whatever_the_epoch_says(
    cache: Cache, server: Server, clock: Clock
) -> None:
    once(cache, server)
    server.value = "changed behind the epoch's back"
    clock.now = 299.0
    assert once(cache, server) == "old"
    clock.now = 300.0
    assert once(cache, server) == "changed behind the epoch's back"


def test_what_is_not_there_is_not_kept(cache: Cache, server: Server) -> None:
    server.value = None
    assert once(cache, server) is None
    server.value = "made"
    assert once(cache, server) == "made"
    assert cache.status().entries == 1


def test_it_is_bounded_and_the_oldest_goes(cache: Cache, server: Server) -> None:
    for key in range(5):
        once(cache, server, key)
    assert cache.status().entries == 3
    before = server.transactions
    with cache.request(may_assume=True):
        cache.get("kind", 4, server.read)
        assert server.transactions == before
        cache.get("kind", 0, server.read)
        assert server.transactions == before + 1


def test_an_epoch_that_falls_as_after_a_restore_makes_copies_outdated_too(
    cache: Cache, server: Server
) -> None:
    server.epoch = 7
    once(cache, server)
    server.epoch, server.value = 3, "restored"
    with pytest.raises(EpochMoved):
        once(cache, server)
    assert once(cache, server) == "restored"


def test_clearing_reaches_every_container(cache: Cache, server: Server) -> None:
    once(cache, server)
    cache.clear()
    assert (cache.status().entries, cache.status().epoch) == (0, 2)


def test_outside_of_a_request_nothing_is_kept_nor_found(cache: Cache, server: Server) -> None:
    once(cache, server)
    server.value = "new"
    assert cache.get("kind", "key", server.read) == "new"


@pytest.mark.parametrize("off", [Cache(), Cache(Server(), ttl_s=0)])
def test_turned_off_it_keeps_nothing_and_asks_nobody(off: Cache) -> None:
    server = Server()
    assert once(off, server) == "old"
    server.value = "new"
    assert once(off, server, may_assume=False) == "new"
    assert server.transactions == 2
    assert (off.status().is_on, off.status().kinds) == (False, ())


def test_hits_and_misses_are_counted_by_kind(cache: Cache, server: Server) -> None:
    for _ in range(3):
        once(cache, server)
    (kind,) = cache.status().kinds
    assert (kind.kind, kind.hits, kind.misses) == ("kind", 2, 1)
