"""Logging in against the Cognito user pool.

One answer for an unknown user, a wrong password, a disabled and an unconfirmed account, so that
nobody learns who has an account here.
"""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from traksense.auth.errors import BadCredentials, IdentityProviderAway, Throttled
from traksense.auth.passwords import check_password, password_refused
from traksense.aws.clients import LazyClient, MakeClient, new_client
from traksense.domain.errors import Invalid
from traksense.i18n.catalogue import text

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
_POOL_THROTTLED: Final = frozenset({"TooManyRequestsException", "ThrottlingException"})
_WRONG_CODE: Final = frozenset(
    {"CodeMismatchException", "ExpiredCodeException", "EnableSoftwareTokenMFAException"}
)
_SESSION_OVER: Final = "the log-in took too long, or was never begun"

# No code is sent, and nobody is told: these answers would say who has an account. Cognito counts
# requests for each account, so that LimitExceededException is among them.
_NOT_MAILED: Final = frozenset(
    {
        "CodeDeliveryFailureException",
        "UserLambdaValidationException",
        "UnexpectedLambdaException",
        "InvalidLambdaResponseException",
    }
)
_NO_CODE: Final = _NOT_MAILED | {
    "InvalidParameterException",
    "LimitExceededException",
    "NotAuthorizedException",
    "UserNotConfirmedException",
    "UserNotFoundException",
}
_NO_RESET: Final = _WRONG_CODE | {
    "LimitExceededException",
    "NotAuthorizedException",
    "TooManyFailedAttemptsException",
    "UserNotConfirmedException",
    "UserNotFoundException",
}
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


ChallengeName = Literal["NEW_PASSWORD_REQUIRED", "SOFTWARE_TOKEN_MFA", "MFA_SETUP"]


@dataclass(frozen=True, slots=True)
class Challenge:
    """Cognito wants more before it gives tokens: a new password, a second factor."""

    name: ChallengeName
    session: str
    """Opaque: whatever is needed to go on, so that nobody else has to keep it."""
    secret: str | None = None
    """What to enter into an authenticator app, base32, where one is to be set up."""
    secret_uri: str | None = None
    """The same for a QR code (``otpauth:``)."""


NEW_PASSWORD: Final[ChallengeName] = "NEW_PASSWORD_REQUIRED"  # noqa: S105 - the name of a challenge
TOTP: Final[ChallengeName] = "SOFTWARE_TOKEN_MFA"
TOTP_SETUP: Final[ChallengeName] = "MFA_SETUP"
ISSUER: Final = "TrakSense"


class Cognito:
    """The app client's calls. Its boto3 client is made at the first call."""

    def __init__(
        self,
        client_id: str,
        region: str,
        make_client: MakeClient | None = None,
    ) -> None:
        self._client_id = client_id
        self._client = LazyClient(region, make_client or signed_client)

    def login(self, email: str, password: str) -> Tokens | Challenge:
        """Log in. Raises BadCredentials, Throttled or IdentityProviderAway."""
        if not _is_username(email) or not 1 <= len(password) <= MAX_PASSWORD:
            # Cognito answers InvalidParameterException here, which would tell such a name
            # from one that merely does not exist.
            raise BadCredentials("wrong e-mail or password")
        refused = "wrong e-mail or password"
        answer = self._call(
            "initiate_auth",
            refused,
            ClientId=self._client_id,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": email, "PASSWORD": password},
        )
        return self._read(answer, email)

    def respond(
        self, session: str, new_password: str | None, code: str | None
    ) -> Tokens | Challenge:
        """Answer a challenge. Raises as ``login`` does, and Invalid for what breaks a rule.

        The session stays good after an Invalid, for as long as the user pool keeps it.
        """
        name, email, inner = _unwrap(session)
        responses = {"USERNAME": email}
        if name == NEW_PASSWORD:
            responses["NEW_PASSWORD"] = check_password(_given("new_password", new_password))
        elif name == TOTP:
            responses["SOFTWARE_TOKEN_MFA_CODE"] = _given("code", code)
        else:
            inner = self._call(
                "verify_software_token",
                _SESSION_OVER,
                Session=inner,
                UserCode=_given("code", code),
                FriendlyDeviceName=ISSUER,
            )["Session"]
        answer = self._call(
            "respond_to_auth_challenge",
            _SESSION_OVER,
            ClientId=self._client_id,
            ChallengeName=name,
            Session=inner,
            ChallengeResponses=responses,
        )
        return self._read(answer, email)

    def forgot(self, email: str) -> None:
        """Have a code for a new password mailed, where there is such an account.

        Raises Throttled or IdentityProviderAway where everybody would get that, and otherwise
        never tells whether there is one.
        """
        if not _is_username(email):
            return
        try:
            self._ask("forgot_password", ClientId=self._client_id, Username=email)
        except _Refusal as refusal:
            if refusal.code in _POOL_THROTTLED:
                raise Throttled("too many requests") from refusal
            if refusal.code not in _NO_CODE:
                raise _translate(refusal, "") from refusal
            if refusal.code in _NOT_MAILED:
                _log.error("a code could not be mailed", extra={"reason": refusal.message})

    def reset(self, email: str, code: str, new_password: str) -> None:
        """Set a new password by a code that was mailed.

        Raises Invalid, the same for an unknown account and a wrong, old or spent code; Throttled;
        IdentityProviderAway.
        """
        check_password(new_password)
        if not _is_username(email):
            raise _bad_code()
        try:
            self._ask(
                "confirm_forgot_password",
                ClientId=self._client_id,
                Username=email,
                ConfirmationCode=code,
                Password=new_password,
            )
        except _Refusal as refusal:
            if refusal.code in _POOL_THROTTLED:
                raise Throttled("too many requests") from refusal
            if refusal.code in _NO_RESET:
                raise _bad_code() from refusal
            raise _translate(refusal, "") from refusal

    def refresh(self, refresh_token: str) -> Tokens:
        """New ID and access tokens. Raises BadCredentials, Throttled or IdentityProviderAway."""
        refused = "the refresh token is expired, revoked or unknown"
        if not refresh_token:
            raise BadCredentials(refused)
        answer = self._call(
            "initiate_auth",
            refused,
            ClientId=self._client_id,
            AuthFlow="REFRESH_TOKEN_AUTH",
            AuthParameters={"REFRESH_TOKEN": refresh_token},
        )
        if not answer.get("AuthenticationResult"):
            name = answer["ChallengeName"]
            raise IdentityProviderAway(f"the user pool answers a refresh with {name}")
        return _tokens(answer["AuthenticationResult"])

    def _read(self, answer: Any, email: str) -> Tokens | Challenge:
        result = answer.get("AuthenticationResult")
        if result:
            return _tokens(result)
        name, session = answer["ChallengeName"], answer.get("Session", "")
        if name not in (NEW_PASSWORD, TOTP, TOTP_SETUP):
            raise IdentityProviderAway(f"the user pool asks for {name}, which nobody can answer")
        if name != TOTP_SETUP:
            return Challenge(name, _wrap(name, email, session))
        begun = self._call("associate_software_token", _SESSION_OVER, Session=session)
        secret = begun["SecretCode"]
        label = quote(f"{ISSUER}:{email}")
        return Challenge(
            name,
            _wrap(name, email, begun["Session"]),
            secret,
            f"otpauth://totp/{label}?secret={secret}&issuer={ISSUER}",
        )

    def _call(self, operation: str, refused: str, **parameters: Any) -> Any:
        try:
            return self._ask(operation, **parameters)
        except _Refusal as refusal:
            raise _translate(refusal, refused) from refusal

    def _ask(self, operation: str, **parameters: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client.get(), operation)(**parameters)
        except ClientError as error:
            found = error.response["Error"]
            raise _Refusal(found["Code"], found.get("Message", "")) from error
        except BotoCoreError as error:
            raise IdentityProviderAway("the user pool cannot be reached") from error


def signed_client(region: str) -> BaseClient:
    """A boto3 client of Cognito that signs every call.

    botocore leaves the calls unsigned that Cognito offers to the public, InitiateAuth among them.
    Cognito takes them signed as well, and the local emulator takes nothing else.
    """
    client = new_client("cognito-idp", region)
    client.meta.events.register_first("choose-signer.cognito-identity-provider.*", lambda **_: "v4")
    return client


def _is_username(text: str) -> bool:
    return 1 <= len(text) <= MAX_USERNAME and text.isprintable() and not any(map(str.isspace, text))


class _Refusal(Exception):
    """An error that Cognito answered."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code = code
        self.message = message


def _translate(refusal: _Refusal, refused: str) -> Exception:
    code = refusal.code
    if code in _THROTTLED or (code in _REFUSED and _LOCKED_OUT in refusal.message):
        return Throttled("too many attempts")
    if code in _REFUSED:
        return BadCredentials(refused)
    if code in _WRONG_CODE:
        return _bad_code()
    if code == "InvalidPasswordException":
        return password_refused()
    _log.error("the user pool refused a call", extra={"code": code, "reason": refusal.message})
    return IdentityProviderAway("the user pool does not answer as it should")


def _bad_code() -> Invalid:
    message = text("auth.bad_code")
    return Invalid(message, (("body.code", message),))


def _given(field: str, value: str | None) -> str:
    if value is None:
        message = text("validation.missing")
        raise Invalid(text("problem.invalid.detail"), ((f"body.{field}", message),))
    return value


def _tokens(result: Any) -> Tokens:
    return Tokens(
        id_token=result["IdToken"],
        access_token=result["AccessToken"],
        refresh_token=result.get("RefreshToken"),
        expires_in=int(result["ExpiresIn"]),
    )


def _wrap(name: str, email: str, session: str) -> str:
    raw = json.dumps([name, email, session], separators=(",", ":"))
    return base64.urlsafe_b64encode(raw.encode()).decode("ascii").rstrip("=")


def _unwrap(session: str) -> tuple[str, str, str]:
    """Raises BadCredentials for what was never given out. Cognito checks what is in it."""
    try:
        raw = base64.b64decode(session + "=" * (-len(session) % 4), altchars=b"-_", validate=True)
        name, email, inner = json.loads(raw)
    except (ValueError, TypeError, RecursionError):
        raise BadCredentials(_SESSION_OVER) from None
    is_ours = name in (NEW_PASSWORD, TOTP, TOTP_SETUP) and isinstance(email, str)
    if not is_ours or not _is_username(email) or not isinstance(inner, str) or len(inner) < 20:
        raise BadCredentials(_SESSION_OVER)
    return name, email, inner
