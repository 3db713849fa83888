"""Ingestion: a batch of messages in, one short transaction per slice out.

Delivery is at least once and the key (point, ts) makes a repeat a no-op, so a message that is
given back is simply taken again. While the database works on one slice the next is decoded:
the two halves of the work run side by side in one container with one connection.
"""

from __future__ import annotations

import contextvars
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from operator import attrgetter
from typing import Final, ParamSpec, Protocol, TypeVar

import msgspec

from traksense.domain.errors import PermanentError, RetryableError
from traksense.domain.messages import Message
from traksense.domain.readings import Rejection
from traksense.domain.reasons import Reason
from traksense.services.acceptance import Acceptance, Accepted
from traksense.services.directory import Directory
from traksense.services.message_rates import MessageRates

SLICE: Final = 2000
"""Messages per transaction: enough rows to be cheap, few enough that decoding overlaps writing."""
_OUTSTANDING: Final = 2
_MAX_FAILED_SLICES: Final = 2
"""Slices that may fail before the rest of the batch goes back untried: each may have waited for
a time limit, and their sum must stay below the function's own."""

_by_topic = attrgetter("topic")
_log = logging.getLogger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")


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
    over_rate: int = 0
    """Minutes in which devices are now known to have sent more than they may."""
    reasons: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, other: IngestResult) -> None:
        """Take in what became of a part of the batch."""
        self.failed.extend(other.failed)
        self.stored += other.stored
        self.duplicates += other.duplicates
        self.came_online += other.came_online
        self.over_rate += other.over_rate
        self.reasons.update(other.reasons)


class IngestService:
    """Takes batches of messages. One call at a time per instance.

    ``release`` is called by the writing thread as the last thing it does (see ``close``).
    """

    def __init__(
        self,
        directory: Directory,
        acceptance: Acceptance,
        store: ReadingStore,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        slice_size: int = SLICE,
        release: Callable[[], None] | None = None,
        rates: MessageRates | None = None,
    ) -> None:
        """``rates`` None: a device may send as much as it likes."""
        self._directory = directory
        self._acceptance = acceptance
        self._store = store
        self._now_us = now_us
        self._slice_size = slice_size
        self._release = release
        self._rates = rates
        # All that talks to the database runs in this one thread: one connection per container.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest-writer")

    def ingest(self, messages: Sequence[Message]) -> IngestResult:
        """Store what can be stored, keep the rest as dead letters, name what must come again.

        What is neither (a fault of the program or of the schema) passes as it is, after every
        transaction begun has ended: the whole batch goes back.
        """
        result = IngestResult()
        try:
            self._submit(self._directory.refresh, [each.topic for each in messages]).result()
            admitted = self._admitted(messages, result)
        except RetryableError as error:
            self._give_back(result, messages, error)
            return result
        self._ingest(admitted, result)
        if self._rates is not None:
            self._rates.took(messages, set(result.failed))
        return result

    def _admitted(self, messages: Sequence[Message], result: IngestResult) -> Sequence[Message]:
        """The messages without those that are beyond what their device may send."""
        if self._rates is None:
            return messages
        settled = self._submit(self._rates.screen, messages, self._directory.find).result()
        if settled.refused:
            result.reasons[Reason.RATE] += settled.refused
        result.over_rate += settled.over
        if not settled.surplus:
            return messages
        return [each for place, each in enumerate(messages) if place not in settled.surplus]

    def _ingest(self, messages: Sequence[Message], result: IngestResult) -> None:
        running: deque[tuple[Sequence[Message], Future[IngestResult]]] = deque()
        failed_slices = 0
        try:
            for part, rest in self._slices(messages):
                try:
                    accepted = self._accept(part)
                except RetryableError as error:
                    self._give_back(result, part, error)
                    failed_slices += 1
                else:
                    running.append((part, self._submit(self._write, part, accepted)))
                    if len(running) >= _OUTSTANDING:
                        failed_slices += not self._collect(result, *running.popleft())
                if failed_slices >= _MAX_FAILED_SLICES:
                    result.failed.extend(message.id for message in rest)
                    break
            while running:
                self._collect(result, *running.popleft())
        finally:
            # Nothing goes on behind the caller's back, least of all in a container that may be
            # frozen in the middle of a transaction.
            wait([future for _, future in running])

    def _submit(
        self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Have the writing thread do it, its log lines under the caller's request id."""
        context = contextvars.copy_context()
        return self._writer.submit(lambda: context.run(function, *args, **kwargs))

    def _slices(
        self, messages: Sequence[Message]
    ) -> Iterator[tuple[Sequence[Message], Sequence[Message]]]:
        """Slices of the batch, each with what is left after it.

        A device's messages go together, in their order, so that rows which are neighbours in the
        index come one after the other: a little cheaper for the database where a batch has many of
        a device. The odd slice is first: the sooner it is decoded, the sooner that has work.
        """
        messages = sorted(messages, key=_by_topic)
        size, start = self._slice_size, 0
        for end in range((len(messages) - 1) % size + 1, len(messages) + size, size):
            yield messages[start:end], messages[end:]
            start = end

    def _accept(self, part: Sequence[Message]) -> Accepted:
        accepted = self._decide(part)
        if not accepted.unknown:
            return accepted
        doubtful = self._directory.may_doubt(accepted.unknown)
        if doubtful and self._submit(self._directory.doubt, doubtful).result():
            accepted = self._decide(part)
        return accepted

    def _decide(self, part: Sequence[Message]) -> Accepted:
        accepted = Accepted()
        now_us = self._now_us()
        take, find = self._acceptance.take, self._directory.find
        for message in part:
            take(accepted, message, find(message.topic), now_us)
        return accepted

    def _write(self, part: Sequence[Message], accepted: Accepted) -> IngestResult:
        """Write a slice. Raises RetryableError where all of it has to come again."""
        try:
            return _done(self._store.write(accepted), accepted)
        except DirectoryOutdated as error:
            _log.info("%s: reading the directory anew", error)
            self._directory.reread(message.topic for message in part)
            accepted = self._decide(part)
        except RowsRefused as error:
            return self._isolate(part, error)
        try:
            return _done(self._store.write(accepted), accepted)
        except RowsRefused as error:
            return self._isolate(part, error)

    def _isolate(self, part: Sequence[Message], error: RowsRefused) -> IngestResult:
        """Halve what the database refuses until the message at fault stands alone."""
        if len(part) == 1:
            return self._keep_refused(part[0], error)
        middle = len(part) // 2
        result = self._write(part[:middle], self._decide(part[:middle]))
        result.add(self._write(part[middle:], self._decide(part[middle:])))
        return result

    def _keep_refused(self, message: Message, error: RowsRefused) -> IngestResult:
        _log.error("the database refused a message on %s: %s", message.topic, error)
        alone = Accepted()
        rejection = Rejection(Reason.STORAGE_REFUSED, str(error))
        self._acceptance.refuse(alone, message, [rejection], self._directory.find(message.topic))
        try:
            return _done(self._store.write(alone), alone)
        except RowsRefused as again:
            # Its neighbours are stored; this one's last resort is the queue's own dead letters.
            _log.error("it cannot be kept as a dead letter either: %s", again)
            return IngestResult(failed=[message.id])

    def _collect(
        self, result: IngestResult, part: Sequence[Message], future: Future[IngestResult]
    ) -> bool:
        """Wait for a slice; whether it was written."""
        try:
            result.add(future.result())
        except RetryableError as error:
            self._give_back(result, part, error)
            return False
        return True

    def _give_back(
        self, result: IngestResult, part: Sequence[Message], error: RetryableError
    ) -> None:
        _log.warning("%d messages go back to the queue: %s", len(part), error)
        result.failed.extend(message.id for message in part)

    def close(self) -> None:
        """Give back what the writing thread holds (its connection), and end it."""
        if self._release is not None:
            self._submit(self._release).result()
        self._writer.shutdown()


def _done(written: Written, accepted: Accepted) -> IngestResult:
    return IngestResult(
        stored=written.stored,
        duplicates=written.duplicates + accepted.repeated,
        came_online=written.came_online,
        reasons=accepted.reasons,
    )
