"""Passwords as the pool keeps them: scrypt hashes, also in memory and on disk."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Final

# 16 MB and about 40 ms a check (RFC 7914; OWASP password storage cheat sheet, N=2^14 r=8 p=5
# for a public service; one pass here, because the hashes never leave the owner's machine).
_N: Final = 2**14
_R: Final = 8
_P: Final = 1


class PasswordHash:
    """A hash that equals the password it was made of, because moto compares with ``!=``."""

    __slots__ = ("_digest", "_salt")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, salt: bytes, digest: bytes) -> None:
        self._salt = salt
        self._digest = digest

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        """Hash a password with a new salt."""
        salt = secrets.token_bytes(16)
        return cls(salt, _scrypt(password, salt))

    @classmethod
    def from_text(cls, text: str) -> PasswordHash:
        """Read what ``to_text`` wrote. Raises ValueError for anything else."""
        kind, salt, digest = text.split("$")
        if kind != "scrypt":
            raise ValueError(f"unknown kind of password hash {kind!r}")
        return cls(base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True))

    def to_text(self) -> str:
        """The form that is kept on disk."""
        parts = (base64.b64encode(part).decode("ascii") for part in (self._salt, self._digest))
        return "$".join(("scrypt", *parts))

    def matches(self, password: str) -> bool:
        """Whether this is the password."""
        return hmac.compare_digest(self._digest, _scrypt(password, self._salt))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.matches(other)


# In one thread: the C library keeps each thread's freed 16 MB for that thread, and eight of the
# server's would hold on to 250 MB.
_hasher: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="password-hash")


def _scrypt(password: str, salt: bytes) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")
    return _hasher.submit(hashlib.scrypt, secret, salt=salt, n=_N, r=_R, p=_P, dklen=32).result()


NOBODY: Final = PasswordHash(b"\0" * 16, b"\0" * 32)
"""Matches no password, in the same time as a real one takes."""
