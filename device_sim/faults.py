"""What goes wrong in the field, on purpose: late, repeated, shuffled and broken messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from .tally import Kind

SHARE: Final = 0.05
"""Share of the messages that each kind of fault befalls."""
LATE_S: Final = (600.0, 6 * 3600.0)
"""How late a late message is: well within the raw retention."""
HELD: Final = 8
"""Messages that are gathered before they go out in another order."""
DROP_EVERY_S: Final = 10.0
"""Mean time between dropped connections of a fleet."""
DROP_S: Final = (0.5, 4.0)
"""How long a dropped connection stays away before it is tried again."""


class Fault(StrEnum):
    """Kinds of fault, as ``--faults`` names them."""

    LATE = "late"
    DUPLICATE = "duplicate"
    OUT_OF_ORDER = "out-of-order"
    GARBAGE = "garbage"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A payload about to be published."""

    payload: bytes
    kind: Kind = Kind.TELEMETRY
    readings: int = 0


class FaultInjector:
    """Faults of one device, drawn from its own generator: equal seeds, equal faults."""

    def __init__(self, faults: Iterable[Fault], random: Random) -> None:
        self._faults = frozenset(faults)
        self._random = random
        self._held: list[Outgoing] = []
        self._gathering = False

    def lateness(self) -> float:
        """Seconds that the next message is to lie in the past; mostly 0."""
        return self._random.uniform(*LATE_S) if self._strikes(Fault.LATE) else 0.0

    def spread(self, message: Outgoing) -> list[Outgoing]:
        """What goes out now instead of ``message``: it, more than it, or nothing yet."""
        if not self._faults:
            return [message]
        out = [message]
        if self._strikes(Fault.DUPLICATE):
            out.append(message)
        if self._gathering or self._strikes(Fault.OUT_OF_ORDER):
            self._gathering = True
            self._held.extend(out)
            out = self.flush() if len(self._held) >= HELD else []
        if self._strikes(Fault.GARBAGE):
            out.append(Outgoing(garbage(message.payload, self._random), Kind.GARBAGE))
        return out

    def flush(self) -> list[Outgoing]:
        """What was held back, in another order."""
        held, self._held, self._gathering = self._held, [], False
        self._random.shuffle(held)
        return held

    def _strikes(self, fault: Fault) -> bool:
        return fault in self._faults and self._random.random() < SHARE


def garbage(payload: bytes, random: Random) -> bytes:
    """A message that cannot be accepted: noise, a torn payload, or wrong types."""
    return random.choice(
        (
            lambda: random.randbytes(random.randint(1, 200)),
            lambda: payload[: random.randint(1, max(1, len(payload) - 1))],
            lambda: b'{"schema":"v1","ts":"yesterday","points":[{"name":"temp","v":1.0}]}',
            lambda: b'{"schema":"v1","ts":"2025-10-07T02:34:12Z","points":"none"}',
            lambda: b'{"schema":"v1","points":[{"name":"temp","t":"float","v":true}]}',
            lambda: b"[[[]]]",
            lambda: b'{"schema":"v1","ts":null,"points":[{"name":7,"t":"float","v":NaN}]}',
        )
    )()
