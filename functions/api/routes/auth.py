"""Logging in, and who one is."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from chalice.app import Blueprint
from pydantic import Field

from functions.api.auditing import Audited, NotAudited
from functions.api.models.people import ChallengeAnswer, TokensAnswer, UserAnswer
from functions.api.routing import EVERYONE, PUBLIC, Call, Reply, route
from functions.api.validation import Body, NoParams, PlainText
from traksense.auth.identity import TENANT_CLAIM, Role, claims_of
from traksense.aws.cognito import Challenge, Tokens

blueprint: Final = Blueprint(__name__)


Email = Annotated[PlainText, Field(min_length=1, max_length=320)]
Password = Annotated[PlainText, Field(min_length=1, max_length=256)]
Code = Annotated[str, Field(pattern=r"^[0-9]{6}$", description="Six digits.")]


class LoginBody(Body):
    """Credentials of a person."""

    email: Email
    password: Password


class ChallengeBody(Body):
    """What a challenge asks for, with its session."""

    session: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,8192}$")]
    new_password: Password | None = Field(
        default=None, description="For NEW_PASSWORD_REQUIRED: at least 12 characters."
    )
    code: Code | None = Field(default=None, description="For SOFTWARE_TOKEN_MFA and MFA_SETUP.")


class ForgotBody(Body):
    """Who has forgotten a password."""

    email: Email


class ResetBody(Body):
    """A new password, and the code that was mailed."""

    email: Email
    code: Code
    new_password: Password


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
    errors=(401,),
)
def login(call: Call[NoParams, LoginBody]) -> TokensAnswer | ChallengeAnswer:
    """Gives tokens for an e-mail and a password, or the challenge that comes before them."""
    return _step(call.services.login.login(call.body.email, call.body.password))


@route(
    blueprint,
    "POST",
    "/api/auth/challenge",
    roles=PUBLIC,
    audit=Audited("sessions.challenge"),
    body=ChallengeBody,
    response=TokensAnswer | ChallengeAnswer,
    errors=(401,),
)
def answer_challenge(call: Call[NoParams, ChallengeBody]) -> TokensAnswer | ChallengeAnswer:
    """Goes on with a login: a new password, or the code of an authenticator app."""
    body = call.body
    given = call.services.login.respond(body.session, body.new_password, body.code)
    if isinstance(given, Tokens):
        claims = claims_of(given.id_token)
        if TENANT_CLAIM in claims:
            call.services.users.note_password(UUID(claims[TENANT_CLAIM]), UUID(claims["sub"]))
    return _step(given)


@route(
    blueprint,
    "POST",
    "/api/auth/forgot",
    roles=PUBLIC,
    audit=Audited("passwords.forgot"),
    body=ForgotBody,
    response=None,
    statuses=(202,),
)
def forgot(call: Call[NoParams, ForgotBody]) -> Reply:
    """Has a code for a new password mailed; the answer is the same for an unknown e-mail."""
    call.services.login.forgot(call.body.email)
    return Reply(202)


@route(
    blueprint,
    "POST",
    "/api/auth/reset",
    roles=PUBLIC,
    audit=Audited("passwords.reset"),
    body=ResetBody,
    response=None,
    statuses=(204,),
)
def reset(call: Call[NoParams, ResetBody]) -> Reply:
    """Sets a new password by a code that was mailed."""
    call.services.login.reset(call.body.email, call.body.code, call.body.new_password)
    return Reply(204)


@route(
    blueprint,
    "POST",
    "/api/auth/refresh",
    roles=PUBLIC,
    audit=Audited("sessions.refresh"),
    body=RefreshBody,
    response=TokensAnswer,
    errors=(401,),
)
def refresh(call: Call[NoParams, RefreshBody]) -> TokensAnswer:
    """Gives new tokens for a refresh token, which comes back where it stays the same."""
    given = call.services.login.refresh(call.body.refresh_token)
    return _tokens(given, given.refresh_token or call.body.refresh_token)


def _step(given: Tokens | Challenge) -> TokensAnswer | ChallengeAnswer:
    if isinstance(given, Tokens):
        return _tokens(given, given.refresh_token or "")
    return ChallengeAnswer(
        challenge=given.name,
        session=given.session,
        secret=given.secret,
        secret_uri=given.secret_uri,
    )


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
