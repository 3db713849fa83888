"""What can go wrong when a person logs in.

::

    TrakSenseError
    ├── RetryableError
    │   ├── IdentityProviderAway  Cognito cannot be reached, or answers what it should not
    │   └── Throttled             too many attempts; ``retry_after_s`` says how long to wait
    └── PermanentError
        └── BadCredentials        401: the same for an unknown user and a wrong password
"""

from __future__ import annotations

from traksense.domain.errors import PermanentError, RetryableError


class BadCredentials(PermanentError):
    """User, password or token is wrong; which of them is never said (OWASP ASVS 2.2)."""


class Throttled(RetryableError):
    """Too many attempts."""

    def __init__(self, detail: str, retry_after_s: int = 30) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class IdentityProviderAway(RetryableError):
    """The user pool cannot be reached, or is not set up as it must be."""
