from __future__ import annotations

from pathlib import Path

import pytest

from local.handlers import load_handler
from local.worker import WorkerSettings
from traksense.contracts.functions import FUNCTIONS, function_of
from traksense.contracts.queues import QUEUES, Queue
from traksense.domain.errors import ConfigurationError

ENVIRONMENT = {
    "TRAKSENSE_HOME": "/home/acme",
    "TRAKSENSE_BROKER_PORT": "1884",
    "TRAKSENSE_STAGE": "quiet",
}


def test_a_worker_reads_its_settings_from_the_environment() -> None:
    settings = WorkerSettings.from_environment(ENVIRONMENT)
    assert settings == WorkerSettings(Path("/home/acme"), 1884, "quiet")


def test_the_stage_is_busy_unless_it_is_said() -> None:
    without = {name: value for name, value in ENVIRONMENT.items() if name != "TRAKSENSE_STAGE"}
    assert WorkerSettings.from_environment(without).stage == "busy"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TRAKSENSE_HOME", ""),
        ("TRAKSENSE_BROKER_PORT", ""),
        ("TRAKSENSE_BROKER_PORT", "mqtt"),
        ("TRAKSENSE_STAGE", "lazy"),
    ],
)
def test_a_malformed_setting_is_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        WorkerSettings.from_environment({**ENVIRONMENT, variable: value})


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_every_queue_has_a_function_whose_handler_exists(queue: Queue) -> None:
    function = function_of(queue.function)
    assert function in FUNCTIONS
    assert callable(load_handler(function))
