"""The directory in memory: what it asks for, how often, and what it never forgets in mid-batch."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.support import fakes
from tests.support.fakes import InMemoryPlatform
from tests.support.fleet import GATEWAY_MAC, telem
from traksense.domain.directory import Point
from traksense.domain.errors import DatabaseAway
from traksense.services.directory import MAX_REREAD_PAUSE_S, TTL_S, Directory

TOPIC, OTHER = telem("acme", "chiller-1"), telem("acme", "chiller-2")


@pytest.fixture
def platform() -> InMemoryPlatform:
    return fakes.platform()


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


@pytest.fixture
def directory(platform: InMemoryPlatform, clock: list[float]) -> Directory:
    return Directory(platform, lambda: clock[0])


def give_point(platform: InMemoryPlatform, thing: str) -> None:
    device = platform.devices[thing]
    points = {**device.points, "novel": Point(999, "num", None, None, True)}
    platform.devices[thing] = msgspec.structs.replace(device, points=points)


def test_what_is_known_is_asked_for_once(
    directory: Directory, platform: InMemoryPlatform, clock: list[float]
) -> None:
    for _ in range(3):
        directory.refresh([TOPIC, TOPIC, OTHER])
    assert platform.loads == 1
    clock[0] += TTL_S + 1
    directory.refresh([TOPIC])
    assert platform.loads == 2


def test_a_flood_of_unknown_topics_is_one_query_a_batch_and_leaves_nothing_behind(
    directory: Directory, platform: InMemoryPlatform
) -> None:
    flood = [telem("acme", f"ghost-{n}") for n in range(5000)]
    for _ in range(2):
        directory.refresh([*flood, TOPIC])
    assert platform.loads == 2
    assert directory.find(flood[0]) is None
    assert len(directory._entries) == 1


def test_topics_that_are_none_are_not_asked_for(
    directory: Directory, platform: InMemoryPlatform
) -> None:
    directory.refresh(["", "elsewhere", "$aws/events/presence/connected/bridge", "a/b/c/d/e"])
    assert platform.loads == 0


def test_every_form_of_a_topic_finds_its_device(directory: Directory) -> None:
    gateway = f"tds_new/devices/{GATEWAY_MAC.upper()}/telemetry"
    presence = "$aws/events/presence/connected/acme_chiller-1"
    directory.refresh([TOPIC, gateway, presence, telem("globex", "chiller-1")])
    names = [directory.find(topic) for topic in (TOPIC, gateway, presence)]
    assert [each and each.name for each in names] == ["chiller-1", "tds-1", "chiller-1"]
    assert directory.find(telem("globex", "chiller-1")) != directory.find(TOPIC)


def test_a_full_directory_forgets_no_topic_of_the_batch_in_hand(
    platform: InMemoryPlatform,
) -> None:
    directory = Directory(platform, max_entries=2)
    directory.refresh([TOPIC, OTHER])
    # TOPIC is known and not asked for again, the globex ones push the directory over its limit.
    batch = [TOPIC, telem("globex", "chiller-1"), telem("globex", "chiller-2")]
    directory.refresh(batch)
    assert all(directory.find(topic) for topic in batch)
    assert directory.find(OTHER) is None


def test_a_device_removed_is_gone_after_its_time_and_its_neighbours_stay(
    directory: Directory, platform: InMemoryPlatform
) -> None:
    directory.refresh([TOPIC, OTHER])
    platform.remove("acme_chiller-1")
    directory.reread([TOPIC])
    assert directory.find(TOPIC) is None
    assert directory.find(OTHER) is not None


def test_a_doubt_is_answered_by_whether_anything_is_new(
    directory: Directory, platform: InMemoryPlatform, clock: list[float]
) -> None:
    directory.refresh([TOPIC])
    assert not directory.doubt([TOPIC]), "read a moment ago"
    assert platform.loads == 1
    clock[0] += 6
    assert not directory.doubt([TOPIC]), "asked, and nothing is new"
    assert platform.loads == 2
    give_point(platform, "acme_chiller-1")
    clock[0] += 11
    assert directory.doubt([TOPIC])


def test_who_goes_on_using_a_name_it_has_not_is_asked_for_less_and_less(
    directory: Directory, platform: InMemoryPlatform, clock: list[float]
) -> None:
    directory.refresh([TOPIC])
    for _ in range(240):
        clock[0] += 1
        directory.doubt([TOPIC])
    assert platform.loads <= 9
    give_point(platform, "acme_chiller-1")
    clock[0] += 61
    assert directory.doubt([TOPIC]), "a minute at most"


def test_a_database_that_is_away_leaves_what_is_known(
    directory: Directory, platform: InMemoryPlatform, clock: list[float]
) -> None:
    directory.refresh([TOPIC])
    platform.is_away = True
    directory.refresh([TOPIC])
    with pytest.raises(DatabaseAway):
        directory.refresh([OTHER])
    with pytest.raises(DatabaseAway):
        directory.reread([TOPIC])
    assert directory.find(TOPIC) is not None


class Epoch:
    """A database's epoch as the newest transaction saw it; each load takes some time."""

    def __init__(self, platform: InMemoryPlatform, clock: list[float], load_s: float = 0.0) -> None:
        self.now, self.seen = 1, 1
        self._platform, self._clock, self._load_s = platform, clock, load_s

    def load(self, *wanted: Any) -> Any:
        self.seen = self.now
        self._clock[0] += self._load_s
        return self._platform.load(*wanted)

    def directory(self) -> Directory:
        return Directory(self, lambda: self._clock[0], epoch=lambda: self.seen)


def test_a_change_of_the_configuration_is_known_in_the_next_batch(
    platform: InMemoryPlatform, clock: list[float]
) -> None:
    epoch = Epoch(platform, clock)
    directory = epoch.directory()
    directory.refresh([TOPIC, OTHER])
    give_point(platform, "acme_chiller-1")
    epoch.now = epoch.seen = 2  # as a slice's transaction saw it
    directory.refresh([TOPIC])
    device = directory.find(TOPIC)
    assert device is not None
    assert ("novel" in device.points, platform.loads) == (True, 2)
    directory.refresh([TOPIC])
    assert platform.loads == 2
    directory.refresh([TOPIC, OTHER])
    assert platform.loads == 3


def test_an_import_that_changes_things_all_the_time_costs_a_twentieth_of_the_time(
    platform: InMemoryPlatform, clock: list[float]
) -> None:
    epoch = Epoch(platform, clock, load_s=0.5)
    directory = epoch.directory()
    directory.refresh([TOPIC])
    started, before = clock[0], platform.loads
    while clock[0] < started + 100:
        epoch.now += 1
        epoch.seen = epoch.now
        directory.refresh([TOPIC])
        clock[0] += 1
    assert 9 <= platform.loads - before <= 11


def test_a_change_never_waits_longer_than_a_minute_however_slow_the_database_is(
    platform: InMemoryPlatform, clock: list[float]
) -> None:
    epoch = Epoch(platform, clock, load_s=20.0)
    directory = epoch.directory()
    directory.refresh([TOPIC])
    for now in (2, 3):
        epoch.now = epoch.seen = now
        directory.refresh([TOPIC])
    assert platform.loads == 2
    clock[0] += MAX_REREAD_PAUSE_S
    directory.refresh([TOPIC])
    assert platform.loads == 3


def test_what_is_missing_is_read_at_once_while_a_change_waits(
    platform: InMemoryPlatform, clock: list[float]
) -> None:
    epoch = Epoch(platform, clock, load_s=1.0)
    directory = epoch.directory()
    directory.refresh([TOPIC])
    for now in (2, 3):
        epoch.now = epoch.seen = now
        directory.refresh([TOPIC])
    directory.refresh([TOPIC, OTHER])
    assert directory.find(OTHER) is not None
