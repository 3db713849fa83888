"""Answers about who logs in and who calls."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from functions.api.models.base import Answer, Utc
from traksense.auth.identity import Role


class TokensAnswer(Answer):
    """A login. The ID token goes into ``Authorization: Bearer``. ``expires_in`` in seconds."""

    id_token: str
    access_token: str
    refresh_token: str
    expires_in: int


class ChallengeAnswer(Answer):
    """The user pool wants more before it gives tokens; answer at ``/api/auth/challenge``."""

    challenge: Literal["NEW_PASSWORD_REQUIRED", "SOFTWARE_TOKEN_MFA", "MFA_SETUP"]
    session: str = Field(description="Opaque; good for three minutes.")
    secret: str | None = Field(
        description="With MFA_SETUP, what to enter into an authenticator app; else null."
    )
    secret_uri: str | None = Field(description="The same as an otpauth URI, for a QR code.")


class UserAnswer(Answer):
    """The caller. ``tenant`` is a slug, null for ``internal_ops``."""

    id: str
    email: str
    role: Role
    tenant: str | None
    time_zone: str
    locale: str


class PersonAnswer(Answer):
    """A person of a tenant; ``tenant`` is a slug."""

    id: UUID = Field(description="The sub of her tokens, once she is settled.")
    email: str
    name: str
    role: Literal["customer_admin", "viewer"]
    tenant: str
    locale: str | None = Field(description="Null: the tenant's.")
    status: Literal["invited", "active", "disabled", "leaving"]
    is_settled: bool = Field(description="Whether the user pool has all of this already.")
    created_at: Utc
