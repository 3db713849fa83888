"""Dead letters put through again: their bytes are published to their topic, as the device did.

They take the very same way as a first message, so that what was stored already stays as it is, and
what is refused again is another occurrence of the same letter. A letter is never removed by it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Protocol
from uuid import UUID

from traksense.contracts.rules import RULES
from traksense.contracts.topics import Channel, channel_filter, presence_filter
from traksense.domain.errors import NotFound
from traksense.i18n.catalogue import text
from traksense.services.dead_letters import DeadLetterFilter
from traksense.services.publisher import (
    MAX_PAYLOAD_BYTES,
    Publisher,
    PublisherAway,
    PublishRefused,
)

MOST: Final = 100
"""Letters of one call."""
LONGEST_S: Final = 20.0
"""After which a call takes no further letter: a request ends after 29 s."""

# State and presence are ordered by arrival: an old one would pass for news.
_ORDERED: Final = frozenset({channel_filter(Channel.STATE), presence_filter()})
TOPICS: Final = tuple(
    "^" + re.escape(rule.topic_filter).replace(r"\+", "[^/]+") + "$"
    for rule in RULES
    if rule.topic_filter not in _ORDERED
)
"""Patterns of the topics that a rule takes and whose messages may come late."""
_TOPIC: Final = re.compile("|".join(TOPICS))

Outcome = Literal["published", "refused", "not_tried"]


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it goes out again."""

    id: int
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one letter."""

    id: int
    outcome: Outcome
    why: str | None
    """Key of the text that says why it was not published."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a call did."""

    items: Sequence[Replayed]
    more: bool
    """Whether the filter has further letters that were never put through again."""


class ReplayStore(Protocol):
    """Where dead letters are kept; only operators see them. Raises DatabaseAway."""

    def by_ids(self, tenant_id: UUID | None, ids: Sequence[int]) -> Sequence[Letter]:
        """These letters, oldest first, without those that are not there."""

    def waiting(self, wanted: DeadLetterFilter, limit: int) -> Sequence[Letter]:
        """Letters that can be put through again and never were, oldest first."""

    def mark(self, ids: Sequence[int], at: datetime) -> None:
        """Note that they were published again."""


class Replays:
    """Puts dead letters through again."""

    def __init__(
        self,
        store: ReplayStore,
        publisher: Publisher,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._now = now
        self._clock = clock

    def by_ids(self, tenant_id: UUID | None, ids: Sequence[int]) -> Replay:
        """These letters, also once more. Raises NotFound where one is not there: then none is.

        Raises PublisherAway where not one could be published.
        """
        wanted = list(dict.fromkeys(ids))
        letters = self._store.by_ids(tenant_id, wanted)
        if len(letters) < len(wanted):
            raise NotFound(text("dead_letter.not_found"))
        return Replay(self._publish(letters), more=False)

    def matching(self, wanted: DeadLetterFilter, limit: int) -> Replay:
        """Up to ``limit`` letters of a filter that were never put through again, oldest first.

        Raises PublisherAway where not one could be published.
        """
        found = self._store.waiting(wanted, limit + 1)
        return Replay(self._publish(found[:limit]), more=len(found) > limit)

    def _publish(self, letters: Sequence[Letter]) -> Sequence[Replayed]:
        until = self._clock() + LONGEST_S
        # Before the first of them arrives again, to the millisecond that arrivals are told in.
        began = self._now()
        began = began.replace(microsecond=began.microsecond // 1000 * 1000)
        items: list[Replayed] = []
        away: PublisherAway | None = None
        for letter in letters:
            why = _obstacle(letter)
            if why is not None:
                items.append(Replayed(letter.id, "refused", why))
            elif away is not None or self._clock() > until:
                items.append(Replayed(letter.id, "not_tried", "dead_letter.not_tried"))
            else:
                try:
                    self._publisher.publish(letter.topic, letter.payload)
                except PublisherAway as error:
                    away = error
                    items.append(Replayed(letter.id, "not_tried", "dead_letter.not_tried"))
                except PublishRefused:
                    items.append(Replayed(letter.id, "refused", "dead_letter.refused"))
                else:
                    items.append(Replayed(letter.id, "published", None))
        published = [item.id for item in items if item.outcome == "published"]
        if published:
            self._store.mark(published, began)
        elif away is not None:
            raise away
        return items


def _obstacle(letter: Letter) -> str | None:
    """Key of the text that says why a letter is not put through again; None: it is."""
    if _TOPIC.search(letter.topic) is None:
        return "dead_letter.topic"
    if len(letter.payload) > MAX_PAYLOAD_BYTES:
        return "dead_letter.too_large"
    return None
