"""What breaks a rule, and where: for checks that name every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One value that breaks a rule. Whoever answers has a sentence for each rule."""

    where: str
    """The place in the whole, such as ``points.3.unit``."""
    rule: str
    params: Mapping[str, Any] = field(default_factory=dict)
    """What the rule's sentence names."""

    def within(self, part: str) -> Fault:
        """The same fault, seen from a whole that the place is in."""
        return replace(self, where=f"{part}.{self.where}" if self.where else part)
