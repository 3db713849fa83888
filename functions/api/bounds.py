"""What every request has to keep within, whatever route it is for."""

from __future__ import annotations

from typing import Final

from chalice.app import Request

from functions.api import errors
from traksense.i18n.catalogue import text
from traksense.services.paging import Malformed

MAX_ADDRESS: Final = 8_192
"""Characters of path and query, decoded: what CloudFront takes of a URL."""
MAX_PARAMETERS: Final = 100
"""Values in the query, however they are spread over names."""
MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 16_384
"""Names and values of all headers: an ID token has two thousand."""
MAX_DEPTH: Final = 32
"""How deep objects and lists of a JSON body may lie in each other."""

_OPENING: Final = b"{["
_CLOSING: Final = b"}]"
_QUOTE: Final = ord('"')
_ESCAPE: Final = ord("\\")


def check(request: Request) -> None:
    """Raises AddressTooLong, HeadersTooLarge, or Malformed for too many parameters."""
    headers = list(request.headers.items())
    if len(headers) > MAX_HEADERS or _size(headers) > MAX_HEADER_BYTES:
        raise errors.HeadersTooLarge
    path = str(request.to_original_event().get("path") or request.path)
    query = {} if request.query_params is None else request.query_params._dict
    pairs = [(name, value) for name, values in query.items() for value in values]
    if len(path) + _size(pairs) > MAX_ADDRESS:
        raise errors.AddressTooLong
    if len(pairs) > MAX_PARAMETERS:
        message = text("validation.too_many", most=MAX_PARAMETERS)
        raise Malformed(message, (("query", message),))


def _size(pairs: list[tuple[str, str]]) -> int:
    return sum(len(name) + len(value) for name, value in pairs)


def is_too_deep(raw: bytes) -> bool:
    """Whether JSON has more levels than are read. What is no JSON is for others to refuse."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    depth, in_text, is_escaped = 0, False, False
    for byte in raw:
        if in_text:
            if is_escaped:
                is_escaped = False
            elif byte == _ESCAPE:
                is_escaped = True
            elif byte == _QUOTE:
                in_text = False
        elif byte == _QUOTE:
            in_text = True
        elif byte in _OPENING:
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif byte in _CLOSING:
            depth -= 1
    return False
