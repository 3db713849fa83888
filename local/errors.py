"""What ends a start, in words for the person who typed the command."""

from __future__ import annotations


class StartupError(Exception):
    """The platform cannot start. ``str`` is one line: what is wrong and what to do about it."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
