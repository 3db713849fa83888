"""The contracts hold together: what one names, another defines."""

from __future__ import annotations

import importlib
import json

import pytest

from traksense.contracts import functions, metrics, queues, rules, schedules
from traksense.services.maintenance import MaintenanceService


@pytest.mark.parametrize("queue", queues.QUEUES, ids=lambda queue: queue.name)
def test_a_queue_outlasts_a_night_without_a_database(queue: queues.Queue) -> None:
    assert queue.max_receives * queue.visibility_s >= 24 * 3600
    assert queue.retention_s == 14 * 24 * 3600
    assert queue.max_receives <= 1000, "SQS takes no more"


@pytest.mark.parametrize("queue", queues.QUEUES, ids=lambda queue: queue.name)
def test_a_message_stays_hidden_six_times_as_long_as_its_function_may_take(
    queue: queues.Queue,
) -> None:
    function = next(each for each in functions.FUNCTIONS if each.name == queue.function)
    assert function.trigger == "queue"
    assert queue.visibility_s >= 6 * function.timeout_s
    for stage, batching in queue.batching.items():
        assert stage in ("busy", "quiet")
        assert batching.size <= 10 or batching.window_s >= 1, "SQS needs a window over 10"


def test_every_rule_feeds_a_queue_and_every_queue_has_a_rule() -> None:
    assert {rule.queue.name for rule in rules.RULES} == {queue.name for queue in queues.QUEUES}
    assert len({rule.name for rule in rules.RULES}) == len(rules.RULES)


def test_a_rule_is_the_statement_that_iot_core_takes() -> None:
    telemetry = next(rule for rule in rules.RULES if rule.name == "telemetry")
    assert telemetry.sql == (
        "SELECT encode(*,'base64') AS payload, topic() AS topic, clientid() AS client_id, "
        "timestamp() AS received_at FROM 'traksense/+/+/+/telem'"
    )


def test_a_projected_message_is_the_body_that_the_statement_makes() -> None:
    body = json.loads(rules.project(b"\x00\xff", "a/b", "acme_x", 1_700_000_000_000))
    assert body == {
        "payload": "AP8=",
        "topic": "a/b",
        "client_id": "acme_x",
        "received_at": 1_700_000_000_000,
    }


@pytest.mark.parametrize("function", functions.FUNCTIONS, ids=lambda function: function.name)
def test_every_function_has_its_handler(function: functions.Function) -> None:
    module, _, attribute = function.handler.partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))


def test_every_schedule_calls_a_job_that_there_is() -> None:
    jobs = MaintenanceService(None, None).jobs  # type: ignore[arg-type]
    assert {schedule.payload["job"] for schedule in schedules.SCHEDULES} == jobs
    for schedule in schedules.SCHEDULES:
        assert schedule.rate_minutes >= 1, "EventBridge Scheduler counts in minutes"
        function = next(f for f in functions.FUNCTIONS if f.name == schedule.function)
        assert function.trigger == "schedule"


def test_metric_names_are_unique_in_both_worlds() -> None:
    assert len({metric.name for metric in metrics.METRICS}) == len(metrics.METRICS)
    assert len({metric.prometheus for metric in metrics.METRICS}) == len(metrics.METRICS)
