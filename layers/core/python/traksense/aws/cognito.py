"""Logging in against the Cognito user pool.

One answer for an unknown user, a wrong password, a disabled and an unconfirmed account, so that
nobody learns who has an account here.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from traksense.auth.errors import BadCredentials, IdentityProviderAway, Throttled

if TYPE_CHECKING:
    from botocore.client import BaseClient

_log = logging.getLogger(__name__)

_REFUSED: Final = frozenset(
    {
        "NotAuthorizedException",
        "UserNotFoundException",
        "UserNotConfirmedException",
        "PasswordResetRequiredException",
    }
)
_THROTTLED: Final = frozenset(
    {
        "TooManyRequestsException",
        "LimitExceededException",
        "TooManyFailedAttemptsException",
        "ThrottlingException",
    }
)
# Cognito answers NotAuthorizedException with this text while an account is locked out
# (Amazon Cognito developer guide, "Lockout behavior for failed sign-in attempts").
_LOCKED_OUT: Final = "Password attempts exceeded"

MAX_USERNAME: Final = 128
MAX_PASSWORD: Final = 256


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a successful login gives. Times in seconds."""

    id_token: str
    access_token: str
    refresh_token: str | None
    """None where a refresh gives no new one: the old one stays good."""
    expires_in: int


@dataclass(frozen=True, slots=True)
class Challenge:
    """Cognito wants more before it gives tokens: a new password, a second factor."""

    name: str
    session: str


class Cognito:
    """The app client's calls. Its boto3 client is made at the first call."""

    def __init__(
        self,
        client_id: str,
        region: str,
        make_client: Callable[[str], BaseClient] | None = None,
    ) -> None:
        self._client_id = client_id
        self._region = region
        self._make_client = make_client or signed_client
        self._client: BaseClient | None = None
        self._lock = threading.Lock()

    def login(self, email: str, password: str) -> Tokens | Challenge:
        """Log in. Raises BadCredentials, Throttled or IdentityProviderAway."""
        if not _is_username(email) or not 1 <= len(password) <= MAX_PASSWORD:
            # Cognito answers InvalidParameterException here, which would tell such a name
            # from one that merely does not exist.
            raise BadCredentials("wrong e-mail or password")
        return self._initiate(
            "USER_PASSWORD_AUTH",
            {"USERNAME": email, "PASSWORD": password},
            "wrong e-mail or password",
        )

    def refresh(self, refresh_token: str) -> Tokens:
        """New ID and access tokens. Raises BadCredentials, Throttled or IdentityProviderAway."""
        refused = "the refresh token is expired, revoked or unknown"
        if not refresh_token:
            raise BadCredentials(refused)
        answer = self._initiate("REFRESH_TOKEN_AUTH", {"REFRESH_TOKEN": refresh_token}, refused)
        if isinstance(answer, Challenge):
            raise IdentityProviderAway(f"the user pool answers a refresh with {answer.name}")
        return answer

    def _initiate(self, flow: str, parameters: dict[str, str], refused: str) -> Tokens | Challenge:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._lazy_client().initiate_auth(
                ClientId=self._client_id, AuthFlow=flow, AuthParameters=parameters
            )
        except ClientError as error:
            raise _translate(error, refused) from error
        except BotoCoreError as error:
            raise IdentityProviderAway("the user pool cannot be reached") from error
        return _read(answer)

    def _lazy_client(self) -> BaseClient:
        with self._lock:
            if self._client is None:
                self._client = self._make_client(self._region)
            return self._client


def signed_client(region: str) -> BaseClient:
    """A boto3 client of Cognito that signs every call.

    botocore leaves the calls unsigned that Cognito offers to the public, InitiateAuth among them.
    Cognito takes them signed as well, and the local emulator takes nothing else.
    """
    import boto3
    from botocore.config import Config

    client: BaseClient = boto3.session.Session().client(
        "cognito-idp",
        region_name=region,
        config=Config(
            connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 2}
        ),
    )
    client.meta.events.register_first("choose-signer.cognito-identity-provider.*", lambda **_: "v4")
    return client


def _is_username(text: str) -> bool:
    return 1 <= len(text) <= MAX_USERNAME and text.isprintable() and not any(map(str.isspace, text))


def _translate(error: Any, refused: str) -> Exception:
    code = error.response["Error"]["Code"]
    message = error.response["Error"].get("Message", "")
    if code in _THROTTLED or (code in _REFUSED and _LOCKED_OUT in message):
        return Throttled("too many attempts")
    if code in _REFUSED:
        return BadCredentials(refused)
    _log.error("the user pool refused a call", extra={"code": code, "reason": message})
    return IdentityProviderAway("the user pool does not answer as it should")


def _read(answer: Any) -> Tokens | Challenge:
    result = answer.get("AuthenticationResult")
    if not result:
        return Challenge(answer["ChallengeName"], answer.get("Session", ""))
    return Tokens(
        id_token=result["IdToken"],
        access_token=result["AccessToken"],
        refresh_token=result.get("RefreshToken"),
        expires_in=int(result["ExpiresIn"]),
    )
