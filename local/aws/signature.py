"""Signature Version 4: who made a request.

Source: AWS Signature Version 4 for API requests, "Create a signed AWS API request" and
"Authenticating requests: using query parameters" (Amazon S3 API reference).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, quote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_HEADER: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<credential>[^,\s]+),\s*"
    r"SignedHeaders=(?P<signed_headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_SKEW: Final = timedelta(minutes=15)
_LONGEST_PRESIGNED_S: Final = 7 * 24 * 3600


class Refused(Exception):
    """The request is not signed as it must be; the message is for the log."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The run's access key."""

    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says about its own signature."""

    access_key_id: str
    date: str
    region: str
    service: str
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str
    presigned_s: int | None


def verify(
    environ: Mapping[str, Any], body_hash: Callable[[], str], credentials: Credentials
) -> str:
    """The service that a WSGI request is signed for.

    ``body_hash`` is asked for the SHA-256 of the body where no header states it. Raises Refused.
    """
    query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    claim = _read_claim(environ, query)
    if not hmac.compare_digest(claim.access_key_id.encode(), credentials.access_key_id.encode()):
        raise Refused("foreign access key")
    if claim.presigned_s is not None:
        _check_is_link(environ, claim)
    _check_time(claim, datetime.now(UTC))
    canonical = "\n".join(
        (
            environ["REQUEST_METHOD"],
            _canonical_path(environ, claim.service),
            _canonical_query(query),
            *(f"{name}:{_header(environ, name)}" for name in claim.signed_headers),
            "",
            ";".join(claim.signed_headers),
            _payload_hash(environ, claim, body_hash),
        )
    )
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join((_ALGORITHM, claim.timestamp, scope, digest))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (claim.date, claim.region, claim.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.new(key, text.encode(), "sha256").hexdigest(), claim.signature):
        raise Refused("wrong signature")
    return claim.service


def raw_path(environ: Mapping[str, Any]) -> str:
    """The path as it came, still percent-encoded."""
    uri = environ.get("REQUEST_URI") or quote(environ.get("PATH_INFO", "/"), safe="/-_.~")
    return str(uri).split("?", 1)[0] or "/"


def _canonical_path(environ: Mapping[str, Any], service: str) -> str:
    """S3's path is signed as it came, every other service's encoded once more."""
    path = raw_path(environ)
    return path if service == "s3" else quote(path, safe="/~")


def _read_claim(environ: Mapping[str, Any], query: list[tuple[str, str]]) -> _Claim:
    header = environ.get("HTTP_AUTHORIZATION")
    parameters = dict(query)
    presigned_s: int | None = None
    if header is not None:
        match = _HEADER.fullmatch(header)
        if match is None:
            raise Refused("Authorization is no Signature Version 4")
        credential, signed, signature = match.group("credential", "signed_headers", "signature")
        timestamp = environ.get("HTTP_X_AMZ_DATE", "")
    elif parameters.get("X-Amz-Algorithm") == _ALGORITHM:
        credential = parameters.get("X-Amz-Credential", "")
        signed = parameters.get("X-Amz-SignedHeaders", "")
        signature = parameters.get("X-Amz-Signature", "")
        timestamp = parameters.get("X-Amz-Date", "")
        expires = parameters.get("X-Amz-Expires", "")
        if not expires.isascii() or not expires.isdigit():
            raise Refused("a presigned request without X-Amz-Expires")
        presigned_s = int(expires)
    else:
        raise Refused("not signed")
    parts = credential.split("/")
    names = tuple(signed.split(";"))
    if len(parts) != 5 or parts[4] != "aws4_request" or "host" not in names:
        raise Refused("malformed credential scope or signed headers")
    key_id, date, region, service, _ = parts
    return _Claim(key_id, date, region, service, timestamp, names, signature, presigned_s)


def _check_is_link(environ: Mapping[str, Any], claim: _Claim) -> None:
    """What is signed in the address is for people to open, and changes nothing."""
    if claim.service != "s3" or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        raise Refused("presigned for something else than reading a file")


def _check_time(claim: _Claim, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(claim.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("malformed X-Amz-Date") from None
    if not claim.timestamp.startswith(claim.date):
        raise Refused("X-Amz-Date is not of the credential's day")
    lifetime = _SKEW
    if claim.presigned_s is not None:
        if claim.presigned_s > _LONGEST_PRESIGNED_S:
            raise Refused("presigned for longer than a week")
        lifetime = timedelta(seconds=claim.presigned_s)
    if now > signed_at + lifetime:
        raise Refused("expired")
    if now < signed_at - _SKEW:
        raise Refused("signed in the future")


def _canonical_query(query: list[tuple[str, str]]) -> str:
    encoded = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in query
        if name != "X-Amz-Signature"
    )
    return "&".join(f"{name}={value}" for name, value in encoded)


def _header(environ: Mapping[str, Any], name: str) -> str:
    key = name.upper().replace("-", "_")
    value = environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}")
    if value is None:
        raise Refused(f"signed header {name} is missing")
    return " ".join(str(value).split())


def _payload_hash(environ: Mapping[str, Any], claim: _Claim, body_hash: Callable[[], str]) -> str:
    if claim.presigned_s is not None:
        return "UNSIGNED-PAYLOAD"
    if claim.service == "s3":
        return str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")) or body_hash()
    return body_hash()
