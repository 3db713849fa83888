"""The directory in memory: what topics mean, filled with one query per batch for what it lacks.

An entry serves for ``TTL_S``, and no longer than the epoch of the configuration stays the same: a
device that is moved to another site, renamed or given other points is known as that from the
batch on that follows the first transaction after the change. Where the configuration changes all
the time, as in an import, entries are read again now and then, so that it takes a twentieth of the
time at most. A device that is removed is noticed at the next write. Readings under a topic that
nobody has are asked for with every batch, because the device may be new, in one query whatever
their number, and nothing is kept of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple, Protocol

from traksense.contracts import topics
from traksense.contracts.topics import DeviceTopic, GatewayTopic
from traksense.domain.directory import Device

TTL_S: Final = 300.0
"""How long an entry serves before it is read again."""
DOUBT_AFTER_S: Final = 5.0
"""Age from which an entry that lacks a name is read again, since the point may be new."""
MAX_DOUBT_AFTER_S: Final = 60.0
"""The same for a device that goes on using a name it has not: each time in vain doubles it."""
REREAD_SHARE: Final = 0.05
"""Most of its time that goes into reading entries again because the configuration changed."""
MAX_REREAD_PAUSE_S: Final = 60.0
"""How long a change may wait at most for that."""
MAX_ENTRIES: Final = 50_000
"""Topics kept in memory; past that, only those of the batch in hand are."""

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


class _Entry(NamedTuple):
    device: Device
    read_at: float
    doubt_after: float
    epoch: int | None


class Directory:
    """Topic to device. What is unknown is asked for again with each batch: it may be new.

    One thread may call ``find`` and ``may_doubt`` while another reads anew: an entry is replaced
    whole, and a topic that is known stays known meanwhile.
    """

    def __init__(
        self,
        loader: DirectoryLoader,
        clock: Callable[[], float] = time.monotonic,
        max_entries: int = MAX_ENTRIES,
        epoch: Callable[[], int | None] = lambda: None,
    ) -> None:
        """``epoch``: that of the configuration, as the newest transaction saw it."""
        self._loader = loader
        self._clock = clock
        self._max_entries = max_entries
        self._epoch = epoch
        self._reread_after = 0.0
        self._entries: dict[str, _Entry] = {}

    def find(self, topic: str) -> Device | None:
        """The device of a topic that ``refresh`` was asked for; None when there is none."""
        entry = self._entries.get(topic)
        return None if entry is None else entry.device

    def refresh(self, wanted: Iterable[str]) -> None:
        """Read those of the topics that are missing or too old. Raises DatabaseAway."""
        now = self._clock()
        entries = self._entries
        wanted = set(wanted)
        epoch = self._epoch()
        lacking, outdated = [], []
        for topic in wanted:
            entry = entries.get(topic)
            if entry is None or now - entry.read_at > TTL_S:
                lacking.append(topic)
            elif entry.epoch != epoch:
                outdated.append(topic)
        if outdated and now >= self._reread_after:
            self._load(lacking + outdated, now)
            ended = self._clock()
            pause = min((ended - now) * (1 / REREAD_SHARE - 1), MAX_REREAD_PAUSE_S)
            self._reread_after = ended + pause
        else:
            self._load(lacking, now)
        if len(self._entries) > self._max_entries:
            # What this batch needs stays, however much that is.
            self._entries = {
                topic: entry for topic, entry in self._entries.items() if topic in wanted
            }

    def may_doubt(self, topics_in_doubt: Iterable[str]) -> list[str]:
        """Those of the topics that were not read a moment ago."""
        now = self._clock()
        return [
            topic
            for topic in topics_in_doubt
            if (entry := self._entries.get(topic)) is not None
            and now - entry.read_at > entry.doubt_after
        ]

    def doubt(self, topics_in_doubt: Iterable[str]) -> bool:
        """Read topics again whose device lacked a name, unless that was done a moment ago.

        Whether any device is another than before. Raises DatabaseAway.
        """
        return self._load(self.may_doubt(topics_in_doubt), self._clock())

    def reread(self, outdated: Iterable[str]) -> None:
        """Read topics anew, however fresh they are. Raises DatabaseAway."""
        self._load(list(set(outdated)), self._clock())

    def _load(self, lacking: list[str], now: float) -> bool:
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
            return False
        by_key, by_mac = self._loader.load(set(keys.values()), set(macs.values()))
        epoch = self._epoch()  # as the transaction saw it that has just read them
        changed = False
        for topic in lacking:
            device = by_key.get(keys[topic]) if topic in keys else by_mac.get(macs.get(topic, ""))
            known = self._entries.get(topic)
            if device is None:
                self._entries.pop(topic, None)
                changed = changed or known is not None
            elif known is None or known.device != device:
                self._entries[topic] = _Entry(device, now, DOUBT_AFTER_S, epoch)
                changed = True
            else:
                patience = min(2 * known.doubt_after, MAX_DOUBT_AFTER_S)
                self._entries[topic] = _Entry(device, now, patience, epoch)
        return changed

    @staticmethod
    def _add_thing(keys: dict[str, DeviceKey], topic: str, client_id: str) -> None:
        try:
            tenant, device = topics.split_thing_name(client_id)
        except topics.TopicError:
            return  # a client that is no device of ours
        keys[topic] = (tenant, "", device)

    def clear(self) -> None:
        """Forget everything. Only between batches: a batch in hand would find nobody."""
        self._entries = {}
