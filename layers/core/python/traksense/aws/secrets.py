"""Log-ins of databases that are kept in Secrets Manager.

Source: Secrets Manager, "JSON structure of AWS Secrets Manager database credential secrets".
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from traksense.aws.clients import LazyClient, MakeClient, new_client
from traksense.domain.errors import ConfigurationError, DatabaseAway
from traksense.services.rotation import CURRENT, PENDING, Login, Stage

if TYPE_CHECKING:
    from botocore.client import BaseClient

_PAUSE_S: Final = 2
"""Between two looks that did not help: a log-in that has too many connections refuses everybody."""
NOT_THERE: Final = "ResourceNotFoundException"
"""The code of a secret, a version with a label, or a value that there is not."""
_PERMANENT: Final = frozenset({"AccessDeniedException", NOT_THERE, "DecryptionFailure"})


class DatabaseSecrets:
    """Reads log-ins. Its client is made at first use."""

    def __init__(self, region: str, make_client: MakeClient | None = None) -> None:
        self._client = LazyClient(region, make_client or client_of_secrets)

    def read(self, secret: str) -> Login:
        """The log-in in a secret, by its ARN or name.

        Raises DatabaseAway where another try may succeed, or ConfigurationError.
        """
        found = self._read(secret, CURRENT)
        if found is None:
            raise ConfigurationError(f"the secret {secret} cannot be read: {NOT_THERE}")
        return found

    def read_pending(self, secret: str) -> Login | None:
        """The log-in that a rotation is about to make the current one; None: there is none.

        Raises as ``read`` does.
        """
        return self._read(secret, PENDING)

    def _read(self, secret: str, stage: Stage) -> Login | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.get().get_secret_value(SecretId=secret, VersionStage=stage)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == NOT_THERE:
                return None
            if code in _PERMANENT:
                raise ConfigurationError(f"the secret {secret} cannot be read: {code}") from error
            raise DatabaseAway(f"the secret of the database's log-in: {code}") from error
        except BotoCoreError as error:
            raise DatabaseAway("the secret of the database's log-in cannot be read now") from error
        return login_of(secret, answer["SecretString"])


class SecretPasswords:
    """Implements ``traksense.db.passwords.Passwords``: a secret's, which may be rotated."""

    def __init__(
        self,
        secret: str,
        secrets: DatabaseSecrets,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._secret = secret
        self._secrets = secrets
        self._clock = clock
        self._sleep = sleep
        self._known: str | None = None
        self._looked_at: float | None = None
        self._lock = threading.Lock()

    def current(self) -> str:
        """The password that was good last. Raises DatabaseAway or ConfigurationError."""
        with self._lock:
            if self._known is None:
                self._known = self._secrets.read(self._secret).password
            return self._known

    def others(self, refused: str) -> tuple[str, ...]:
        """The secret's password, and the one that a rotation under way makes it.

        From the moment at which the database knows the new one until the secret calls it the
        current one, only the pending one is let in. It is read first: where there is none any
        more, the rotation is over, and the current one read after it is the new one.
        """
        with self._lock:
            self._pause()
            pending = self._secrets.read_pending(self._secret)
            self._known = self._secrets.read(self._secret).password
            found = [self._known] if pending is None else [self._known, pending.password]
            return tuple(dict.fromkeys(each for each in found if each != refused))

    def accepted(self, password: str) -> None:
        """Which one it is."""
        with self._lock:
            self._known = password
            self._looked_at = None

    def _pause(self) -> None:
        """Wait rather than say that there is no other: a moment later there may be one."""
        now = self._clock()
        if self._looked_at is not None and now - self._looked_at < _PAUSE_S:
            self._sleep(_PAUSE_S - (now - self._looked_at))
        self._looked_at = self._clock()


def login_of(secret: str, text: str) -> Login:
    """What the text of a secret says. Raises ConfigurationError."""
    try:
        found: Any = json.loads(text)
        username, password = found["username"], found["password"]
    except (ValueError, KeyError, TypeError):
        # Without the cause, whose message may hold what is in the secret.
        raise ConfigurationError(
            f"the secret {secret} must hold a JSON object with username and password"
        ) from None
    if not (isinstance(username, str) and isinstance(password, str) and username and password):
        raise ConfigurationError(f"username and password in the secret {secret} must be texts")
    return Login(username, password)


def client_of_secrets(region: str) -> BaseClient:
    """A client of Secrets Manager."""
    return new_client("secretsmanager", region, read_timeout_s=5, attempts=3)
