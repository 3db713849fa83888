"""The key that signs the pool's tokens: random, one per home.

The key that moto ships is public, so that whoever reads its package could sign tokens.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.errors import StartupError
from local.home import write_atomically

ALGORITHM: Final = "RS256"


class SigningKey:
    """An RSA key, its id (RFC 7638 thumbprint) and what is derived from it."""

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        self._private = private
        numbers = private.public_key().public_numbers()
        members = {"e": _base64url_integer(numbers.e), "kty": "RSA"}
        members["n"] = _base64url_integer(numbers.n)
        thumbprint = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()
        self.kid = _base64url(thumbprint)
        self.jwks: dict[str, Any] = {
            "keys": [{**members, "kid": self.kid, "alg": ALGORITHM, "use": "sig"}]
        }
        # Refresh tokens are opaque to everybody but the pool: a secret of their own.
        self._refresh_secret = hmac.digest(self.pem(), b"refresh tokens", "sha256")

    @classmethod
    def load_or_create(cls, path: Path) -> SigningKey:
        """The key in ``path`` (PEM, mode 0600), made at the first call. Raises StartupError."""
        try:
            pem = path.read_bytes()
        except FileNotFoundError:
            made = cls(rsa.generate_private_key(public_exponent=65537, key_size=2048))
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(path, made.pem())
            return made
        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except ValueError as error:
            raise StartupError(f"{path} is damaged: restore it or remove it") from error
        if not isinstance(private, rsa.RSAPrivateKey):
            raise StartupError(f"{path} holds no RSA key: restore it or remove it")
        return cls(private)

    def pem(self) -> bytes:
        """The private key, PKCS #8."""
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def sign(self, claims: dict[str, Any]) -> str:
        """A signed ID or access token."""
        return jwt.encode(claims, self._private, ALGORITHM, headers={"kid": self.kid})

    def verify(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that this key signed and that has not expired; else None."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._private.public_key(),
                algorithms=[ALGORITHM],
                options={"verify_aud": False, "require": ["exp", "sub", "token_use"]},
            )
        except jwt.InvalidTokenError:
            return None
        return claims

    def sign_refresh(self, claims: dict[str, Any]) -> str:
        """A refresh token."""
        return jwt.encode(claims, self._refresh_secret, "HS256")

    def verify_refresh(self, token: str) -> dict[str, Any] | None:
        """The claims of a refresh token of this key that has not expired; else None."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._refresh_secret,
                algorithms=["HS256"],
                options={"require": ["exp", "sub", "client_id", "origin_jti"]},
            )
        except jwt.InvalidTokenError:
            return None
        return claims


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _base64url_integer(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
