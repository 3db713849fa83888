"""A call of the stand-in platform's API, and how it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ProblemError(Exception):
    """An answer that is an RFC 9457 problem document."""

    def __init__(
        self,
        status: int,
        title: str,
        errors: list[tuple[str, str]] | None = None,
        is_detail: bool = False,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.detail = title if is_detail else None
        self.errors = [{"loc": loc, "msg": msg} for loc, msg in errors or []]


@dataclass(frozen=True)
class Request:
    """What a route needs to know of a request."""

    query: Mapping[str, str]
    body: Mapping[str, Any]
    locale: str
    tenant: str | None
    """The tenant that it is about; None where an operator named none."""
    method: str
    key: str
    """The Idempotency-Key, or nothing."""
