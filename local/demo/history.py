"""Two weeks of history for the demo's simulated devices: ``python -m local.demo.history``.

A background child of the platform. The simulator's own models make the messages, one a minute,
and they go through the real ingest handler in this process, as the events that SQS would hand it:
the newest day first, so that charts fill from the right. Killed and started again it goes on;
what it repeats is already there by its key. It works at most half of the time and yields its
processor to everybody else, so that live readings do not wait for it.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from zlib import crc32

from device_sim.endpoints import Device, EndpointsError
from device_sim.endpoints import load as load_endpoints
from device_sim.history import telemetry_topic
from device_sim.models import Model, build
from local import child
from local.bridge.deliveries import Delivery
from local.bridge.event import failed_ids, sqs_event
from local.bridge.queue import Message
from local.demo.catalogue import load as load_catalogue
from local.demo.progress import DAY_S, MINUTE_S, Progress, Span, days_of
from local.errors import StartupError
from local.handlers import Handler, load_handler
from local.home import Home
from local.lambda_context import LambdaContext
from local.settings import LocalSettings
from traksense.contracts import functions, queues, rules
from traksense.db.connection import Database
from traksense.db.queries import load as load_queries
from traksense.domain.errors import TrakSenseError
from traksense.settings.function import FunctionSettings


class Stop(Protocol):
    """Whether to end, such as ``local.child.StopRequest``."""

    def __bool__(self) -> bool:
        """Whether the end was requested."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is requested; False when the time ran out before."""


MARGIN_S: Final = 3600
"""Distance kept from the raw retention's edge, which moves on while this runs."""
WINDOW_S: Final = 2 * 3600
"""How much time goes into one event: about two thousand messages of the demo's fleet."""
NICENESS: Final = 10
REPORT_EVERY_PERCENT: Final = 10
_FIRST_DELAY_S: Final = 1.0
_LONGEST_DELAY_S: Final = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A simulated device, ready to be asked about any instant."""

    topic: str
    client_id: str
    model: Model
    second: int
    """The second of the minute at which it reports: no fleet speaks with one voice."""

    @classmethod
    def of(cls, device: Device) -> Source:
        """Raises EndpointsError for a device that has no model."""
        model = build(device)
        topic = telemetry_topic(device, model)
        return cls(topic, device.thing_name, model, crc32(topic.encode()) % MINUTE_S)


def messages(sources: Sequence[Source], span: Span) -> Iterator[Message]:
    """What the fleet sent in a span of full minutes, each message as it stood in the queue.

    A message arrived when it was made, so that what the platform knows of a device's state is
    not moved by its past.
    """
    number = 0
    for minute in range(span.start, span.end, MINUTE_S):
        for source in sources:
            ts = minute + source.second
            for payload in source.model.payloads(float(ts)):
                body = rules.project(payload, source.topic, source.client_id, ts * 1000)
                yield Message(f"history-{span.start}-{number}", body, ts * 1000, Delivery(0, 0))
                number += 1


class Backfill:
    """Stores the history day by day until it is done or told to stop."""

    def __init__(
        self,
        sources: Sequence[Source],
        handler: Handler,
        progress: Progress,
        retention_s: int,
        stop: Stop,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives Unix seconds, ``timer`` seconds that only ever grow."""
        self._sources = sources
        self._handler = handler
        self._progress = progress
        self._kept_s = retention_s - MARGIN_S
        self._stop = stop
        self._clock = clock
        self._timer = timer
        self._reported = -1

    def run(self) -> bool:
        """Whether the history is whole; False when it was stopped before."""
        progress = self._progress
        if progress.finished:
            return True
        since = progress.until - self._kept_s
        total = self._kept_s
        stored = 0
        for day, span in days_of(since, progress.until):
            if day not in progress.days:
                for window in _windows(span):
                    if not self._store(window):
                        return False
                    self._report(stored + span.end - window.start, total)
                progress.done(day)
            stored += span.length
            self._report(stored, total)
        progress.finish()
        return True

    def _store(self, window: Span) -> bool:
        """Hand one event to the handler until it has taken all of it; False: told to stop."""
        # The retention's edge moves on, the more so when the platform was off for a while.
        oldest = int(self._clock()) - self._kept_s
        first_minute = -(-oldest // MINUTE_S) * MINUTE_S
        started = self._timer()
        batch = list(messages(self._sources, Span(max(window.start, first_minute), window.end)))
        delay = _FIRST_DELAY_S
        while batch:
            if self._stop:
                return False
            for message in batch:
                message.receives += 1
            event = sqs_event(queues.INGEST.name, batch)
            failed = failed_ids(self._handler(event, _context()), [m.message_id for m in batch])
            if not failed:
                break
            _log.warning(
                "%d messages of the history came back; again in %.0f s", len(failed), delay
            )
            batch = [message for message in batch if message.message_id in failed]
            self._stop.wait(delay)
            delay = min(_LONGEST_DELAY_S, delay * 2)
        self._stop.wait(self._timer() - started)
        return True

    def _report(self, stored: int, total: int) -> None:
        percent = stored * 100 // total // REPORT_EVERY_PERCENT * REPORT_EVERY_PERCENT
        if percent > self._reported:
            self._reported = percent
            _log.info("history %d %%", percent, extra={"progress": percent})


def _windows(span: Span) -> Iterator[Span]:
    """A day's windows, the newest first."""
    for start in reversed(range(span.start, span.end, WINDOW_S)):
        yield Span(start, min(start + WINDOW_S, span.end))


def demo_sources(endpoints: Path) -> tuple[Source, ...]:
    """The simulated devices of the demo, as ``endpoints.json`` describes them.

    Others that it may list, made by a simulator for a test of its own, have no past. Raises
    EndpointsError.
    """
    wanted = {(t.slug, d.name) for t, d in load_catalogue().devices() if d.simulated}
    return tuple(
        Source.of(device)
        for device in load_endpoints(endpoints).fleet()
        if (device.tenant, device.name) in wanted
    )


def _make_partitions(database_url: str, span: Span) -> None:
    """The day partitions of the past: those made at each start are today's and later ones."""
    database = Database(database_url, application_name="traksense-history")
    try:
        with database.transaction("traksense_ingest") as cursor:
            first, last = (datetime.fromtimestamp(ts, UTC).date() for ts in (span.start, span.end))
            cursor.execute(load_queries("ingest")["ensure_partitions"],
                           {"first": first, "last": last})  # fmt: skip
    finally:
        database.close()


def _context() -> LambdaContext:
    return LambdaContext(functions.INGEST.name, functions.INGEST.timeout_s)


def _main(stop: child.StopRequest) -> None:
    try:
        home = Home(LocalSettings.from_environment(os.environ).home)
        progress = Progress.resume(home.run / "history.json", time.time())
        child.ready()
        if not progress.finished:
            _fill(home, progress, stop)
    except (TrakSenseError, StartupError, EndpointsError, OSError) as error:
        _log.error("the history stopped: %s", error)
        sys.exit(1)


def _fill(home: Home, progress: Progress, stop: child.StopRequest) -> None:
    # Hours and days between arrival and commit are what this is about: they must not be
    # counted as the lag of ingestion.
    os.environ["TRAKSENSE_METRICS"] = "none"
    settings = FunctionSettings.from_environment(os.environ)
    os.nice(NICENESS)
    sources = demo_sources(home.endpoints_file)
    retention_s = settings.raw_retention_days * DAY_S
    _make_partitions(settings.database_url, Span(progress.until - retention_s, progress.until))
    handler = load_handler(functions.INGEST)
    if Backfill(sources, handler, progress, retention_s, stop).run():
        _log.info("the history is complete")


if __name__ == "__main__":
    child.run("history", _main)
