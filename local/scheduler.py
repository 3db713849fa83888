"""``python -m local.scheduler``: what EventBridge Scheduler does, on one machine.

One thread calls the functions one after another, so that a function never runs twice at once in
this process; a call that was due meanwhile comes late, and one that was missed is left out. Only
the monotonic clock counts: setting the wall clock moves nothing.
"""

from __future__ import annotations

import heapq
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Final

from functions.maintenance import handler as maintenance
from local import child
from local.aws.identifiers import REGION
from local.aws.settings import AwsSettings
from local.handlers import Handler, load_handler
from local.lambda_context import LambdaContext
from local.prometheus import PrometheusSink
from local.tombstones import FileTombstones
from traksense import bootstrap
from traksense.contracts.buckets import EXPORTS
from traksense.contracts.functions import FUNCTIONS, Function, function_of
from traksense.contracts.schedules import SCHEDULES, Schedule
from traksense.observability import log_context, metrics
from traksense.services.erasure import ErasedPlaces
from traksense.wiring.erasure import places

logger = logging.getLogger(__name__)

FIRST_RUN_S: Final = 2.0
"""Seconds from the start to the first run of all, when the platform is up."""
EMULATOR_S: Final = 60.0
"""Longest wait for the emulator; the supervisor gives up about then."""


class Timetable:
    """When which schedule is due. Times in seconds of a clock that only grows."""

    def __init__(self, schedules: Sequence[Schedule], now: float) -> None:
        self._due = [
            (now + FIRST_RUN_S, order, schedule) for order, schedule in enumerate(schedules)
        ]
        heapq.heapify(self._due)

    def wait_s(self, now: float) -> float | None:
        """Seconds until the next run; None where there is no schedule."""
        return max(0.0, self._due[0][0] - now) if self._due else None

    def take(self, now: float) -> Schedule | None:
        """The schedule that is due, its next run set; None when none is."""
        if not self._due or self._due[0][0] > now:
            return None
        due, order, schedule = self._due[0]
        rate_s = schedule.rate_minutes * 60
        following = due + rate_s
        if following <= now:
            following = now + rate_s
        heapq.heapreplace(self._due, (following, order, schedule))
        return schedule


class Scheduler:
    """Calls functions by a timetable until it is told to stop."""

    def __init__(
        self,
        schedules: Sequence[Schedule] = SCHEDULES,
        handler_of: Callable[[str], Handler] | None = None,
        functions: Iterable[Function] = FUNCTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``handler_of`` gives the handler of a function by its name; None: it is imported."""
        self._clock = clock
        self._timetable = Timetable(schedules, clock())
        self._handler_of = handler_of or _handler
        self._timeouts = {function.name: function.timeout_s for function in functions}

    def run(self, stop: child.StopRequest) -> None:
        """Run until the end is requested."""
        while not stop:
            schedule = self._timetable.take(self._clock())
            if schedule is not None:
                self.call(schedule)
                continue
            stop.wait(self._timetable.wait_s(self._clock()))

    def call(self, schedule: Schedule) -> bool:
        """Call a schedule's function once; whether it returned. A failure waits for the next."""
        context = LambdaContext(schedule.function, self._timeouts[schedule.function])
        event: dict[str, Any] = dict(schedule.payload)
        started = time.perf_counter()
        with log_context(request_id=context.aws_request_id):
            try:
                self._handler_of(schedule.function)(event, context)
            except Exception:
                logger.exception("schedule %s failed; it runs again at its time", schedule.name)
                return False
            took_ms = (time.perf_counter() - started) * 1000
            logger.debug("schedule %s ran in %.0f ms", schedule.name, took_ms)
        return True


@cache
def _handler(function_name: str) -> Handler:
    return load_handler(function_of(function_name))


def _places(settings: AwsSettings, sink: PrometheusSink) -> ErasedPlaces:
    """What erasure empties on one machine: as in AWS, but for tombstones and queues."""
    return places(
        REGION,
        settings.ids.user_pool_id,
        EXPORTS.name,
        FileTombstones(settings.home / "tombstones"),
        sink.queue_depths,
    )


def _wait_for_emulator(port: int, stop: child.StopRequest) -> None:
    """Wait until it listens: a job that asks it too early would come again in an hour."""
    deadline = time.monotonic() + EMULATOR_S
    while not stop and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            stop.wait(0.1)
        else:
            return


def _main(stop: child.StopRequest) -> None:
    sink = PrometheusSink()
    metrics.use(sink)
    settings = AwsSettings.from_environment(os.environ)
    maintenance.service.use(bootstrap.maintenance(lambda: _places(settings, sink)))
    scheduler = Scheduler()
    _wait_for_emulator(settings.port, stop)
    child.ready()
    scheduler.run(stop)
    logger.info("stopped")


if __name__ == "__main__":
    child.run("scheduler", _main)
