"""The directory in memory: what topics mean, filled with one query per batch for what it lacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Protocol

from traksense.contracts import topics
from traksense.contracts.topics import DeviceTopic, GatewayTopic
from traksense.domain.directory import Device

TTL_S: Final = 300.0
"""How long an entry serves before it is read again."""
DOUBT_AFTER_S: Final = 5.0
"""Age from which an entry that lacks a name is read again, since the point may be new."""
MAX_ENTRIES: Final = 50_000
"""Topics kept in memory; a container that has seen more starts afresh."""

DeviceKey = tuple[str, str, str]
"""Tenant, site and device, as in the topic; an empty site stands for any."""


class DirectoryLoader(Protocol):
    """Where the directory reads what it lacks."""

    def load(
        self, devices: Collection[DeviceKey], macs: Collection[str]
    ) -> tuple[Mapping[DeviceKey, Device], Mapping[str, Device]]:
        """The devices of these names and the gateways of these MACs, as far as there are any.

        Raises DatabaseAway.
        """


class Directory:
    """Topic to device. What is unknown is asked for again with each batch: it may be new."""

    def __init__(
        self, loader: DirectoryLoader, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._loader = loader
        self._clock = clock
        self._entries: dict[str, tuple[Device, float]] = {}

    def find(self, topic: str) -> Device | None:
        """The device of a topic that ``refresh`` was asked for; None when there is none."""
        entry = self._entries.get(topic)
        return None if entry is None else entry[0]

    def refresh(self, wanted: Iterable[str]) -> None:
        """Read those of the topics that are missing or too old. Raises DatabaseAway."""
        now = self._clock()
        entries = self._entries
        lacking = []
        for topic in set(wanted):
            entry = entries.get(topic)
            if entry is None or now - entry[1] > TTL_S:
                lacking.append(topic)
        self._load(lacking, now)

    def doubt(self, topics_in_doubt: Iterable[str]) -> bool:
        """Read topics again whose device lacked a name, unless that was done a moment ago.

        Whether anything was read. Raises DatabaseAway.
        """
        now = self._clock()
        lacking = [
            topic
            for topic in set(topics_in_doubt)
            if topic in self._entries and now - self._entries[topic][1] > DOUBT_AFTER_S
        ]
        self._load(lacking, now)
        return bool(lacking)

    def _load(self, lacking: list[str], now: float) -> None:
        keys: dict[str, DeviceKey] = {}
        macs: dict[str, str] = {}
        for topic in lacking:
            try:
                parsed = topics.parse(topic)
            except topics.TopicError:
                continue
            if isinstance(parsed, DeviceTopic):
                keys[topic] = (parsed.tenant, parsed.site, parsed.device)
            elif isinstance(parsed, GatewayTopic):
                macs[topic] = parsed.mac
            else:
                self._add_thing(keys, topic, parsed.client_id)
        if not keys and not macs:
            return
        by_key, by_mac = self._loader.load(set(keys.values()), set(macs.values()))
        if len(self._entries) + len(lacking) > MAX_ENTRIES:
            self._entries.clear()
        for topic in lacking:
            device = by_key.get(keys[topic]) if topic in keys else by_mac.get(macs.get(topic, ""))
            if device is None:
                self._entries.pop(topic, None)
            else:
                self._entries[topic] = (device, now)

    @staticmethod
    def _add_thing(keys: dict[str, DeviceKey], topic: str, client_id: str) -> None:
        try:
            tenant, device = topics.split_thing_name(client_id)
        except topics.TopicError:
            return  # a client that is no device of ours
        keys[topic] = (tenant, "", device)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
