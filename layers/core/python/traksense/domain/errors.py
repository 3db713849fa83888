"""Errors of the platform, each either retryable or permanent.

::

    TrakSenseError
    ├── RetryableError            goes back to the queue, or 503 to a caller
    │   ├── DatabaseAway
    │   └── TooManyRequests       429: a quota of this minute is spent
    └── PermanentError            trying again gives the same
        ├── ConfigurationError    a setting is missing or malformed
        ├── NotFound              404, also for another tenant's object
        ├── Invalid               422 (400 where the request itself is malformed)
        ├── Conflict              409
        ├── Gone                  410: it was there, and never will be again
        └── Forbidden             403
"""

from __future__ import annotations


class TrakSenseError(Exception):
    """Root of the platform's own errors."""


class RetryableError(TrakSenseError):
    """The same call may succeed later."""


class DatabaseAway(RetryableError):
    """No connection to the database, or it broke before the commit was confirmed."""


class TooManyRequests(RetryableError):
    """A quota of requests is spent until the minute is over."""

    def __init__(self, of: str, retry_after_s: int, *, is_first: bool = True) -> None:
        """``of`` says whose quota; ``is_first``: of its minute in this container."""
        super().__init__(f"the quota of this {of} is spent")
        self.of = of
        self.retry_after_s = retry_after_s
        self.is_first = is_first


class PermanentError(TrakSenseError):
    """The same call fails again until something is changed."""


class ConfigurationError(PermanentError):
    """A setting is missing or malformed; the message names it."""


class NotFound(PermanentError):
    """There is no such object in the caller's sight."""


class Invalid(PermanentError):
    """The input breaks a rule; ``errors`` lists where and how."""

    def __init__(self, detail: str, errors: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.errors = errors


class Conflict(PermanentError):
    """The object is in a state that does not allow this; ``errors`` lists where, if anywhere."""

    def __init__(self, detail: str, errors: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.errors = errors


class Gone(PermanentError):
    """The object was there, and is not kept any longer."""


class Forbidden(PermanentError):
    """The caller may not do this."""
