"""HTTP answers, and RFC 9457 problem documents of errors that are about HTTP itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

CONTENT_TYPE: Final = "application/problem+json"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: Headers
    body: bytes

    @property
    def status_line(self) -> str:
        """Number and reason, as WSGI wants them: ``404 Not Found``."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:  # a number that has no name
            return f"{self.status} Status"


def problem(status: int, headers: Headers = ()) -> Answer:
    """A problem that says no more than its status (RFC 9457, 4.2.1, ``about:blank``)."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    body = json.dumps(document).encode()
    return Answer(
        status,
        (
            ("Content-Type", CONTENT_TYPE),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *headers,
        ),
        body,
    )
