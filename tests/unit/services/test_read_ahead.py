"""What is read in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

import pytest

from traksense.services.read_ahead import read_ahead


def test_things_come_in_their_order_and_are_released_in_the_thread_that_read_them() -> None:
    threads: list[threading.Thread] = []

    def read() -> Generator[int]:
        threads.append(threading.current_thread())
        yield from range(100)

    with read_ahead(read, 2, lambda: threads.append(threading.current_thread())) as ahead:
        assert list(ahead.each(5)) == list(range(100))
    assert threads[0] is threads[1] is not threading.current_thread()


def test_no_more_is_read_than_is_wanted_ahead() -> None:
    made: list[int] = []

    def read() -> Generator[int]:
        for n in range(1_000):
            made.append(n)
            yield n

    with read_ahead(read, 2, lambda: None) as ahead:
        assert next(ahead.each(5)) == 0
        time.sleep(0.1)
        assert len(made) <= 4  # one used, two waiting, one in hand


def test_what_the_reading_raises_is_raised_behind_what_it_gave() -> None:
    def read() -> Generator[int]:
        yield 1
        raise ValueError("broken")

    found: list[int | None] = []
    with (
        pytest.raises(ValueError, match="broken"),
        read_ahead(read, 2, lambda: None) as ahead,
    ):
        found.extend(ahead.each(5))
    assert found in ([], [1])
    with read_ahead(read, 2, lambda: None) as ahead:
        things = ahead.each(5)
        assert next(things) == 1
        with pytest.raises(ValueError, match="broken"):
            next(things)


def test_whoever_waits_is_told_that_nothing_came() -> None:
    goes_on = threading.Event()

    def read() -> Generator[int]:
        goes_on.wait(5)
        yield 1

    with read_ahead(read, 2, lambda: None) as ahead:
        things = ahead.each(0.01)
        assert next(things) is None
        goes_on.set()
        assert [thing for thing in things if thing is not None] == [1]


def test_a_reading_that_nobody_wants_any_more_is_closed_before_the_block_is_over() -> None:
    ended: list[str] = []

    def read() -> Generator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append("closed")

    with read_ahead(read, 2, lambda: ended.append("released")) as ahead:
        assert next(ahead.each(5)) == 1
    assert ended == ["closed", "released"]
