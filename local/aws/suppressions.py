"""The list of addresses that get nothing: SES' account-level suppression list, kept in the home.

Nothing bounces on loopback, so that only these calls, or a hand in the file, put an address there.
SES takes an e-mail for such an address, and delivers none.

Source: Amazon SES API reference v2, PutSuppressedDestination, GetSuppressedDestination and
DeleteSuppressedDestination.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from local.errors import StartupError
from local.home import write_atomically

from .guard import WsgiApp

REASONS: Final = ("BOUNCE", "COMPLAINT")
LARGEST_BODY: Final = 10_000
_PATH: Final = "/v2/email/suppression/addresses"
_ONE: Final = re.compile(re.escape(_PATH) + "/([^/]+)")
_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+")


class Suppressions:
    """Addresses with their reasons, in a JSON file that is read at each look."""

    def __init__(self, path: Path) -> None:
        """Raises StartupError where the file is damaged."""
        self._path = path
        self._lock = threading.Lock()
        try:
            self.all()
        except (ValueError, TypeError, AttributeError) as error:
            raise StartupError(f"{path} is damaged: restore it or remove it") from error

    def all(self) -> dict[str, dict[str, Any]]:
        """What is kept of each address: reason, and when it came, in Unix seconds."""
        try:
            found = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        return {str(address): dict(kept) for address, kept in found.items()}

    def __contains__(self, address: object) -> bool:
        return str(address) in self.all()

    def put(self, address: str, reason: str) -> None:
        """Put an address on the list, or give it another reason."""
        self._change(lambda kept: kept.update({address: {"reason": reason, "at": time.time()}}))

    def remove(self, address: str) -> bool:
        """Take an address off; whether it was there."""
        was_there = address in self
        self._change(lambda kept: kept.pop(address, None))
        return was_there

    def _change(self, change: Callable[[dict[str, dict[str, Any]]], object]) -> None:
        with self._lock:
            kept = self.all()
            change(kept)
            write_atomically(self._path, json.dumps(kept).encode())


class SesApps:
    """A WSGI app: the list's calls here, all others of SES by moto."""

    def __init__(self, suppressions: Suppressions, ses: WsgiApp) -> None:
        self._suppressions = suppressions
        self._ses = ses

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a call of the list, or pass it on."""
        if not environ["PATH_INFO"].startswith(_PATH):
            return self._ses(environ, start_response)
        status, answer = self._answer(environ)
        headers = [("Content-Type", "application/json")]
        if status != "200 OK":
            headers.append(("x-amzn-ErrorType", str(answer.pop("kind"))))
        body = json.dumps(answer).encode()
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if method == "PUT" and path == _PATH:
            return self._put(environ)
        one = _ONE.fullmatch(path)
        if one is None or method not in ("GET", "DELETE"):
            return _refused("BadRequestException", f"{method} {path} is not permitted")
        address = unquote(one[1])
        kept = self._suppressions.all().get(address)
        if kept is None:
            message = f"Email address {address} does not exist on your suppression list."
            return "404 Not Found", {"kind": "NotFoundException", "message": message}
        if method == "DELETE":
            self._suppressions.remove(address)
            return "200 OK", {}
        described = {
            "EmailAddress": address,
            "Reason": kept["reason"],
            "LastUpdateTime": kept["at"],
        }
        return "200 OK", {"SuppressedDestination": described}

    def _put(self, environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > LARGEST_BODY:
            return _refused("BadRequestException", "the body is too large")
        try:
            asked = json.loads(environ["wsgi.input"].read(length))
            address, reason = str(asked["EmailAddress"]), str(asked["Reason"])
        except (ValueError, KeyError, TypeError):
            return _refused("BadRequestException", "EmailAddress and Reason are needed")
        if not _ADDRESS.fullmatch(address) or reason not in REASONS:
            return _refused("BadRequestException", "no such address or reason")
        self._suppressions.put(address, reason)
        return "200 OK", {}


def _refused(kind: str, message: str) -> tuple[str, dict[str, Any]]:
    return "400 Bad Request", {"kind": kind, "message": message}
