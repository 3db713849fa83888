"""The services of this process, made at the first request and never at import."""

from __future__ import annotations

import threading
from collections.abc import Callable

from traksense.wiring.api import ApiServices, api_from_environment


class Services:
    """Makes the services when they are first asked for, once, also under many threads."""

    def __init__(self, make: Callable[[], ApiServices] = api_from_environment) -> None:
        self._make = make
        self._made: ApiServices | None = None
        self._lock = threading.Lock()

    def use(self, services: ApiServices | None) -> None:
        """Answer with these from now on, where a runner wires its own; None: make them again."""
        with self._lock:
            self._made = services

    @property
    def made(self) -> ApiServices | None:
        """The services, if they were needed already."""
        return self._made

    def get(self) -> ApiServices:
        """The services. Raises ConfigurationError."""
        made = self._made
        if made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._make()
                made = self._made
        return made


services = Services()
"""The process's services."""
