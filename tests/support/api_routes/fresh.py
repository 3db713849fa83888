"""Names that nothing has had yet."""

from __future__ import annotations

import itertools

_numbers = itertools.count(1)


def fresh(prefix: str) -> str:
    """A name of its own, fit for a slug and for a device."""
    return f"{prefix}-{next(_numbers)}"
