"""Cognito's patience with guesses and with requests for codes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from moto.cognitoidp.exceptions import NotAuthorizedError
from moto.core.exceptions import JsonRESTError


class Lockout:
    """Cognito's lock after failed sign-ins: none for five, then 1 s, doubling to 15 minutes.

    Source: Amazon Cognito developer guide, "Lockout behavior for failed sign-in attempts". Names
    that do not exist are locked like those that do.
    """

    FREE = 5
    LONGEST_S = 900
    REMEMBERED = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, username: str) -> None:
        """Raise NotAuthorizedException while the name is locked."""
        with self._lock:
            _, until = self._failures.get(username.lower(), (0, 0.0))
        if until > self._clock():
            raise NotAuthorizedError("Password attempts exceeded")

    def failed(self, username: str) -> None:
        """Count a failure."""
        name = username.lower()
        with self._lock:
            count, _ = self._failures.pop(name, (0, 0.0))
            over = count + 1 - self.FREE
            wait = min(2.0 ** min(over, 20), self.LONGEST_S) if over >= 0 else 0.0
            self._failures[name] = (count + 1, self._clock() + wait)
            if len(self._failures) > self.REMEMBERED:
                self._failures.popitem(last=False)

    def succeeded(self, username: str) -> None:
        """Forget the failures of a name."""
        with self._lock:
            self._failures.pop(username.lower(), None)


class LimitExceeded(JsonRESTError):
    """Too many requests about one name."""

    def __init__(self) -> None:
        super().__init__(
            "LimitExceededException", "Attempt limit exceeded, please try after some time."
        )


class HourlyLimit:
    """At most so many in any hour for one name, known or not.

    Cognito allows 5 to 20 requests for a code an hour, and as many wrong codes (developer guide,
    "Quotas": ForgotPassword, ConfirmForgotPassword); the least of them holds here.
    """

    MOST = 5
    WINDOW_S = 3600.0
    REMEMBERED = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, username: str) -> None:
        """Raise LimitExceededException where the hour has had enough."""
        if len(self._recent(username)) >= self.MOST:
            raise LimitExceeded

    def count(self, username: str) -> None:
        """Count one."""
        name = username.lower()
        self._times[name] = [*self._recent(username), self._clock()]
        self._times.move_to_end(name)
        if len(self._times) > self.REMEMBERED:
            self._times.popitem(last=False)

    def forget(self, username: str) -> None:
        """Begin anew for a name."""
        self._times.pop(username.lower(), None)

    def _recent(self, username: str) -> list[float]:
        since = self._clock() - self.WINDOW_S
        return [at for at in self._times.get(username.lower(), []) if at > since]
