"""Logging in, and who one is."""

from __future__ import annotations

from typing import Annotated, Final

from chalice.app import Blueprint
from pydantic import Field

from functions.api.auditing import Audited, NotAudited
from functions.api.models.people import ChallengeAnswer, TokensAnswer, UserAnswer
from functions.api.routing import EVERYONE, PUBLIC, Call, route
from functions.api.validation import Body, NoParams, PlainText
from traksense.auth.identity import Role
from traksense.aws.cognito import Challenge, Tokens

blueprint: Final = Blueprint(__name__)


class LoginBody(Body):
    """Credentials of a person."""

    email: Annotated[PlainText, Field(min_length=1, max_length=320)]
    password: Annotated[PlainText, Field(min_length=1, max_length=256)]


class RefreshBody(Body):
    """A refresh token of an earlier login."""

    refresh_token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_=.-]{1,8192}$")]


@route(
    blueprint,
    "POST",
    "/api/auth/login",
    roles=PUBLIC,
    audit=Audited("sessions.login"),
    body=LoginBody,
    response=TokensAnswer | ChallengeAnswer,
)
def login(call: Call[NoParams, LoginBody]) -> TokensAnswer | ChallengeAnswer:
    """Gives tokens for an e-mail and a password, or the challenge that comes before them."""
    given = call.services.login.login(call.body.email, call.body.password)
    if isinstance(given, Challenge):
        return ChallengeAnswer(challenge=given.name, session=given.session)
    return _tokens(given, given.refresh_token or "")


@route(
    blueprint,
    "POST",
    "/api/auth/refresh",
    roles=PUBLIC,
    audit=Audited("sessions.refresh"),
    body=RefreshBody,
    response=TokensAnswer,
)
def refresh(call: Call[NoParams, RefreshBody]) -> TokensAnswer:
    """Gives new tokens for a refresh token, which comes back where it stays the same."""
    given = call.services.login.refresh(call.body.refresh_token)
    return _tokens(given, given.refresh_token or call.body.refresh_token)


def _tokens(given: Tokens, refresh_token: str) -> TokensAnswer:
    return TokensAnswer(
        id_token=given.id_token,
        access_token=given.access_token,
        refresh_token=refresh_token,
        expires_in=given.expires_in,
    )


@route(
    blueprint,
    "GET",
    "/api/me",
    roles=EVERYONE,
    audit=NotAudited("the caller learns only who she is"),
    response=UserAnswer,
)
def me(call: Call[NoParams, None]) -> UserAnswer:
    """Says who the caller is, with the time zone and the language of her tenant."""
    profile = call.services.tenants.profile(call.scope)
    is_operator = call.identity.role is Role.INTERNAL_OPS
    return UserAnswer(
        id=call.identity.user_id,
        email=call.identity.email,
        role=call.identity.role,
        tenant=None if is_operator else profile.slug,
        time_zone=profile.time_zone,
        locale=profile.locale,
    )
