"""Answers about who logs in and who calls."""

from __future__ import annotations

from functions.api.models.base import Answer
from traksense.auth.identity import Role


class TokensAnswer(Answer):
    """A login. The ID token goes into ``Authorization: Bearer``. ``expires_in`` in seconds."""

    id_token: str
    access_token: str
    refresh_token: str
    expires_in: int


class ChallengeAnswer(Answer):
    """The user pool wants more before it gives tokens."""

    challenge: str
    session: str


class UserAnswer(Answer):
    """The caller. ``tenant`` is a slug, null for ``internal_ops``."""

    id: str
    email: str
    role: Role
    tenant: str | None
    time_zone: str
    locale: str
