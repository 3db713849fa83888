"""``Idempotency-Key``: a call that is made again with the same key is the same call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from functions.api.routing import Header
from traksense.domain.errors import Invalid
from traksense.i18n.catalogue import text

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
HEADER: Final = Header(
    "Idempotency-Key",
    "With the same key the same call has one effect, however often it is made.",
    r"^[\x21-\x7e]{1,255}$",
)


def key_of(headers: Mapping[str, str]) -> str | None:
    """The key of a request; headers in lower case. Raises Invalid."""
    key = headers.get(HEADER.name.lower())
    if key is not None and not _KEY.fullmatch(key):
        message = text("request.key_malformed")
        raise Invalid(message, (("header.Idempotency-Key", message),))
    return key
