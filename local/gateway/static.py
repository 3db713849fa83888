"""The web page's files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from .problems import Answer

CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".map": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served at all: a file of another kind is not found."""


class StaticFiles:
    """Folders laid over URL prefixes, such as ``/`` and ``/vendor/echarts``."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = [
            (prefix.rstrip("/") + "/", folder.resolve())
            for prefix, folder in sorted(folders.items(), key=lambda item: -len(item[0]))
        ]

    def read(self, file: Path, if_none_match: str | None) -> Answer:
        """A file that ``find`` found; 304 where the caller has it."""
        content = file.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = (
            ("Content-Type", CONTENT_TYPES[file.suffix]),
            ("ETag", etag),
            # Kept by the browser, asked for again each time: a new version is seen at once.
            ("Cache-Control", "no-cache"),
        )
        if if_none_match is not None and _matches(etag, if_none_match):
            return Answer(304, headers, b"")
        return Answer(200, (*headers, ("Content-Length", str(len(content)))), content)

    def find(self, raw_path: str) -> Path | None:
        """The file of a path that is still percent-encoded; None where there is none."""
        path = unquote(raw_path)
        found = next((entry for entry in self._folders if path.startswith(entry[0])), None)
        if found is None:
            return None
        prefix, folder = found
        segments = (path.removeprefix(prefix) or "index.html").split("/")
        # ``.`` at the front also bars ``..`` and hidden files.
        if any(s == "" or s.startswith(".") or "\\" in s or "\0" in s for s in segments):
            return None
        file = folder.joinpath(*segments)
        if file.suffix not in CONTENT_TYPES:
            return None
        try:
            resolved = file.resolve()
            # A link inside the folder must not lead out of it.
            if not resolved.is_relative_to(folder) or not resolved.is_file():
                return None
        except OSError:
            return None
        return resolved


def _matches(etag: str, if_none_match: str) -> bool:
    candidates = (part.strip().removeprefix("W/") for part in if_none_match.split(","))
    return any(candidate in ("*", etag) for candidate in candidates)
