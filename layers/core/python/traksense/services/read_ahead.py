"""An iterator that is read in a thread of its own, a little ahead of whoever uses it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

Thing = TypeVar("Thing")

_POLL_S: Final = 0.1


class _End:
    """Behind the last thing: how the reading ended."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Ahead(Generic[Thing]):
    """What was read ahead."""

    def __init__(self, things: queue.Queue[Thing | _End]) -> None:
        self._things = things

    def each(self, patience_s: float) -> Iterator[Thing | None]:
        """The things in their order, and None whenever none came for so long.

        Raises what the reading raised.
        """
        while True:
            try:
                thing = self._things.get(timeout=patience_s)
            except queue.Empty:
                yield None
                continue
            if isinstance(thing, _End):
                if thing.error is not None:
                    raise thing.error
                return
            yield thing


@contextmanager
def read_ahead(
    read: Callable[[], Generator[Thing]], depth: int, release: Callable[[], None]
) -> Iterator[Ahead[Thing]]:
    """Read what ``read`` makes, up to ``depth`` things ahead, while the block runs.

    The generator is closed, and ``release`` called, in the thread that read, before the block's
    end is over.
    """
    things: queue.Queue[Thing | _End] = queue.Queue(depth)
    is_over = threading.Event()

    def hand_over(thing: Thing | _End) -> bool:
        while not is_over.is_set():
            try:
                things.put(thing, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        end = _End(None)
        try:
            generator = read()
            try:
                for thing in generator:
                    if not hand_over(thing):
                        break
            finally:
                generator.close()
                release()
        except BaseException as error:  # noqa: BLE001 - is raised where the things are used
            end = _End(error)
        hand_over(end)

    thread = threading.Thread(target=run, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield Ahead(things)
    finally:
        is_over.set()
        thread.join()
