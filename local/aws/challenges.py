"""Log-ins that are under way: what Cognito has asked for, and of whom."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from moto.cognitoidp.exceptions import NotAuthorizedError
from moto.cognitoidp.models import CognitoIdpUser

SESSION_S: Final = 180
"""How long a challenge may be answered (Cognito's AuthSessionValidity, three minutes)."""
MOST_WRONG_CODES: Final = 5


@dataclass(slots=True)
class Challenge:
    """One step of a log-in that waits for an answer."""

    name: str
    client_id: str
    user_id: str
    until: float
    wrong_codes: int = 0
    secret: str | None = None
    """The authenticator's, while it is being set up."""
    is_set_up: bool = False


class Challenges:
    """Open challenges by session. In memory: whoever was half in logs in anew after a restart."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Challenge] = {}

    def begin(self, name: str, client_id: str, user: CognitoIdpUser) -> str:
        """The session of a new challenge."""
        now = self._clock()
        self._open = {key: one for key, one in self._open.items() if one.until > now}
        return self._keep(Challenge(name, client_id, user.id, now + SESSION_S))

    def get(self, session: str, *names: str) -> Challenge:
        """An open challenge of one of these names. Raises NotAuthorizedException."""
        found = self._open.get(session or "")
        if found is None or found.name not in names or found.until <= self._clock():
            raise NotAuthorizedError("Invalid session for the user.")
        return found

    def of(self, session: str, name: str, client_id: str, user: CognitoIdpUser | None) -> Challenge:
        """The challenge that this user began, and no other. Raises NotAuthorizedException."""
        found = self.get(session, name)
        if (
            user is None
            or not user.enabled
            or (found.client_id, found.user_id) != (client_id, user.id)
        ):
            raise NotAuthorizedError("Invalid session for the user.")
        return found

    def renew(self, session: str) -> str:
        """The same challenge under another session; the old one is no longer good."""
        return self._keep(self._open.pop(session))

    def wrong_code(self, session: str) -> None:
        """Count a wrong code; after some the session is over."""
        found = self._open[session]
        found.wrong_codes += 1
        if found.wrong_codes >= MOST_WRONG_CODES:
            self.end(session)

    def end(self, session: str) -> None:
        """The challenge was met."""
        self._open.pop(session, None)

    def _keep(self, challenge: Challenge) -> str:
        session = secrets.token_urlsafe(48)
        self._open[session] = challenge
        return session
