"""What ends a move before its end."""

from __future__ import annotations

from traksense.domain.errors import PermanentError


class MoveRefused(PermanentError):
    """A move that cannot be begun or gone on with as things are; the message says what to do."""


class Mismatch(PermanentError):
    """Source and target differ where they must not; the message says where and what to do."""
