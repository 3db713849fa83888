"""Ingestion: a batch of messages in, one short transaction per slice out.

Delivery is at least once and the key (point, ts) makes a repeat a no-op, so a message that is
given back is simply taken again. While the database works on one slice the next is decoded:
the two halves of the work run side by side in one container with one connection.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Protocol

import msgspec

from traksense.domain.errors import PermanentError, RetryableError
from traksense.domain.messages import Message
from traksense.domain.readings import Rejection
from traksense.domain.reasons import Reason
from traksense.services.acceptance import Acceptance, Accepted
from traksense.services.directory import Directory

SLICE: Final = 2000
"""Messages per transaction: enough rows to be cheap, few enough that decoding and writing overlap
(``make bench``: 500 cost a third of the rate, 5,000 leave nothing to overlap)."""
_OUTSTANDING: Final = 2

_log = logging.getLogger(__name__)


class RowsRefused(PermanentError):
    """The database will never take these rows as they are."""


class DirectoryOutdated(RetryableError):
    """Readings name devices that were removed since the directory in memory was filled."""


class Written(msgspec.Struct, frozen=True):
    """What a transaction did."""

    stored: int
    duplicates: int
    came_online: int


class ReadingStore(Protocol):
    """Where accepted readings go."""

    def write(self, accepted: Accepted) -> Written:
        """Everything of one slice in one transaction.

        Raises DatabaseAway when another try may succeed, RowsRefused when it never will, and
        DirectoryOutdated, with nothing written, when a device is not there any more.
        """


class IngestResult(msgspec.Struct):
    """What became of a batch."""

    failed: list[str] = []
    """Ids of the messages that have to come again."""
    stored: int = 0
    duplicates: int = 0
    came_online: int = 0
    reasons: Counter[str] = msgspec.field(default_factory=Counter)


class IngestService:
    """Takes batches of messages. One call at a time per instance."""

    def __init__(
        self,
        directory: Directory,
        acceptance: Acceptance,
        store: ReadingStore,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        slice_size: int = SLICE,
    ) -> None:
        self._directory = directory
        self._acceptance = acceptance
        self._store = store
        self._now_us = now_us
        self._slice_size = slice_size
        # All that talks to the database runs in this one thread: one connection per container.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest-writer")

    def ingest(self, messages: Sequence[Message]) -> IngestResult:
        """Store what can be stored, keep the rest as dead letters, name what must come again."""
        result = IngestResult()
        try:
            self._writer.submit(
                self._directory.refresh, [message.topic for message in messages]
            ).result()
        except RetryableError as error:
            _log.warning("directory not readable, batch goes back: %s", error)
            result.failed = [message.id for message in messages]
            return result
        running: deque[tuple[Sequence[Message], Future[tuple[Written, Accepted]]]] = deque()
        for start in range(0, len(messages), self._slice_size):
            part = messages[start : start + self._slice_size]
            try:
                accepted = self._accept(part)
            except RetryableError as error:
                self._give_back(result, part, error)
                continue
            running.append((part, self._writer.submit(self._write, part, accepted)))
            if len(running) >= _OUTSTANDING:
                self._collect(result, *running.popleft())
        while running:
            self._collect(result, *running.popleft())
        return result

    def _accept(self, part: Sequence[Message]) -> Accepted:
        accepted = self._decide(part)
        if (
            accepted.unknown
            and self._writer.submit(self._directory.doubt, accepted.unknown).result()
        ):
            accepted = self._decide(part)
        return accepted

    def _decide(self, part: Iterable[Message]) -> Accepted:
        accepted = Accepted()
        now_us = self._now_us()
        take, find = self._acceptance.take, self._directory.find
        for message in part:
            take(accepted, message, find(message.topic), now_us)
        return accepted

    def _write(self, part: Sequence[Message], accepted: Accepted) -> tuple[Written, Accepted]:
        """Write a slice. Where the database refuses it for good, halve it until the message
        at fault stands alone, and keep that one as a dead letter.
        """
        try:
            return self._store.write(accepted), accepted
        except DirectoryOutdated as error:
            _log.info("%s: reading the directory anew", error)
            self._directory.clear()
            self._directory.refresh(message.topic for message in part)
            accepted = self._decide(part)
            return self._store.write(accepted), accepted
        except RowsRefused as error:
            if len(part) == 1:
                _log.error("the database refused a message: %s", error)
                alone = Accepted()
                self._acceptance.refuse(
                    alone,
                    part[0],
                    [Rejection(Reason.STORAGE_REFUSED, str(error))],
                    self._directory.find(part[0].topic),
                )
                return self._store.write(alone), alone
        middle = len(part) // 2
        first, first_accepted = self._write(part[:middle], self._decide(part[:middle]))
        second, second_accepted = self._write(part[middle:], self._decide(part[middle:]))
        first_accepted.reasons.update(second_accepted.reasons)
        first_accepted.repeated += second_accepted.repeated
        return (
            Written(
                first.stored + second.stored,
                first.duplicates + second.duplicates,
                first.came_online + second.came_online,
            ),
            first_accepted,
        )

    def _collect(
        self,
        result: IngestResult,
        part: Sequence[Message],
        future: Future[tuple[Written, Accepted]],
    ) -> None:
        try:
            written, accepted = future.result()
        except RetryableError as error:
            self._give_back(result, part, error)
            return
        result.stored += written.stored
        result.duplicates += written.duplicates + accepted.repeated
        result.came_online += written.came_online
        result.reasons.update(accepted.reasons)

    def _give_back(
        self, result: IngestResult, part: Sequence[Message], error: RetryableError
    ) -> None:
        _log.warning("%d messages go back to the queue: %s", len(part), error)
        result.failed.extend(message.id for message in part)

    def close(self) -> None:
        """End the writer thread."""
        self._writer.shutdown()
