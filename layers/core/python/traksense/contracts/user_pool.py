"""The user pool: who may log in and how, what a token says, and who may write that.

The local pool is made from it, and so would be the one of a deployment: nothing of it stands
anywhere else. Names in the parameters are those of Cognito's API (CreateUserPool,
CreateUserPoolClient).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from traksense.contracts.functions import USER_MESSAGES

TENANT_ATTRIBUTE: Final = "custom:tenant_id"
"""The uuid of the customer's tenant; an operator has none."""


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """What a password must be. Length counts, not the kinds of characters
    (NIST SP 800-63B, 3.1.1.2).
    """

    least_characters: int
    most_characters: int
    temporary_days: int
    """How long an invitation's password is good."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A custom attribute of a user: a text of so many characters."""

    name: str
    """With ``custom:``."""
    least_characters: int
    most_characters: int
    is_mutable: bool


@dataclass(frozen=True, slots=True)
class Group:
    """A group of users, which is a role of the platform."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class AppClient:
    """What people log in through."""

    name: str
    auth_flows: tuple[str, ...]
    readable: tuple[str, ...]
    """Attributes that a token shows."""
    writable: tuple[str, ...]
    """Attributes that a user may change of herself. Her tenant is not among it."""
    token_minutes: int
    refresh_days: int


@dataclass(frozen=True, slots=True)
class UserPool:
    """The pool. Nobody signs up: an administrator invites."""

    name: str
    mfa: Literal["OFF", "OPTIONAL", "ON"]
    """OPTIONAL: who has set up an authenticator app is asked for its code. ON: everybody has to."""
    password: PasswordPolicy
    attributes: tuple[Attribute, ...]
    groups: tuple[Group, ...]
    """The one of most rights first."""
    client: AppClient
    triggers: Mapping[str, str]
    """Functions that the pool calls: name of the function by trigger."""


USER_POOL: Final = UserPool(
    name="traksense",
    mfa="OPTIONAL",
    password=PasswordPolicy(least_characters=12, most_characters=256, temporary_days=7),
    attributes=(Attribute(TENANT_ATTRIBUTE, 36, 36, is_mutable=True),),
    groups=(
        Group("internal_ops", "Operators of the platform; they belong to no tenant."),
        Group("customer_admin", "Administrators of one tenant."),
        Group("viewer", "People of one tenant who look."),
    ),
    client=AppClient(
        name="web",
        auth_flows=("ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"),
        readable=("email", "email_verified", "name", "locale", TENANT_ATTRIBUTE),
        writable=("name", "locale"),
        token_minutes=60,
        refresh_days=30,
    ),
    triggers={"CustomMessage": USER_MESSAGES.name},
)


def pool_parameters(pool: UserPool) -> dict[str, Any]:
    """CreateUserPool's, apart from the triggers' addresses."""
    return {
        "PoolName": pool.name,
        "UsernameAttributes": ["email"],
        "UsernameConfiguration": {"CaseSensitive": False},
        "AutoVerifiedAttributes": ["email"],
        "MfaConfiguration": pool.mfa,
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True},
        "AccountRecoverySetting": {
            "RecoveryMechanisms": [{"Name": "verified_email", "Priority": 1}]
        },
        "Policies": {
            "PasswordPolicy": {
                "MinimumLength": pool.password.least_characters,
                "RequireUppercase": False,
                "RequireLowercase": False,
                "RequireNumbers": False,
                "RequireSymbols": False,
                "TemporaryPasswordValidityDays": pool.password.temporary_days,
            }
        },
    }


def attribute_parameters(pool: UserPool) -> list[dict[str, Any]]:
    """AddCustomAttributes', which are also CreateUserPool's Schema."""
    return [
        {
            "Name": attribute.name.removeprefix("custom:"),
            "AttributeDataType": "String",
            "Mutable": attribute.is_mutable,
            "StringAttributeConstraints": {
                "MinLength": str(attribute.least_characters),
                "MaxLength": str(attribute.most_characters),
            },
        }
        for attribute in pool.attributes
    ]


def client_parameters(client: AppClient) -> dict[str, Any]:
    """CreateUserPoolClient's, apart from the pool's id."""
    return {
        "ClientName": client.name,
        "GenerateSecret": False,
        "ExplicitAuthFlows": list(client.auth_flows),
        "PreventUserExistenceErrors": "ENABLED",
        "EnableTokenRevocation": True,
        "ReadAttributes": list(client.readable),
        "WriteAttributes": list(client.writable),
        "IdTokenValidity": client.token_minutes,
        "AccessTokenValidity": client.token_minutes,
        "RefreshTokenValidity": client.refresh_days,
        "TokenValidityUnits": {
            "IdToken": "minutes",
            "AccessToken": "minutes",
            "RefreshToken": "days",
        },
    }
