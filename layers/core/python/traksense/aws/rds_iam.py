"""IAM authentication of RDS, Aurora and RDS Proxy: a signed address takes the password's place.

Source: RDS user guide, "Connecting to your DB instance using IAM authentication"; AWS Signature
Version 4, "Authenticating requests: using query parameters". Signed here rather than by botocore,
whose import alone would cost a function that needs nothing else of it 150 ms at each cold start.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Self
from urllib.parse import quote, unquote, urlsplit

from traksense.domain.errors import ConfigurationError
from traksense.settings.login import AwsCredentials

_POSTGRESQL: Final = 5432
_VALID_S: Final = 900
"""RDS takes no longer."""
_SERVICE: Final = "rds-db"
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_EMPTY: Final = hashlib.sha256(b"").hexdigest()


class RdsIamPasswords:
    """Implements ``traksense.db.passwords.Passwords``: a token of its own for each connection."""

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        region: str,
        credentials: Callable[[], AwsCredentials],
    ) -> None:
        """``credentials`` is asked at each connection, for they change while a container lives."""
        self._address = f"{host}:{port}"
        self._user = user
        self._region = region
        self._credentials = credentials

    @classmethod
    def of_url(cls, url: str, region: str, credentials: Callable[[], AwsCredentials]) -> Self:
        """For the host, the port and the user of a database URL. Raises ConfigurationError."""
        parts = urlsplit(url)
        if not parts.hostname or not parts.username:
            raise ConfigurationError(
                "DATABASE_URL must name a host and a user, for whom a token is signed"
            )
        return cls(
            parts.hostname, parts.port or _POSTGRESQL, unquote(parts.username), region, credentials
        )

    def current(self) -> str:
        """A token that opens connections for the next 15 minutes. Raises ConfigurationError."""
        return signed(
            self._address, self._user, self._region, self._credentials(), datetime.now(UTC)
        )

    def others(self, _refused: str) -> tuple[str, ...]:
        """Another token would bring the same right to connect, or the same lack of it."""
        return ()

    def accepted(self, password: str) -> None:
        """Each connection has a token of its own."""


def signed(address: str, user: str, region: str, credentials: AwsCredentials, at: datetime) -> str:
    """The token of a user of the database at ``host:port``."""
    moment = f"{at:%Y%m%dT%H%M%SZ}"
    scope = f"{moment[:8]}/{region}/{_SERVICE}/aws4_request"
    fields = {
        "Action": "connect",
        "DBUser": user,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key_id}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(_VALID_S),
    }
    if credentials.session_token is not None:
        fields["X-Amz-Security-Token"] = credentials.session_token
    fields["X-Amz-SignedHeaders"] = "host"
    query = "&".join(f"{name}={quote(fields[name], safe='-_.~')}" for name in sorted(fields))
    request = f"GET\n/\n{query}\nhost:{address}\n\nhost\n{_EMPTY}"
    to_sign = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    return f"{address}/?{query}&X-Amz-Signature={signature}"
