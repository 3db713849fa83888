"""Codes of an authenticator app: RFC 6238 as Cognito uses it (SHA-1, six digits, 30 seconds)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

STEP_S: Final = 30
_SECRET_BYTES: Final = 32


def new_secret() -> str:
    """A random secret, as an app takes it: base32 without padding."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii").rstrip("=")


def code_at(secret: str, step: int) -> str:
    """The code of one step of 30 seconds."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, step.to_bytes(8, "big"), hashlib.sha1)
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


def step_of(secret: str, code: str, now: float) -> int | None:
    """The step whose code this is, one to either side of now; None for a wrong code."""
    step = int(now) // STEP_S
    for near in (step, step - 1, step + 1):
        if hmac.compare_digest(code_at(secret, near).encode(), code.encode("utf-8", "replace")):
            return near
    return None
