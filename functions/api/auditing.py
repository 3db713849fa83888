"""What a route decides about the audit log. A route without a decision cannot be registered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

ACTION_PATTERN: Final = r"[a-z]+(?:_[a-z]+)*\.[a-z]+(?:_[a-z]+)*"
_ACTION: Final = re.compile(ACTION_PATTERN)


@dataclass(frozen=True, slots=True)
class Audited:
    """Every call is recorded. ``action`` is ``<things>.<verb>``, such as ``devices.list``."""

    action: str

    def __post_init__(self) -> None:
        if not _ACTION.fullmatch(self.action):
            raise ValueError(f"{self.action!r} is no action such as devices.list")


@dataclass(frozen=True, slots=True)
class NotAudited:
    """No call is recorded, for this reason."""

    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError("a route that is not audited says why")


Decision = Audited | NotAudited
