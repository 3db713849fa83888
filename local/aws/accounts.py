"""Cognito's rules that moto does not keep: users, their attributes and their passwords."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from moto.cognitoidp.exceptions import (
    AliasExistsException,
    CodeMismatchException,
    ExpiredCodeException,
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

from traksense.contracts.user_pool import USER_POOL

from .extras import extras
from .identifiers import ACCOUNT, REGION
from .lockout import HourlyLimit
from .mail import PoolMail
from .passwords import PasswordHash
from .pool import LocalUserPool

CODE_S: Final = 3600
"""How long a code for a new password is good (developer guide, "Code expiration")."""


class PasswordRefused(JsonRESTError):
    """The password breaks the pool's policy."""

    def __init__(self, why: str) -> None:
        super().__init__("InvalidPasswordException", f"Password did not conform with policy: {why}")


class Accounts(CognitoIdpBackend):
    """What administrators do with users, and users with themselves."""

    def __init__(self, pool: LocalUserPool, mail: PoolMail, clock: Callable[[], float]) -> None:
        super().__init__(REGION, ACCOUNT)
        self.pool = pool
        self.user_pools[pool.id] = pool
        self.metadata: Mapping[str, str] = {}
        """ClientMetadata of the call that is being answered, which moto does not hand over."""
        self._mail = mail
        self._clock = clock
        self._codes_asked = HourlyLimit(clock)
        self._codes_wrong = HourlyLimit(clock)

    def seal_passwords(self) -> None:
        """Hash what moto wrote down in clear; called after each operation that writes."""
        for user in self.pool.users.values():
            if isinstance(user.password, str):
                user.password = PasswordHash.of(user.password)

    # -- invitations

    def admin_create_user(
        self,
        user_pool_id: str,
        username: str,
        message_action: str,
        temporary_password: str | None,
        attributes: list[dict[str, str]],
    ) -> CognitoIdpUser:
        """A new user, or another invitation; with a random password where none is given."""
        if temporary_password is None:
            temporary_password = secrets.token_urlsafe(12)
        self._validate_password(user_pool_id, temporary_password)
        if message_action == "RESEND":
            user = self.admin_get_user(user_pool_id, username)
            if user.status != UserStatus.FORCE_CHANGE_PASSWORD:
                raise JsonRESTError(
                    "UnsupportedUserStateException", "User is not in the state to be invited."
                )
            user.password = temporary_password
        else:
            self._check_schema(attributes)
            user = super().admin_create_user(
                user_pool_id, username, message_action, temporary_password, attributes
            )
        extras(user).invited_at = self._clock()
        if message_action != "SUPPRESS":
            self._mail.invite(user, temporary_password, self.metadata)
        return user

    def admin_set_user_password(
        self, user_pool_id: str, username: str, password: str, permanent: bool
    ) -> None:
        """A password by an administrator; one that is not permanent is as an invitation's."""
        super().admin_set_user_password(user_pool_id, username, password, permanent)
        user = self.admin_get_user(user_pool_id, username)
        extras(user).invited_at = None if permanent else self._clock()

    # -- forgotten passwords

    def forgot_password(self, client_id: str, username: str) -> tuple[str, dict[str, Any]]:
        """Mail a code. Who is unknown or has no verified address gets the same answer."""
        self._client(client_id)
        if not username:
            raise InvalidParameterException("Missing required parameter USERNAME")
        self._codes_asked.check(username)
        self._codes_asked.count(username)
        user = self.pool._get_user(username)
        if user is not None and _is_reachable(user):
            if not user.enabled:
                raise NotAuthorizedError("User is disabled.")
            if user.status == UserStatus.FORCE_CHANGE_PASSWORD:
                raise NotAuthorizedError("User password cannot be reset in the current state.")
            code = f"{secrets.randbelow(1_000_000):06d}"
            kept = extras(user)
            kept.code, kept.code_until = PasswordHash.of(code), self._clock() + CODE_S
            self._mail.send_code(user, code, self.metadata, client_id)
        masked = f"{username[:1]}***@{username.rpartition('@')[2][:1]}***"
        # moto would put the code into a header of the answer.
        return "", {
            "CodeDeliveryDetails": {
                "Destination": masked,
                "DeliveryMedium": "EMAIL",
                "AttributeName": "email",
            }
        }

    def confirm_forgot_password(
        self, client_id: str, username: str, password: str, confirmation_code: str
    ) -> None:
        """A new password for a code that was mailed, once, within the hour."""
        self._client(client_id)
        self._codes_wrong.check(username)
        self._validate_password(self.pool.id, password)
        user = self.pool._get_user(username)
        kept = None if user is None else extras(user)
        if (
            user is None
            or kept is None
            or not user.enabled
            or kept.code is None
            or not kept.code.matches(confirmation_code)
        ):
            self._refuse_code(username)
        elif kept.code_until <= self._clock():
            raise ExpiredCodeException("Invalid code provided, please request a code again.")
        else:
            self._codes_wrong.forget(username)
            self._set_password(user, password)

    def _refuse_code(self, username: str) -> None:
        self._codes_wrong.count(username)
        raise CodeMismatchException("Invalid verification code provided, please try again.")

    def _set_password(self, user: CognitoIdpUser, password: str) -> None:
        """A password that its owner chose."""
        user.password = password
        user.status = UserStatus.CONFIRMED
        kept = extras(user)
        kept.code, kept.invited_at = None, None

    def _validate_password(self, user_pool_id: str, password: str) -> None:  # noqa: ARG002 - moto's
        policy = USER_POOL.password
        if not isinstance(password, str) or len(password) < policy.least_characters:
            raise PasswordRefused("Password not long enough")
        if len(password) > policy.most_characters:
            raise PasswordRefused("Password too long")
        if password != password.strip():
            raise PasswordRefused("Password must not begin or end with a space")

    # -- attributes

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


def required(parameters: dict[str, str], name: str) -> str:
    """A parameter that has to be there. Raises InvalidParameterException."""
    value = parameters.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidParameterException(f"Missing required parameter {name}")
    return value


def _is_reachable(user: CognitoIdpUser) -> bool:
    return str(user.attribute_lookup.get("email_verified", "")).lower() == "true"
