"""What a process makes once, at the first call and never at import."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Made(Generic[Thing]):
    """Makes something when it is first asked for, once, also under many threads."""

    def __init__(self, make: Callable[[], Thing]) -> None:
        self._make = make
        self._made: Thing | None = None
        self._lock = threading.Lock()

    def use(self, thing: Thing | None) -> None:
        """Answer with this from now on, where a runner wires its own; None: make it again."""
        with self._lock:
            self._made = thing

    @property
    def made(self) -> Thing | None:
        """The thing, if it was needed already."""
        return self._made

    def get(self) -> Thing:
        """The thing. Raises what making it raises, such as ConfigurationError."""
        made = self._made
        if made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._make()
                made = self._made
        return made
