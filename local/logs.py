"""The platform's log: JSON lines in a file, readable lines on the terminal.

Children write JSON lines (anything else is wrapped); the supervisor reads them, keeps all in
``<home>/logs/traksense.jsonl`` and shows what a person wants to see.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

MAX_FILE_BYTES: Final = 20_000_000
BACKUPS: Final = 4

LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_COLOURS: Final = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}

SHOWN_FIELDS: Final = ("tenant", "device", "request_id", "queue", "port")
"""Fields that the terminal shows behind the message, when a line has them."""


class RotatingFile:
    """A file of lines in at most ``backups`` + 1 pieces, readable by its owner only."""

    def __init__(self, path: Path, max_bytes: int = MAX_FILE_BYTES, backups: int = BACKUPS) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._descriptor: int | None = None
        self._size = 0

    def write(self, line: bytes) -> None:
        """Append one line, its end included. Raises OSError."""
        if self._descriptor is not None and self._size + len(line) > self._max_bytes:
            self._rotate()
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._descriptor = os.open(self._path, flags, 0o600)
            self._size = os.fstat(self._descriptor).st_size
        self._size += os.write(self._descriptor, line)

    def close(self) -> None:
        """Close the file; ``write`` opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _rotate(self) -> None:
        self.close()
        for number in range(self._backups, 0, -1):
            older = self._piece(number)
            newer = self._path if number == 1 else self._piece(number - 1)
            if newer.exists():
                newer.replace(older)

    def _piece(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class PlatformLog:
    """Where every line of the platform goes. Any thread may write."""

    def __init__(
        self, file: RotatingFile, terminal: TextIO, *, level: str = "INFO", colour: bool = False
    ) -> None:
        """``level``: the least that the terminal shows. The file gets everything."""
        self._file = file
        self._terminal = terminal
        self._least = LEVELS[level]
        self._colour = colour
        self._lock = threading.Lock()
        self._file_failed = False

    def line(self, component: str, text: str) -> Mapping[str, Any]:
        """One line of a child's output; its fields."""
        entry = _parse(text)
        entry["component"] = component
        self._write(entry)
        return entry

    def emit(self, level: str, message: str, **fields: Any) -> None:
        """One line of the supervisor's own."""
        self._write(
            {"level": level, "message": message, "timestamp": _now(), **fields}
            | {"component": "platform"}
        )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        entry.setdefault("timestamp", _now())
        data = json.dumps(entry, default=str, ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            self._keep(data.encode("utf-8", "replace") + b"\n")
            if LEVELS.get(str(entry.get("level")), LEVELS["INFO"]) >= self._least:
                self._print(readable(entry, colour=self._colour))

    def _keep(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            if not self._file_failed:
                self._file_failed = True
                self._print(f"the log file cannot be written ({error.strerror}): going on without")
        else:
            self._file_failed = False

    def _print(self, text: str) -> None:
        try:
            self._terminal.write(f"{text}\n")
            self._terminal.flush()
        except (OSError, ValueError):
            # The terminal was closed, and the platform is being told so by a signal.
            self._least = LEVELS["CRITICAL"] + 1


class LogHandler(logging.Handler):
    """Puts what the supervisor's own modules log where everything else goes."""

    def __init__(self, log: PlatformLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record over; its traceback goes with it."""
        fields = {}
        if record.exc_info:
            fields["exception"] = "".join(traceback.format_exception(*record.exc_info))
        self._log.emit(record.levelname, record.getMessage(), **fields)


def readable(entry: Mapping[str, Any], *, colour: bool = False) -> str:
    """``12:00:00 WARNING worker.ingest  message  tenant=acme``, with a traceback below it."""
    level = str(entry.get("level", "INFO"))
    shown = f"{level:<7}"
    if colour and level in _COLOURS:
        shown = f"\033[{_COLOURS[level]}m{shown}\033[0m"
    fields = [f"{name}={entry[name]}" for name in SHOWN_FIELDS if entry.get(name) is not None]
    message = _printable(str(entry.get("message", "")))
    line = f"{_clock(entry)} {shown} {entry.get('component', ''):<14} {message}"
    if fields:
        line += "  " + _printable(" ".join(fields))
    trace = entry.get("exception")
    if trace:
        line += "\n" + "\n".join(f"    {_printable(row)}" for row in str(trace).splitlines())
    return line


def _parse(text: str) -> dict[str, Any]:
    if text.startswith("{"):
        try:
            entry = json.loads(text)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and "message" in entry:
            return entry
    return {"level": "INFO", "message": text, "timestamp": _now()}


def _clock(entry: Mapping[str, Any]) -> str:
    """Local time of day: what the person in front of the terminal lives in."""
    try:
        moment = datetime.fromisoformat(str(entry["timestamp"]).replace(",", "."))
    except (KeyError, ValueError):
        moment = datetime.now(UTC)
    return f"{moment.astimezone():%H:%M:%S}"


def _printable(text: str) -> str:
    # What a device sent may stand in a message: no control character reaches the terminal.
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
