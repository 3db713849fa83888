"""ULIDs: 128 bits as 26 characters, in whose order their times are.

Source: the ULID specification, https://github.com/ulid/spec: 48 bits of milliseconds since the
Unix epoch, 80 random ones, in Crockford's base 32.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Final

PATTERN: Final = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new(at: datetime) -> str:
    """A ULID of an instant. Two of one millisecond are in no order."""
    number = int(at.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
