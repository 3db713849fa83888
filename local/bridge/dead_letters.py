"""The dead-letter queue of one machine: a file of JSON lines a queue, under the home."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from .queue import Message


class DeadLetterFile:
    """Messages that were given up, one JSON object a line, readable by their owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = self._count_lines()

    @property
    def count(self) -> int:
        """Messages in the file."""
        return self._count

    def add(self, messages: Iterable[Message], *, now_ms: int) -> None:
        """Append messages and return when they are on the disk. Raises OSError.

        A line holds ``dead_at`` and ``sent_at`` (milliseconds since the Unix epoch),
        ``message_id``, ``receives`` and ``body``: what the function got.
        """
        lines = [
            json.dumps(
                {
                    "dead_at": now_ms,
                    "sent_at": message.sent_at_ms,
                    "message_id": message.message_id,
                    "receives": message.receives,
                    "body": message.body,
                },
                separators=(",", ":"),
            )
            for message in messages
        ]
        if not lines:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = "".join(f"{line}\n" for line in lines)
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                # A write that was cut off must not swallow the next message's line.
                text = f"\n{text}"
            _write_all(descriptor, text.encode("utf-8"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._count += len(lines)

    def _count_lines(self) -> int:
        try:
            with self._path.open("rb") as file:
                return sum(1 for _ in file)
        except FileNotFoundError:
            return 0


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
