"""The user pool: moto's, with tokens and look-ups as Cognito has them.

moto signs with a public key, keeps each token it ever made in memory, and forgets them all at a
restart. Here tokens carry what is needed to check them, so that they outlive a restart.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from joserfc import jwk
from moto.cognitoidp.models import (
    CognitoIdpGroup,
    CognitoIdpUser,
    CognitoIdpUserPool,
    CognitoIdpUserPoolClient,
)

from traksense.auth.identity import GROUPS_CLAIM
from traksense.contracts.user_pool import (
    USER_POOL,
    attribute_parameters,
    client_parameters,
    pool_parameters,
)

from .identifiers import ACCOUNT, REGION, PoolIds
from .signing_key import SigningKey

TOKEN_SECONDS: Final = USER_POOL.client.token_minutes * 60
REFRESH_SECONDS: Final = USER_POOL.client.refresh_days * 24 * 3600


class LocalUserPool(CognitoIdpUserPool):
    """The pool ``traksense`` with its groups and its one app client."""

    def __init__(self, ids: PoolIds, key: SigningKey) -> None:
        super().__init__(ACCOUNT, REGION, USER_POOL.name, pool_parameters(USER_POOL))
        self.id = ids.user_pool_id
        self.arn = f"arn:aws:cognito-idp:{REGION}:{ACCOUNT}:userpool/{self.id}"
        self.issuer = f"https://cognito-idp.{REGION}.amazonaws.com/{self.id}"
        self.key = key
        # Whatever of moto signs by itself signs with our key, and under a kid nobody knows.
        self.json_web_key = jwk.RSAKey.import_key(key.pem().decode("ascii"))
        self.access_tokens = AccessTokens(self)
        self.add_custom_attributes(attribute_parameters(USER_POOL))
        client = CognitoIdpUserPoolClient(self.id, False, client_parameters(USER_POOL.client))
        client.id = ids.client_id
        self.clients[client.id] = client
        for precedence, group in enumerate(USER_POOL.groups):
            self.groups[group.name] = CognitoIdpGroup(
                self.id, group.name, group.description, None, precedence
            )
        self.token_mfa_config = {"Enabled": True}

    def _get_user(self, username: str) -> CognitoIdpUser | None:
        """Find a user by ``sub`` or by e-mail; e-mails do not tell upper from lower case."""
        if (user := self.users.get(username)) is not None:
            return user
        wanted = username.lower()
        for user in self.users.values():
            if user.attribute_lookup.get("email", "").lower() == wanted:
                return user
        return None

    def start_session(self, client_id: str, user: CognitoIdpUser) -> dict[str, Any]:
        """The tokens of a new login, as InitiateAuth answers them."""
        session = _new_session_id()
        now = int(time.time())
        refresh = self.key.sign_refresh(
            {
                "sub": user.id,
                "client_id": client_id,
                "origin_jti": session,
                "auth_time": now,
                "exp": now + REFRESH_SECONDS,
            }
        )
        return {**self._tokens(client_id, user, session, now), "RefreshToken": refresh}

    def continue_session(self, client_id: str, refresh_token: str) -> dict[str, Any] | None:
        """New tokens of a login that is still good; None for any other."""
        claims = self.key.verify_refresh(refresh_token)
        if claims is None or claims["client_id"] != client_id:
            return None
        user = self.user_of(claims)
        if user is None:
            return None
        return self._tokens(client_id, user, claims["origin_jti"], claims["auth_time"])

    def user_of(self, claims: Mapping[str, Any]) -> CognitoIdpUser | None:
        """The user of a token, unless disabled, deleted or signed out since."""
        user = self.users.get(claims["sub"])
        if user is None or not user.enabled:
            return None
        if _session_started_ms(claims["origin_jti"]) <= signed_out_ms(user):
            return None
        return user

    def sign_out(self, username: str) -> None:
        """End every session of a user: refresh and access tokens made until now."""
        user = self._get_user(username)
        if user is not None:
            user.signed_out_ms = time.time_ns() // 1_000_000

    def _tokens(
        self, client_id: str, user: CognitoIdpUser, session: str, auth_time: int
    ) -> dict[str, Any]:
        now = int(time.time())
        groups = sorted(user.groups, key=lambda group: group.precedence)
        common: dict[str, Any] = {
            "sub": user.id,
            "iss": self.issuer,
            "origin_jti": session,
            "event_id": str(uuid.uuid4()),
            "auth_time": auth_time,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
        }
        if groups:
            common[GROUPS_CLAIM] = [group.group_name for group in groups]
        readable = self.clients[client_id].get_readable_fields()
        attributes = {
            name: value for name, value in user.attribute_lookup.items() if name in readable
        }
        if "email_verified" in attributes:
            attributes["email_verified"] = str(attributes["email_verified"]).lower() == "true"
        identity = {
            **common,
            **attributes,
            "jti": str(uuid.uuid4()),
            "token_use": "id",
            "aud": client_id,
            "cognito:username": user.username,
        }
        access = {
            **common,
            "jti": str(uuid.uuid4()),
            "token_use": "access",
            "client_id": client_id,
            "scope": "aws.cognito.signin.user.admin",
            "username": user.username,
        }
        return {
            "IdToken": self.key.sign(identity),
            "AccessToken": self.key.sign(access),
            "ExpiresIn": TOKEN_SECONDS,
            "TokenType": "Bearer",
        }


class AccessTokens(Mapping[str, tuple[str, str]]):
    """Access token → (client id, user's ``sub``), read from the token itself.

    moto looks tokens up in a dictionary; this stands in its place.
    """

    def __init__(self, pool: LocalUserPool) -> None:
        self._pool = pool

    def __getitem__(self, token: str) -> tuple[str, str]:
        claims = self._pool.key.verify(token) if isinstance(token, str) else None
        if (
            claims is None
            or claims["token_use"] != "access"  # noqa: S105 - no password
            or claims.get("iss") != self._pool.issuer
            or claims.get("client_id") not in self._pool.clients
            or self._pool.user_of(claims) is None
        ):
            raise KeyError("not an access token of a live session")
        return claims["client_id"], claims["sub"]

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def signed_out_ms(user: CognitoIdpUser) -> int:
    """When the user's sessions were last ended, in Unix milliseconds; 0 for never."""
    return int(getattr(user, "signed_out_ms", 0))


def _new_session_id() -> str:
    # A UUID whose first 48 bits are the time in milliseconds (RFC 9562, version 7), so that a
    # token says by itself whether its session began before a sign-out.
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


def _session_started_ms(session: str) -> int:
    return uuid.UUID(session).int >> 80
