from __future__ import annotations

import threading
from typing import Any

from local.child import StopRequest
from local.scheduler import FIRST_RUN_S, Scheduler, Timetable
from traksense.contracts.functions import FUNCTIONS
from traksense.contracts.schedules import SCHEDULES, Schedule

FAST = Schedule("fast", "maintenance", 1, {"job": "a"})
SLOW = Schedule("slow", "maintenance", 60, {"job": "b"})


def test_everything_runs_soon_after_the_start_and_then_at_its_rate() -> None:
    table = Timetable([FAST, SLOW], now=0.0)
    assert table.take(0.0) is None
    first = FIRST_RUN_S
    assert [table.take(first), table.take(first), table.take(first)] == [FAST, SLOW, None]
    assert table.wait_s(first) == 60
    runs = [table.take(first + 60 * minute) for minute in range(1, 61)]
    assert runs == [FAST] * 60
    assert table.take(first + 3600) is SLOW


def test_runs_that_were_missed_are_left_out() -> None:
    table = Timetable([FAST], now=0.0)
    table.take(FIRST_RUN_S)
    assert table.take(10_000) is FAST
    assert table.take(10_000) is None
    assert table.wait_s(10_000) == 60


def test_without_schedules_there_is_nothing_to_wait_for() -> None:
    table = Timetable([], now=0.0)
    assert (table.wait_s(5), table.take(5)) == (None, None)


def test_a_function_gets_the_schedules_payload_and_a_context() -> None:
    calls: list[tuple[dict[str, Any], Any]] = []
    scheduler = Scheduler([FAST], lambda _: lambda event, context: calls.append((event, context)))
    assert scheduler.call(FAST)
    event, context = calls[0]
    assert event == {"job": "a"}
    assert context.function_name == "maintenance"
    assert 0 < context.get_remaining_time_in_millis() <= 900_000


def test_a_failure_is_left_behind_and_the_next_run_comes() -> None:
    stop = StopRequest()
    calls: list[str] = []
    now = [0.0]

    def handler(event: dict[str, Any], _context: Any) -> None:
        calls.append(event["job"])
        now[0] += 61
        if len(calls) == 3:
            stop.request()
        raise ValueError("no")

    def clock() -> float:
        now[0] += 1
        return now[0]

    Scheduler([FAST], lambda _: handler, clock=clock).run(stop)
    assert calls == ["a"] * 3


def test_the_end_interrupts_the_waiting() -> None:
    stop = StopRequest()
    scheduler = Scheduler([SLOW], lambda _: lambda event, context: None)
    thread = threading.Thread(target=scheduler.run, args=(stop,))
    thread.start()
    stop.request()
    thread.join(2)
    assert not thread.is_alive()


def test_every_schedule_names_a_function() -> None:
    names = {function.name for function in FUNCTIONS}
    assert {schedule.function for schedule in SCHEDULES} <= names
