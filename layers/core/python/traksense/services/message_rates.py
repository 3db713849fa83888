"""Ingestion's guard against a device that sends without end: it starves nobody else.

A container counts in memory. Only of a device that comes near its rate (``rates.near``) are
messages counted in the database, by their marks, before they are decided about; so the bound
holds over all containers but for what each has not counted yet, and a batch without such a device
asks nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Final, Protocol
from uuid import UUID, uuid4

import msgspec

from traksense.domain import rates
from traksense.domain.directory import Device
from traksense.domain.messages import Message
from traksense.domain.rates import MINUTE_US, Arrival, Claim

MAX_COUNTED: Final = 100_000
"""Minutes of topics that a container counts in memory; beyond that the oldest are forgotten."""

_topic = attrgetter("topic")
_received_at_us = attrgetter("received_at_us")

_Key = tuple[str, int]
"""Topic, and minutes since the Unix epoch."""


class Settled(msgspec.Struct):
    """What became of some claims."""

    surplus: set[int] = set()
    """Places in the batch of what is refused."""
    refused: int = 0
    """How many of those are news."""
    over: int = 0
    """Devices that are flagged for a minute that they were not flagged for."""


class RateStore(Protocol):
    """Where messages of devices near their rate are counted."""

    def settle(
        self, claims: Sequence[Claim], devices: Sequence[Device], messages: Sequence[Message]
    ) -> Settled:
        """Count, flag and keep dead letters in one transaction. Raises DatabaseAway."""


class MessageRates:
    """Finds what is beyond the bound. One call at a time per instance."""

    def __init__(self, store: RateStore, platform_rate: int) -> None:
        """``platform_rate``: messages a minute of devices whose template says nothing."""
        self._store = store
        self._platform_rate = platform_rate
        self._container = uuid4()
        self._counted: dict[_Key, int] = {}
        self._settled: set[_Key] = set()
        self._in_hand: Mapping[_Key, int] = {}

    def screen(self, messages: Sequence[Message], find: Callable[[str], Device | None]) -> Settled:
        """Decide which of a batch are surplus. Raises DatabaseAway."""
        near: dict[_Key, tuple[Device, int]] = {}
        self._in_hand = _counts(messages)
        for key, count in self._in_hand.items():
            device = find(key[0])
            if device is not None:
                rate = device.max_messages_per_minute or self._platform_rate
                if self._counted.get(key, 0) + count >= rates.near(rate):
                    near[key] = device, rate
        if not near:
            return Settled()
        claims, devices = self._claims(messages, near)
        settled = self._store.settle(claims, devices, messages)
        self._settled.update(near)
        return settled

    def took(self, messages: Sequence[Message], failed: Collection[str]) -> None:
        """Remember what of the screened batch is done; what failed counts when it comes again."""
        counted, taken = self._counted, self._in_hand
        if failed:
            taken = _counts([message for message in messages if message.id not in failed])
        for key, count in taken.items():
            counted[key] = counted.get(key, 0) + count
        if len(counted) > MAX_COUNTED:
            newest = sorted(counted, key=lambda key: key[1])[-MAX_COUNTED // 2 :]
            self._counted = {key: counted[key] for key in newest}
            self._settled.intersection_update(newest)

    def _claims(
        self, messages: Sequence[Message], near: dict[_Key, tuple[Device, int]]
    ) -> tuple[list[Claim], list[Device]]:
        claims: dict[tuple[UUID, int], Claim] = {}
        devices: dict[tuple[UUID, int], Device] = {}
        for key, (device, rate) in near.items():
            of = device.device_id, key[1]
            claim = claims.setdefault(of, Claim(device.device_id, key[1] * MINUTE_US, rate, [], []))
            devices[of] = device
            if key not in self._settled:
                claim.before += self._marks_of_before(key)
        repeats: Counter[tuple[str, int, bytes]] = Counter()
        for place, message in enumerate(messages):
            key = message.topic, message.received_at_us // MINUTE_US
            if key in near:
                same = message.topic, message.received_at_us, message.payload
                arrival = Arrival(place, rates.mark(*same, repeats[same]), len(message.payload))
                repeats[same] += 1
                claims[near[key][0].device_id, key[1]].arrivals.append(arrival)
        order = sorted(claims)
        return [claims[each] for each in order], [devices[each] for each in order]

    def _marks_of_before(self, key: _Key) -> list[int]:
        """For messages that were only counted; the same ones each time they are asked for."""
        name = f"{self._container}\0{key[0]}"
        return [rates.mark(name, key[1], b"", n) for n in range(self._counted.get(key, 0))]


def _counts(messages: Sequence[Message]) -> Mapping[_Key, int]:
    """How many messages there are of each topic and minute: once for every batch, so quickly."""
    if not messages:
        return {}
    arrivals = list(map(_received_at_us, messages))
    minute = min(arrivals) // MINUTE_US
    if max(arrivals) // MINUTE_US == minute:
        return {(topic, minute): n for topic, n in Counter(map(_topic, messages)).items()}
    return Counter(zip(map(_topic, messages), [at // MINUTE_US for at in arrivals], strict=True))
