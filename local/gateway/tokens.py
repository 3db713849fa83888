"""Verifies ID tokens as API Gateway's Cognito authorizer does.

Source: Amazon Cognito developer guide, "Verifying JSON web tokens".
"""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

_log = logging.getLogger(__name__)

ALGORITHMS: Final = ["RS256"]
_REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub", "token_use"]
_MAX_JWKS_BYTES: Final = 100_000

Jwks = Mapping[str, Any]


class InvalidToken(Exception):
    """No valid ID token of the pool; the message is for the log, not for the caller."""


class KeysAway(Exception):
    """The pool's keys cannot be fetched, so that no token can be judged."""


def jwks_fetcher(endpoint_url: str, pool_id: str, timeout_s: float = 3.0) -> Callable[[], Jwks]:
    """What fetches a pool's public keys from the emulator. It raises KeysAway.

    Plain http.client: no proxy that the environment names is asked.
    """
    endpoint = urlsplit(endpoint_url)
    path = f"/{pool_id}/.well-known/jwks.json"

    def fetch() -> Jwks:
        connection = http.client.HTTPConnection(
            endpoint.hostname or "", endpoint.port, timeout=timeout_s
        )
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read(_MAX_JWKS_BYTES)
            if response.status != 200:
                raise KeysAway(f"the keys' address answers {response.status}")
            document: Jwks = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise KeysAway("the pool's keys cannot be fetched") from error
        finally:
            connection.close()
        return document

    return fetch


class KeySet:
    """The pool's public keys by id. Fetched at first use, and for an unknown id not too often."""

    def __init__(
        self,
        fetch: Callable[[], Jwks],
        clock: Callable[[], float] = time.monotonic,
        refetch_after_s: float = 10.0,
        retry_after_s: float = 1.0,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._refetch_after_s = refetch_after_s
        self._retry_after_s = retry_after_s
        self._keys: dict[str, jwt.PyJWK] = {}
        self._next_fetch = float("-inf")
        self._away = False
        self._lock = threading.Lock()

    def key(self, kid: str) -> jwt.PyJWK:
        """The key of this id. Raises InvalidToken where the pool has none, KeysAway."""
        if (known := self._keys.get(kid)) is not None:
            return known
        with self._lock:
            if kid not in self._keys and self._clock() >= self._next_fetch:
                self._refetch()
            if (known := self._keys.get(kid)) is not None:
                return known
            if self._away:
                raise KeysAway("the pool's keys could not be fetched a moment ago")
        raise InvalidToken("unknown kid")

    def _refetch(self) -> None:
        self._away = True
        self._next_fetch = self._clock() + self._retry_after_s
        try:
            keys = jwt.PyJWKSet.from_dict(dict(self._fetch())).keys
        except jwt.PyJWTError as error:
            raise KeysAway("the keys' address answers no key set") from error
        self._keys = {key.key_id: key for key in keys if key.key_id and key.key_type == "RSA"}
        self._away = False
        self._next_fetch = self._clock() + self._refetch_after_s


class TokenVerifier:
    """Verifies ID tokens of one pool and one app client."""

    def __init__(self, region: str, pool_id: str, client_id: str, keys: KeySet) -> None:
        self._issuer = f"https://cognito-idp.{region}.amazonaws.com/{pool_id}"
        self._client_id = client_id
        self._keys = keys

    def verify(self, authorization: str | None) -> dict[str, str]:
        """The claims of ``Bearer <ID token>``, as API Gateway hands them over.

        Raises InvalidToken, or KeysAway where nobody can say.
        """
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise InvalidToken("no bearer token")
        try:
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            if header.get("alg") not in ALGORITHMS or not isinstance(kid, str):
                raise InvalidToken("wrong algorithm or no kid")
            claims = jwt.decode(
                token,
                self._keys.key(kid),
                algorithms=ALGORITHMS,
                audience=self._client_id,
                issuer=self._issuer,
                options={"require": _REQUIRED},
            )
        except jwt.InvalidTokenError as error:
            raise InvalidToken(str(error)) from error
        if claims["token_use"] != "id":  # noqa: S105 - no password
            raise InvalidToken("not an ID token")
        return {name: _as_api_gateway(name, value) for name, value in claims.items()}


def _as_api_gateway(name: str, value: object) -> str:
    """A claim as the authorizer's context carries it: always text, lists joined by commas."""
    if name in ("exp", "iat") and isinstance(value, int):
        return datetime.fromtimestamp(value, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value)
