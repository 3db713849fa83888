"""One body in the form that its caller can take: media type, content coding, entity tag.

Sources: RFC 9110, sections 8.8.3 (ETag), 12.5 (Accept, Accept-Encoding, Vary) and 13.1.2
(If-None-Match); RFC 9111, section 5.2.2 (Cache-Control).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chalice.app import Request, Response

CACHE_CONTROL: Final = "private, no-cache"
"""The caller's own cache may keep it, and asks each time whether it still holds."""
VARY: Final = "Accept, Accept-Encoding"

SMALLEST_COMPRESSED: Final = 1024
"""Bytes below which a coding costs more than it saves."""
LEVEL: Final = 1
"""Of zlib. A chart's JSON shrinks to 21% in 5 ms a megabyte; level 6 gives 18% in 27 ms."""

_ITEM: Final = re.compile(r"\s*([A-Za-z0-9!#$&^_.+*/-]{1,100})\s*((?:;[^,]*)?)\s*")
_QUALITY: Final = re.compile(r";\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*(?:;|$)", re.IGNORECASE)
_MAX_HEADER: Final = 1000


class Binary(Response):  # type: ignore[misc] # Chalice has no types
    """A response whose body is bytes: API Gateway takes such in base64, and says so by a flag.

    Chalice decides by the content type, which the coding does not change.
    """

    def to_dict(self, binary_types: list[str] | None = None) -> dict[str, Any]:  # noqa: ARG002
        """Lambda's answer, as the proxy integration of API Gateway reads it."""
        single, many = self._sort_headers(self.headers)
        return {
            "headers": single,
            "multiValueHeaders": many,
            "statusCode": self.status_code,
            "body": base64.b64encode(self.body).decode("ascii"),
            "isBase64Encoded": True,
        }


def preferred(accept: str | None, offered: Sequence[str]) -> str:
    """The media type that a caller wants most; the first one offered where she says nothing.

    Of equals that which she names, rather than covers by a wildcard, then the first one offered.
    """
    best, best_rank = offered[0], (0.0, False)
    wanted = _qualities(accept)
    for media in offered:
        family = media.partition("/")[0] + "/*"
        name = next((each for each in (media, family, "*/*") if each in wanted), None)
        rank = (0.0, False) if name is None else (wanted[name], name == media)
        if rank > best_rank:
            best, best_rank = media, rank
    return best


def represent(
    request: Request,
    body: bytes,
    content_type: str,
    headers: Mapping[str, str],
    status: int = 200,
) -> Response:
    """A body as a response: 304 where the caller has it, gzipped where she takes that."""
    tag = etag(body)
    common = {**headers, "Cache-Control": CACHE_CONTROL, "ETag": tag, "Vary": VARY}
    if status == 200 and matches(tag, request.headers.get("if-none-match")):
        return Response(body="", status_code=304, headers=common)
    common["Content-Type"] = content_type
    if len(body) >= SMALLEST_COMPRESSED and takes_gzip(request.headers.get("accept-encoding")):
        common["Content-Encoding"] = "gzip"
        packed = gzip.compress(body, LEVEL, mtime=0)
        return Binary(body=packed, status_code=status, headers=common)
    return Response(body=body.decode("utf-8"), status_code=status, headers=common)


def etag(body: bytes) -> str:
    """Weak: the same for each content coding of a body."""
    return f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'


def matches(tag: str, if_none_match: str | None) -> bool:
    """Whether a caller has it already, by the weak comparison."""
    if if_none_match is None:
        return False
    wanted = tag.removeprefix("W/")
    candidates = (part.strip().removeprefix("W/") for part in if_none_match.split(","))
    return any(candidate in ("*", wanted) for candidate in candidates)


def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether a caller can read gzip."""
    codings = _qualities(accept_encoding)
    return codings.get("gzip", codings.get("x-gzip", codings.get("*", 0.0))) > 0


def _qualities(header: str | None) -> dict[str, float]:
    """What a header lists, in lower case, with its weight; what is malformed is skipped."""
    found: dict[str, float] = {}
    for item in (header or "")[:_MAX_HEADER].split(","):
        read = _ITEM.fullmatch(item)
        if read is None:
            continue
        quality = _QUALITY.search(read[2])
        found[read[1].lower()] = 1.0 if quality is None else float(quality[1])
    return found
