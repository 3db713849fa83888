"""Errors of the platform, each either retryable or permanent.

::

    TrakSenseError
    ├── RetryableError            goes back to the queue, or 503 to a caller
    │   └── DatabaseAway
    └── PermanentError            trying again gives the same
        ├── ConfigurationError    a setting is missing or malformed
        ├── NotFound              404, also for another tenant's object
        ├── Invalid               422 (400 where the request itself is malformed)
        ├── Conflict              409
        └── Forbidden             403
"""

from __future__ import annotations


class TrakSenseError(Exception):
    """Root of the platform's own errors."""


class RetryableError(TrakSenseError):
    """The same call may succeed later."""


class DatabaseAway(RetryableError):
    """No connection to the database, or it broke before the commit was confirmed."""


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


class Forbidden(PermanentError):
    """The caller may not do this."""
