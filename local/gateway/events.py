"""A WSGI request as API Gateway hands it to a Lambda function.

Source: API Gateway developer guide, "Input format of a Lambda function for proxy integration".
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from .routes import Match

STAGE: Final = "local"
ACCOUNT: Final = "123456789012"
API_ID: Final = "local"
MAX_QUERY_FIELDS: Final = 200


class BadQuery(ValueError):
    """The query string cannot be read."""


def raw_path(environ: Mapping[str, Any]) -> str:
    """The path as it came, still percent-encoded."""
    uri = environ.get("REQUEST_URI")
    if uri is None:
        return quote(str(environ.get("PATH_INFO", "/")).encode("latin-1"), safe="/-_.~")
    path = str(uri).split("?", 1)[0]
    return path if path.startswith("/") else "/"


def headers_of(environ: Mapping[str, Any]) -> dict[str, str]:
    """The request's headers, in Title-Case."""
    return dict(_headers(environ))


def proxy_event(
    environ: Mapping[str, Any],
    match: Match,
    body: bytes,
    request_id: str,
    binary_types: Collection[str],
    claims: Mapping[str, str] | None,
) -> dict[str, Any]:
    """The event. ``sourceIp`` is the peer's address, whatever a header says. Raises BadQuery."""
    method = environ["REQUEST_METHOD"]
    headers = headers_of(environ)
    query = _query(environ.get("QUERY_STRING", ""))
    path = raw_path(environ)
    now = datetime.now(UTC)
    text, is_base64 = _body(body, headers.get("Content-Type", ""), binary_types)
    context: dict[str, Any] = {
        "accountId": ACCOUNT,
        "apiId": API_ID,
        "domainName": headers.get("Host", "").partition(":")[0],
        "extendedRequestId": request_id,
        "httpMethod": method,
        "identity": {
            "sourceIp": environ["REMOTE_ADDR"],
            "userAgent": headers.get("User-Agent"),
        },
        "path": path,
        "protocol": environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
        "requestId": request_id,
        "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(now.timestamp() * 1000),
        "resourceId": match.template,
        "resourcePath": match.template,
        "stage": STAGE,
    }
    if claims is not None:
        context["authorizer"] = {"claims": dict(claims)}
    return {
        "resource": match.template,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": match.parameters or None,
        "stageVariables": None,
        "requestContext": context,
        "body": text,
        "isBase64Encoded": is_base64,
    }


def _headers(environ: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key[5:].replace("_", "-").title(), value
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            yield key.replace("_", "-").title(), value


def _query(text: str) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError as error:
        raise BadQuery("too many query parameters") from error
    query: dict[str, list[str]] = {}
    for name, value in pairs:
        query.setdefault(name, []).append(value)
    return query


def _body(body: bytes, content_type: str, binary_types: Collection[str]) -> tuple[str | None, bool]:
    if not body:
        return None, False
    media_type = content_type.partition(";")[0].strip().lower()
    if "*/*" in binary_types or media_type in binary_types:
        return base64.b64encode(body).decode("ascii"), True
    # API Gateway takes every other body for text in UTF-8.
    return body.decode("utf-8", "replace"), False
