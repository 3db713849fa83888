"""Cognito's rules that moto does not keep.

moto is made for tests of clients: it lets anybody sign up, takes any code for a forgotten
password and any signature for a password, sets the password of the user whom a challenge's answer
names, tells unknown users from wrong passwords, and lets users write every attribute. The
operations below are those that were checked or rewritten; ``OPERATIONS`` names them all, and
nothing else is answered.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from moto.cognitoidp.exceptions import (
    AliasExistsException,
    InvalidParameterException,
    NotAuthorizedError,
    ResourceNotFoundError,
)
from moto.cognitoidp.models import (
    CognitoIdpBackend,
    CognitoIdpUser,
    CognitoIdpUserPoolClient,
    UserStatus,
)
from moto.core.exceptions import JsonRESTError

from .identifiers import REGION
from .passwords import NOBODY, PasswordHash
from .pool import ACCOUNT, LocalUserPool

READING: Final = frozenset(
    {
        "AdminGetUser", "AdminListGroupsForUser", "DescribeUserPool", "DescribeUserPoolClient",
        "GetGroup", "GetUser", "InitiateAuth", "ListGroups", "ListUserPoolClients",
        "ListUserPools", "ListUsers", "ListUsersInGroup",
    }
)  # fmt: skip
WRITING: Final = frozenset(
    {
        "AdminAddUserToGroup", "AdminCreateUser", "AdminDeleteUser", "AdminDisableUser",
        "AdminEnableUser", "AdminRemoveUserFromGroup", "AdminResetUserPassword",
        "AdminSetUserPassword", "AdminUpdateUserAttributes", "AdminUserGlobalSignOut",
        "ChangePassword", "GlobalSignOut", "RespondToAuthChallenge", "UpdateUserAttributes",
    }
)  # fmt: skip
OPERATIONS: Final = READING | WRITING

_WRONG: Final = "Incorrect username or password."
_CHALLENGE_SECONDS: Final = 180


class PasswordResetRequired(JsonRESTError):
    """An administrator asked for a new password."""

    def __init__(self) -> None:
        super().__init__("PasswordResetRequiredException", "Password reset required for the user")


class LocalCognito(CognitoIdpBackend):
    """The backend of the one pool that there is."""

    def __init__(self, pool: LocalUserPool) -> None:
        super().__init__(REGION, ACCOUNT)
        self.pool = pool
        self.user_pools[pool.id] = pool
        self._challenges: dict[str, tuple[str, str, float]] = {}
        self._lockout = Lockout()

    def seal_passwords(self) -> None:
        """Hash what moto wrote down in clear; called after each operation that writes."""
        for user in self.pool.users.values():
            if isinstance(user.password, str):
                user.password = PasswordHash.of(user.password)

    # -- logging in

    def initiate_auth(
        self, client_id: str, auth_flow: str, auth_parameters: dict[str, str]
    ) -> dict[str, Any]:
        """USER_PASSWORD_AUTH and REFRESH_TOKEN_AUTH, the flows of the app client."""
        client = self._client(client_id)
        parameters = auth_parameters or {}
        if auth_flow == "USER_PASSWORD_AUTH":
            return self._password_auth(client, parameters)
        if auth_flow in ("REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"):
            token = _required(parameters, "REFRESH_TOKEN")
            tokens = self.pool.continue_session(client.id, token)
            if tokens is None:
                raise NotAuthorizedError("Invalid Refresh Token")
            return {"ChallengeParameters": {}, "AuthenticationResult": tokens}
        raise InvalidParameterException(f"{auth_flow} flow not enabled for this client")

    def _password_auth(
        self, client: CognitoIdpUserPoolClient, parameters: dict[str, str]
    ) -> dict[str, Any]:
        username = _required(parameters, "USERNAME")
        password = _required(parameters, "PASSWORD")
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
            return self._ask_for_new_password(client, user)
        if user.status != UserStatus.CONFIRMED:
            raise NotAuthorizedError(_WRONG)
        return {
            "ChallengeParameters": {},
            "AuthenticationResult": self.pool.start_session(client.id, user),
        }

    def _ask_for_new_password(
        self, client: CognitoIdpUserPoolClient, user: CognitoIdpUser
    ) -> dict[str, Any]:
        now = time.monotonic()
        self._challenges = {
            session: challenge
            for session, challenge in self._challenges.items()
            if challenge[2] > now
        }
        session = secrets.token_urlsafe(48)
        self._challenges[session] = (client.id, user.id, now + _CHALLENGE_SECONDS)
        return {
            "ChallengeName": "NEW_PASSWORD_REQUIRED",
            "Session": session,
            "ChallengeParameters": {"USER_ID_FOR_SRP": user.username, "requiredAttributes": "[]"},
        }

    def respond_to_auth_challenge(
        self,
        session: str,
        client_id: str,
        challenge_name: str,
        challenge_responses: dict[str, str],
    ) -> dict[str, Any]:
        """The new password of the user who began the session, and of no other."""
        client = self._client(client_id)
        if challenge_name != "NEW_PASSWORD_REQUIRED":
            raise InvalidParameterException(f"{challenge_name} is not asked for by this pool")
        username = _required(challenge_responses or {}, "USERNAME")
        password = _required(challenge_responses, "NEW_PASSWORD")
        owner, user_id, until = self._challenges.get(session or "", ("", "", 0.0))
        user = self.pool._get_user(username)
        if (
            user is None
            or not user.enabled
            or (owner, user_id) != (client.id, user.id)
            or until <= time.monotonic()
        ):
            raise NotAuthorizedError("Invalid session for the user.")
        self._validate_password(self.pool.id, password)
        del self._challenges[session]
        user.password = password
        user.status = UserStatus.CONFIRMED
        return {
            "ChallengeParameters": {},
            "AuthenticationResult": self.pool.start_session(client.id, user),
        }

    # -- users

    def admin_create_user(
        self,
        user_pool_id: str,
        username: str,
        message_action: str,
        temporary_password: str | None,
        attributes: list[dict[str, str]],
    ) -> CognitoIdpUser:
        """A new user, with a random temporary password where none is given."""
        if message_action == "RESEND":
            return self.admin_get_user(user_pool_id, username)
        self._check_schema(attributes)
        if temporary_password is None:
            temporary_password = secrets.token_urlsafe(24)
        self._validate_password(user_pool_id, temporary_password)
        return super().admin_create_user(
            user_pool_id, username, message_action, temporary_password, attributes
        )

    def admin_update_user_attributes(
        self, user_pool_id: str, username: str, attributes: list[dict[str, str]]
    ) -> None:
        """An administrator's change of any attribute of the schema."""
        user = self.admin_get_user(user_pool_id, username)
        self._check_schema(attributes)
        self._check_email(user, attributes)
        user.update_attributes(attributes)

    def update_user_attributes(self, access_token: str, attributes: list[dict[str, str]]) -> None:
        """A user's change of what the app client may write, and of nothing else."""
        if access_token not in self.pool.access_tokens:
            raise NotAuthorizedError("Invalid Access Token")
        client_id, username = self.pool.access_tokens[access_token]
        writable = self._client(client_id).extended_config["WriteAttributes"]
        if any(attribute["Name"] not in writable for attribute in attributes):
            raise NotAuthorizedError("A client attempted to write unauthorized attribute")
        self.admin_get_user(self.pool.id, username).update_attributes(attributes)

    def _check_schema(self, attributes: list[dict[str, str]]) -> None:
        for attribute in attributes or []:
            name = attribute["Name"]
            if name not in self.pool.schema_attributes or name == "sub":
                raise InvalidParameterException(
                    "Attributes did not conform to the schema: "
                    f"Type for attribute {{{name}}} could not be determined"
                )

    def _check_email(self, user: CognitoIdpUser, attributes: list[dict[str, str]]) -> None:
        email = self._find_attr("email", attributes)
        if email is not None and self.pool._get_user(email) not in (None, user):
            raise AliasExistsException

    def _client(self, client_id: str) -> CognitoIdpUserPoolClient:
        client = self.pool.clients.get(client_id)
        if client is None:
            raise ResourceNotFoundError(f"User pool client {client_id} does not exist.")
        return client


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


def _required(parameters: dict[str, str], name: str) -> str:
    value = parameters.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidParameterException(f"Missing required parameter {name}")
    return value
