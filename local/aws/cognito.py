"""Cognito's rules that moto does not keep: logging in.

moto is made for tests of clients: it lets anybody sign up, takes any code for a forgotten
password and any signature for a password, sets the password of the user whom a challenge's answer
names, tells unknown users from wrong passwords, knows one authenticator secret for everybody, and
lets users write every attribute. The operations here and in ``accounts`` are those that were
checked or rewritten; ``OPERATIONS`` names them all, and nothing else is answered.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from moto.cognitoidp.exceptions import (
    CodeMismatchException,
    ExpiredCodeException,
    InvalidParameterException,
    NotAuthorizedError,
)
from moto.cognitoidp.models import CognitoIdpUser, CognitoIdpUserPoolClient, UserStatus
from moto.core.exceptions import JsonRESTError

from traksense.contracts.user_pool import USER_POOL

from . import totp
from .accounts import Accounts, required
from .challenges import Challenges
from .extras import extras
from .lockout import Lockout
from .mail import PoolMail
from .passwords import NOBODY, PasswordHash
from .pool import LocalUserPool

READING: Final = frozenset(
    {
        "AdminGetUser", "AdminListGroupsForUser", "DescribeUserPool", "DescribeUserPoolClient",
        "GetGroup", "GetUser", "GetUserPoolMfaConfig", "InitiateAuth", "ListGroups",
        "ListUserPoolClients", "ListUserPools", "ListUsers", "ListUsersInGroup",
    }
)  # fmt: skip
WRITING: Final = frozenset(
    {
        "AdminAddUserToGroup", "AdminCreateUser", "AdminDeleteUser", "AdminDisableUser",
        "AdminEnableUser", "AdminRemoveUserFromGroup", "AdminResetUserPassword",
        "AdminSetUserMFAPreference", "AdminSetUserPassword", "AdminUpdateUserAttributes",
        "AdminUserGlobalSignOut", "AssociateSoftwareToken", "ChangePassword",
        "ConfirmForgotPassword", "ForgotPassword", "GlobalSignOut", "RespondToAuthChallenge",
        "SetUserMFAPreference", "SetUserPoolMfaConfig", "UpdateUserAttributes",
        "VerifySoftwareToken",
    }
)  # fmt: skip
OPERATIONS: Final = READING | WRITING

NEW_PASSWORD: Final = "NEW_PASSWORD_REQUIRED"  # noqa: S105 - the name of a challenge
TOTP: Final = "SOFTWARE_TOKEN_MFA"
TOTP_SETUP: Final = "MFA_SETUP"

_WRONG: Final = "Incorrect username or password."
_TEMPORARY_S: Final = USER_POOL.password.temporary_days * 24 * 3600


class PasswordResetRequired(JsonRESTError):
    """An administrator asked for a new password."""

    def __init__(self) -> None:
        super().__init__("PasswordResetRequiredException", "Password reset required for the user")


class LocalCognito(Accounts):
    """The backend of the one pool that there is."""

    def __init__(
        self,
        pool: LocalUserPool,
        mail: PoolMail,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(pool, mail, clock)
        self._challenges = Challenges()
        self._lockout = Lockout()

    def initiate_auth(
        self, client_id: str, auth_flow: str, auth_parameters: dict[str, str]
    ) -> dict[str, Any]:
        """USER_PASSWORD_AUTH and REFRESH_TOKEN_AUTH, the flows of the app client."""
        client = self._client(client_id)
        parameters = auth_parameters or {}
        if auth_flow == "USER_PASSWORD_AUTH":
            return self._password_auth(client, parameters)
        if auth_flow in ("REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"):
            token = required(parameters, "REFRESH_TOKEN")
            tokens = self.pool.continue_session(client.id, token)
            if tokens is None:
                raise NotAuthorizedError("Invalid Refresh Token")
            return {"ChallengeParameters": {}, "AuthenticationResult": tokens}
        raise InvalidParameterException(f"{auth_flow} flow not enabled for this client")

    def _password_auth(
        self, client: CognitoIdpUserPoolClient, parameters: dict[str, str]
    ) -> dict[str, Any]:
        username = required(parameters, "USERNAME")
        password = required(parameters, "PASSWORD")
        self._lockout.check(username)
        user = self.pool._get_user(username)
        kept = user.password if user is not None else None
        right = (kept if isinstance(kept, PasswordHash) else NOBODY).matches(password)
        if user is None or not right:
            self._lockout.failed(username)
            raise NotAuthorizedError(_WRONG)
        self._lockout.succeeded(username)
        if not user.enabled:
            raise NotAuthorizedError("User is disabled.")
        if user.status == UserStatus.RESET_REQUIRED:
            raise PasswordResetRequired
        if user.status == UserStatus.FORCE_CHANGE_PASSWORD:
            invited_at = extras(user).invited_at
            if invited_at is not None and self._clock() > invited_at + _TEMPORARY_S:
                raise NotAuthorizedError(
                    "Temporary password has expired and must be reset by an administrator."
                )
            return self._ask(NEW_PASSWORD, client, user, requiredAttributes="[]")
        if user.status != UserStatus.CONFIRMED:
            raise NotAuthorizedError(_WRONG)
        return self._second_step(client, user)

    def _second_step(
        self, client: CognitoIdpUserPoolClient, user: CognitoIdpUser
    ) -> dict[str, Any]:
        """The code of an authenticator app where there has to be one, else tokens."""
        if self.pool.mfa_config != "OFF" and extras(user).is_totp_on:
            return self._ask(TOTP, client, user)
        if self.pool.mfa_config == "ON":
            return self._ask(TOTP_SETUP, client, user, MFAS_CAN_SETUP=json.dumps([TOTP]))
        return self._tokens(client, user)

    def _ask(
        self, name: str, client: CognitoIdpUserPoolClient, user: CognitoIdpUser, **parameters: str
    ) -> dict[str, Any]:
        return {
            "ChallengeName": name,
            "Session": self._challenges.begin(name, client.id, user),
            "ChallengeParameters": {"USER_ID_FOR_SRP": user.username, **parameters},
        }

    def _tokens(self, client: CognitoIdpUserPoolClient, user: CognitoIdpUser) -> dict[str, Any]:
        return {
            "ChallengeParameters": {},
            "AuthenticationResult": self.pool.start_session(client.id, user),
        }

    def respond_to_auth_challenge(
        self,
        session: str,
        client_id: str,
        challenge_name: str,
        challenge_responses: dict[str, str],
    ) -> dict[str, Any]:
        """The answer of the user who began the session, and of no other."""
        client = self._client(client_id)
        if challenge_name not in (NEW_PASSWORD, TOTP, TOTP_SETUP):
            raise InvalidParameterException(f"{challenge_name} is not asked for by this pool")
        given = challenge_responses or {}
        user = self.pool._get_user(required(given, "USERNAME"))
        if challenge_name == NEW_PASSWORD:
            password = required(given, "NEW_PASSWORD")
            self._challenges.of(session, challenge_name, client.id, user)
            self._validate_password(self.pool.id, password)
            self._challenges.end(session)
            self._set_password(user, password)
            return self._second_step(client, user)
        challenge = self._challenges.of(session, challenge_name, client.id, user)
        if challenge_name == TOTP:
            code = required(given, "SOFTWARE_TOKEN_MFA_CODE")
            self._check_totp(session, user, str(extras(user).totp_secret), code)
        elif not challenge.is_set_up:
            raise NotAuthorizedError("Invalid session for the user.")
        self._challenges.end(session)
        return self._tokens(client, user)

    # -- authenticator apps

    def associate_software_token(self, access_token: str, session: str) -> dict[str, str]:
        """A secret for an app: of a user with a token, or of one who is told to set one up."""
        secret = totp.new_secret()
        if session:
            challenge = self._challenges.get(session, TOTP_SETUP)
            challenge.secret = secret
            return {"SecretCode": secret, "Session": self._challenges.renew(session)}
        user = self._holder(access_token)
        extras(user).totp_secret = secret
        extras(user).is_totp_on = False
        return {"SecretCode": secret}

    def verify_software_token(
        self,
        access_token: str,
        session: str,
        user_code: str,
        friendly_device_name: str,  # noqa: ARG002 - moto's
    ) -> dict[str, str]:
        """Whether the app shows the codes of the secret."""
        if not session:
            user = self._holder(access_token)
            secret = extras(user).totp_secret
            if secret is None:
                raise InvalidParameterException("No software token was associated.")
            self._check_totp(None, user, secret, user_code)
            return {"Status": "SUCCESS"}
        challenge = self._challenges.get(session, TOTP_SETUP)
        user = self.admin_get_user(self.pool.id, challenge.user_id)
        if challenge.secret is None:
            raise InvalidParameterException("No software token was associated.")
        self._check_totp(session, user, challenge.secret, user_code)
        extras(user).totp_secret = challenge.secret
        extras(user).is_totp_on = True
        challenge.is_set_up = True
        return {"Status": "SUCCESS", "Session": self._challenges.renew(session)}

    def set_user_mfa_preference(
        self,
        access_token: str,
        software_token_mfa_settings: dict[str, bool],
        sms_mfa_settings: dict[str, bool],
    ) -> None:
        """Turn a user's own second step on, once her app was verified, or off."""
        user = self._holder(access_token)
        self.admin_set_user_mfa_preference(
            self.pool.id, user.username, software_token_mfa_settings, sms_mfa_settings
        )

    def admin_set_user_mfa_preference(
        self,
        user_pool_id: str,
        username: str,
        software_token_mfa_settings: dict[str, bool],
        sms_mfa_settings: dict[str, bool],
    ) -> None:
        """The same by an administrator: for who has lost her telephone."""
        user = self.admin_get_user(user_pool_id, username)
        if sms_mfa_settings and sms_mfa_settings.get("Enabled"):
            raise InvalidParameterException("SMS is not set up for this pool.")
        kept = extras(user)
        wanted = bool((software_token_mfa_settings or {}).get("Enabled"))
        if wanted and kept.totp_step == 0:
            raise InvalidParameterException("User has not verified software token mfa")
        kept.is_totp_on = wanted
        if not wanted:
            kept.totp_secret, kept.totp_step = None, 0

    def _check_totp(
        self, session: str | None, user: CognitoIdpUser, secret: str, code: str
    ) -> None:
        kept = extras(user)
        step = totp.step_of(secret, code or "", self._clock())
        if step is None:
            if session is not None:
                self._challenges.wrong_code(session)
            raise CodeMismatchException("Invalid code received for user")
        if step <= kept.totp_step and secret == kept.totp_secret:
            raise ExpiredCodeException("Your software token has already been used once.")
        kept.totp_step = step

    def _holder(self, access_token: str) -> CognitoIdpUser:
        if access_token not in self.pool.access_tokens:
            raise NotAuthorizedError("Invalid Access Token")
        return self.admin_get_user(self.pool.id, self.pool.access_tokens[access_token][1])
