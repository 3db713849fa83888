"""Log-ins of databases that are kept in Secrets Manager.

Source: Secrets Manager, "JSON structure of AWS Secrets Manager database credential secrets".
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from traksense.aws.clients import LazyClient, MakeClient, new_client
from traksense.domain.errors import ConfigurationError, DatabaseAway

if TYPE_CHECKING:
    from botocore.client import BaseClient

_LEAST_AGE_S: Final = 60
"""A copy this young is not read again: a database that is away refuses everybody all the time."""
_PERMANENT: Final = frozenset(
    {"AccessDeniedException", "ResourceNotFoundException", "DecryptionFailure"}
)


@dataclass(frozen=True, slots=True)
class DatabaseLogin:
    """A user of a database."""

    username: str
    password: str = field(repr=False)


class DatabaseSecrets:
    """Reads log-ins. Its client is made at first use."""

    def __init__(self, region: str, make_client: MakeClient | None = None) -> None:
        self._client = LazyClient(region, make_client or _secrets_client)

    def read(self, secret: str) -> DatabaseLogin:
        """The log-in in a secret, by its ARN or name.

        Raises DatabaseAway where another try may succeed, or ConfigurationError.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            text = self._client.get().get_secret_value(SecretId=secret)["SecretString"]
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _PERMANENT:
                raise ConfigurationError(f"the secret {secret} cannot be read: {code}") from error
            raise DatabaseAway(f"the secret of the database's log-in: {code}") from error
        except BotoCoreError as error:
            raise DatabaseAway("the secret of the database's log-in cannot be read now") from error
        return _login(secret, text)


class SecretPasswords:
    """Implements ``traksense.db.connection.Passwords``: a secret's, which may be rotated."""

    def __init__(
        self,
        secret: str,
        secrets: DatabaseSecrets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secret = secret
        self._secrets = secrets
        self._clock = clock
        self._known: tuple[str, float] | None = None
        self._lock = threading.Lock()

    def current(self) -> str:
        """The password as it was last read. Raises DatabaseAway or ConfigurationError."""
        with self._lock:
            return self._read()[0] if self._known is None else self._known[0]

    def changed(self) -> bool:
        """Read it again, unless that was just done; whether it is another one now."""
        with self._lock:
            before = self._known
            if before is not None and self._clock() - before[1] < _LEAST_AGE_S:
                return False
            return self._read()[0] != (before and before[0])

    def _read(self) -> tuple[str, float]:
        self._known = (self._secrets.read(self._secret).password, self._clock())
        return self._known


def _login(secret: str, text: str) -> DatabaseLogin:
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
    return DatabaseLogin(username, password)


def _secrets_client(region: str) -> BaseClient:
    return new_client("secretsmanager", region, read_timeout_s=5, attempts=3)
