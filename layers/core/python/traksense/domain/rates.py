"""How many messages a device may send in a minute, and which are beyond that. Pure.

A device over its rate is flagged; what comes beyond ``BOUND`` times its rate in one minute is
surplus. The minute is that of the arrival at the broker, so that a backlog of ours, taken in at
once after an outage, counts in the minutes that it came in. A message is known by its mark, so
that one that is delivered again counts once, whichever container takes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Final
from uuid import UUID

import msgspec

MINUTE_US: Final = 60_000_000
BOUND: Final = 10
"""Times the rate that a device may send before its messages are refused."""
KEPT_IN_HOUR: Final = 100
"""Surplus messages of a device's hour that are dead letters of their own; the rest is counted."""
KEPT_BYTES_IN_HOUR: Final = 256 * 1024


class Arrival(msgspec.Struct, frozen=True):
    """A message of a claim."""

    place: int
    """Where in its batch it stands."""
    mark: int
    size: int


class Claim(msgspec.Struct):
    """What one batch has of a device's minute."""

    device_id: UUID
    minute_us: int
    rate: int
    before: list[int]
    """Marks for what this container took of the minute before it came near the rate."""
    arrivals: list[Arrival]


class Verdict(msgspec.Struct):
    """What becomes of a claim."""

    admitted: list[int] = []
    """Marks that are new."""
    kept: list[Arrival] = []
    """Surplus that is new and gets dead letters of its own."""
    counted: list[Arrival] = []
    """Surplus that is only counted."""
    surplus: list[int] = []
    """Places of all that is refused, repeats included."""
    is_over: bool = False
    """Whether the device sent more than its rate in this minute, so far."""


def near(rate: int) -> int:
    """From how many messages of a minute in one container on they are counted in the database.

    A tenth of the rate, or half of it where that is few: what containers have not counted yet is
    at most so much each.
    """
    return max(1, rate // 10, min(60, rate // 2))


def mark(topic: str, received_at_us: int, payload: bytes, repeat: int) -> int:
    """A message's mark: 32 bits, signed. ``repeat`` tells equal messages of one batch apart."""
    digest = hashlib.blake2b(payload, digest_size=4, key=hashlib.sha256(
        f"{topic}\0{received_at_us}\0{repeat}".encode("utf-8", "replace")
    ).digest())  # fmt: skip
    return int.from_bytes(digest.digest(), "big", signed=True)


def judge(
    claim: Claim,
    admitted: Collection[int],
    kept: Collection[int],
    kept_in_hour: int,
    kept_bytes_in_hour: int,
) -> Verdict:
    """Decide about a claim, given what is counted of its minute and kept of its hour already."""
    known, known_kept, verdict = set(admitted), set(kept), Verdict()
    most = BOUND * claim.rate
    for each in claim.before:
        if each not in known:
            known.add(each)
            verdict.admitted.append(each)
    for arrival in claim.arrivals:
        if arrival.mark in known:
            continue
        if arrival.mark in known_kept:
            verdict.surplus.append(arrival.place)
        elif len(known) < most:
            known.add(arrival.mark)
            verdict.admitted.append(arrival.mark)
        else:
            verdict.surplus.append(arrival.place)
            if (
                kept_in_hour < KEPT_IN_HOUR
                and kept_bytes_in_hour + arrival.size <= KEPT_BYTES_IN_HOUR
            ):
                kept_in_hour += 1
                kept_bytes_in_hour += arrival.size
                known_kept.add(arrival.mark)
                verdict.kept.append(arrival)
            else:
                verdict.counted.append(arrival)
    verdict.is_over = len(known) > claim.rate or bool(verdict.surplus)
    return verdict
