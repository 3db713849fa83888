"""A deployment's part of the database: its schema and its log-ins become this release's."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from traksense.db.logins import ensure, logins_of, with_login
from traksense.db.migrate import migrate
from traksense.db.passwords import Passwords
from traksense.domain.errors import DatabaseAway
from traksense.settings.reading import Engine

_AGAIN_AFTER_S: Final = 10
_TIME_TO_ANSWER_S: Final = 30

_log = logging.getLogger(__name__)


class Credentials(Protocol):
    """A user of a database."""

    @property
    def username(self) -> str:
        """Its name."""

    @property
    def password(self) -> str:
        """Its password."""


class Schema:
    """Brings a database to this release, over its administrator's log-in."""

    def __init__(
        self,
        url: str,
        engine: Engine,
        administrator: str,
        read: Callable[[str], Credentials],
        passwords: Callable[[str], Passwords],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``administrator`` names a secret, which ``read`` reads: it may be rotated meanwhile.
        ``passwords`` gives those of a log-in's secret.
        """
        self._url = url
        self._engine: Engine = engine
        self._administrator = administrator
        self._read = read
        self._passwords_of = passwords
        self._sleep = sleep

    def bring(
        self,
        connections: Mapping[str, int],
        secrets: Mapping[str, str] | None,
        time_left_s: Callable[[], float],
    ) -> int:
        """Apply what is missing and make the log-ins what they should be; how many migrations.

        ``connections`` and ``secrets`` (names of those with the log-ins' passwords) are by the
        function's name. A database that is away, as one that wakes up or fails over, is tried
        again while there is time. Raises DatabaseAway, MigrationError, LoginError or
        ConfigurationError.
        """
        applied = 0
        while True:
            try:
                user = self._read(self._administrator)
                url = with_login(self._url, user.username, user.password)
                applied += len(
                    migrate(
                        url,
                        engine=self._engine,
                        time_left_s=lambda: time_left_s() - _TIME_TO_ANSWER_S,
                    )
                )
                ensure(url, logins_of(connections, self._passwords(secrets)))
            except DatabaseAway as error:
                if time_left_s() < _TIME_TO_ANSWER_S + 2 * _AGAIN_AFTER_S:
                    raise
                _log.warning("the database is away, tried again in %s s: %s", _AGAIN_AFTER_S, error)
                self._sleep(_AGAIN_AFTER_S)
            else:
                return applied

    def _passwords(self, secrets: Mapping[str, str] | None) -> dict[str, Passwords] | None:
        if secrets is None:
            return None
        return {function: self._passwords_of(secret) for function, secret in secrets.items()}
