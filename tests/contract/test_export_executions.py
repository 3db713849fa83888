"""The state machine's own file, executed by the emulator, over functions that the tests make.

Everything else is real: the signed calls, the guard, moto's interpreter, the functions' host.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local.aws.functions import DIED, FunctionsHost
from local.child import StopRequest
from local.functions_host import TIMED_OUT, FunctionsApp, Hosted
from local.gateway.http_server import Server
from tests.contract.emulator import Emulator, free_port
from traksense.aws.step_functions import StepFunctionsRuns
from traksense.contracts.functions import FUNCTIONS
from traksense.contracts.state_machines import EXPORT
from traksense.domain.exports import MOST_CHUNKS, Run
from traksense.services.export_runs import Execution
from traksense.services.export_work import ExportEnded

KEY = "a key that only the run knows"
MACHINE = f"arn:aws:states:us-east-1:123456789012:stateMachine:{EXPORT.name}"
MOST_EVENTS = 25_000
LARGEST_STATE = 262_144

Act = Callable[[dict[str, Any]], Any]


class Steps:
    """Functions that do what a test says, and remember how they were called."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.acts: dict[str, Act] = {}
        self.running = Counter[str]()
        self.most_running = Counter[str]()
        self._lock = threading.Lock()

    def begin(self, chunks: int = 3, **acts: Act) -> None:
        self.calls.clear()
        self.most_running.clear()
        self.acts = {"export_plan": lambda _event: {"chunks": list(range(chunks))}, **acts}

    def handler(self, name: str) -> Callable[[dict[str, Any], Any], Any]:
        def handle(event: dict[str, Any], _context: object) -> Any:
            with self._lock:
                self.calls.append((name, event))
                self.running[name] += 1
                self.most_running[name] = max(self.most_running[name], self.running[name])
            try:
                return self.acts.get(name, lambda _event: None)(event)
            finally:
                with self._lock:
                    self.running[name] -= 1

        return handle

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for called, event in self.calls if called == name]


@pytest.fixture(scope="module")
def steps() -> Steps:
    return Steps()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, steps: Steps) -> Iterator[Emulator]:
    hosted = {
        function.name: Hosted(replace(function, timeout_s=2), steps.handler(function.name))
        for function in FUNCTIONS
        if function.trigger == "state_machine"
    }
    server = Server(FunctionsApp(hosted, KEY), 0, threads=16, largest_body=LARGEST_STATE)
    stop = StopRequest()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    made = Emulator.start(
        tmp_path_factory.mktemp("home"),
        TRAKSENSE_FUNCTIONS_URL=f"http://127.0.0.1:{server.port}",
        TRAKSENSE_FUNCTIONS_KEY=KEY,
    )
    yield made
    made.stop()
    stop.request()
    thread.join(10)


@pytest.fixture
def runs(emulator: Emulator) -> StepFunctionsRuns:
    return StepFunctionsRuns(MACHINE, "us-east-1", lambda _region: emulator.client("stepfunctions"))


def ended(runs: StepFunctionsRuns, run: Run, within_s: float = 30.0) -> Execution:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = runs.find(run)
        assert found is not None
        if found.status != "RUNNING":
            return found
        time.sleep(0.05)
    raise AssertionError("the execution does not end")


def started(runs: StepFunctionsRuns) -> Run:
    run = Run(uuid4(), uuid4(), 1)
    runs.start(run)
    return run


def fails(error: type[Exception], chunk: int, times: int = 10**6) -> Act:
    """A worker that fails with an error at one chunk, so many times."""
    left = [times]

    def act(event: dict[str, Any]) -> None:
        if event["chunk"] == chunk and left[0] > 0:
            left[0] -= 1
            raise error("not this time")

    return act


def test_an_export_goes_through_its_steps_in_order(runs: StepFunctionsRuns, steps: Steps) -> None:
    steps.begin(9, export_chunk=lambda _event: time.sleep(0.1))
    run = started(runs)
    assert ended(runs, run) == Execution("SUCCEEDED")
    identity = {
        "tenant_id": str(run.tenant_id), "export_id": str(run.export_id), "attempt": 1,
    }  # fmt: skip
    assert steps.names() == [
        "export_plan", *["export_chunk"] * 9, "export_finish", "export_notify",
    ]  # fmt: skip
    assert all(event.items() >= identity.items() for _, event in steps.calls)
    assert steps.of("export_plan") == [identity]
    assert sorted(event["chunk"] for event in steps.of("export_chunk")) == list(range(9))
    assert steps.most_running["export_chunk"] == 4


def test_a_chunk_that_fails_twice_is_written_at_the_third_try(
    runs: StepFunctionsRuns, steps: Steps
) -> None:
    steps.begin(export_chunk=fails(ConnectionError, 1, times=2))
    run = started(runs)
    assert ended(runs, run).status == "SUCCEEDED"
    tries = Counter(event["chunk"] for event in steps.of("export_chunk"))
    assert tries == {0: 1, 1: 3, 2: 1}
    assert steps.names()[-2:] == ["export_finish", "export_notify"]


def test_a_chunk_that_fails_again_and_again_fails_the_export_and_says_why(
    runs: StepFunctionsRuns, steps: Steps
) -> None:
    steps.begin(export_chunk=fails(ConnectionError, 1))
    run = started(runs)
    assert ended(runs, run) == Execution("FAILED", "ConnectionError")
    assert Counter(event["chunk"] for event in steps.of("export_chunk"))[1] == 4
    assert steps.names()[-1] == "export_fail"
    assert "export_finish" not in steps.names()
    (told,) = steps.of("export_fail")
    assert told["error"]["Error"] == "ConnectionError"
    assert told["export_id"] == str(run.export_id)


@pytest.mark.parametrize("step", ["export_plan", "export_chunk", "export_finish"])
def test_a_cancelled_export_is_not_retried_and_its_files_go(
    runs: StepFunctionsRuns, steps: Steps, step: str
) -> None:
    def stop(_event: dict[str, Any]) -> None:
        raise ExportEnded("cancelled")

    steps.begin(1)
    steps.acts[step] = stop
    before = time.monotonic()
    assert ended(runs, started(runs)) == Execution("SUCCEEDED")
    assert time.monotonic() - before < 2.0
    assert len(steps.of(step)) == 1
    assert steps.names()[-1] == "export_fail"
    assert steps.of("export_fail")[0]["error"]["Error"] == "ExportEnded"
    assert "export_notify" not in steps.names()


def test_a_worker_whose_time_is_over_is_tried_again(runs: StepFunctionsRuns, steps: Steps) -> None:
    slow = [True]

    def hang_once(_event: dict[str, Any]) -> None:
        if slow[0]:
            slow[0] = False
            time.sleep(4)

    steps.begin(1, export_chunk=hang_once)
    assert ended(runs, started(runs)).status == "SUCCEEDED"
    assert len(steps.of("export_chunk")) == 2


def test_an_e_mail_that_cannot_be_sent_fails_no_files(
    runs: StepFunctionsRuns, steps: Steps
) -> None:
    def refuse(_event: dict[str, Any]) -> None:
        raise ConnectionError("no SES")

    steps.begin(1, export_notify=refuse)
    assert ended(runs, started(runs)).status == "FAILED"
    assert len(steps.of("export_notify")) == 4
    assert "export_fail" not in steps.names()


def test_an_execution_is_started_once(runs: StepFunctionsRuns, steps: Steps) -> None:
    steps.begin(1)
    run = started(runs)
    runs.start(run)
    ended(runs, run)
    runs.start(run)
    ended(runs, run)
    assert len(steps.of("export_plan")) == 1
    assert runs.find(replace(run, attempt=2)) is None


def test_a_run_ends_when_its_time_is_over(
    emulator: Emulator, runs: StepFunctionsRuns, steps: Steps
) -> None:
    client = emulator.client("stepfunctions")
    document = json.loads(client.describe_state_machine(stateMachineArn=MACHINE)["definition"])
    assert document["TimeoutSeconds"] == 12 * 3600
    document["TimeoutSeconds"] = 1
    made = client.create_state_machine(
        name="short", definition=json.dumps(document), roleArn="arn:aws:iam::123456789012:role/x"
    )
    short = StepFunctionsRuns(made["stateMachineArn"], "us-east-1", lambda _region: client)
    steps.begin(3, export_chunk=lambda _event: time.sleep(1.8))
    assert ended(short, started(short)).status == "TIMED_OUT"
    assert "export_finish" not in steps.names()


def test_the_largest_export_stays_within_the_limits_of_an_execution(
    emulator: Emulator, runs: StepFunctionsRuns, steps: Steps
) -> None:
    few, many = [_events(emulator, runs, steps, chunks) for chunks in (10, 60)]
    of_a_chunk = (len(many) - len(few)) / 50
    tries = _retries("Chunks")
    # A try that fails is scheduled, started and failed.
    assert len(few) + MOST_CHUNKS * (of_a_chunk + 3 * tries) < MOST_EVENTS
    state = {"plan": {"chunks": list(range(MOST_CHUNKS))}, "results": [{}] * MOST_CHUNKS}
    assert len(json.dumps(state)) < LARGEST_STATE / 10


def _retries(state: str) -> int:
    machine = json.loads((Path(__file__).parents[2] / EXPORT.definition).read_text("utf-8"))
    (chunk,) = machine["States"][state]["ItemProcessor"]["States"].values()
    return sum(int(retry["MaxAttempts"]) for retry in chunk["Retry"])


def _events(
    emulator: Emulator, runs: StepFunctionsRuns, steps: Steps, chunks: int
) -> list[dict[str, Any]]:
    steps.begin(chunks)
    run = started(runs)
    assert ended(runs, run).status == "SUCCEEDED"
    arn = MACHINE.replace(":stateMachine:", ":execution:")
    pages = emulator.client("stepfunctions").get_paginator("get_execution_history")
    return [
        event
        for page in pages.paginate(executionArn=f"{arn}:{run.execution_name}")
        for event in page["events"]
    ]


def test_who_does_not_hold_the_key_calls_no_function(emulator: Emulator, steps: Steps) -> None:
    steps.begin()
    port = int(emulator.environment["TRAKSENSE_FUNCTIONS_URL"].rpartition(":")[2])
    answer = FunctionsHost(port, "guessed").call("export_plan", b"{}")
    assert answer.is_error
    assert "403" in answer.payload["errorMessage"]
    answer = FunctionsHost(port, KEY).call("ingest", b"{}")
    assert "404" in answer.payload["errorMessage"]
    assert steps.calls == []


def test_a_call_that_takes_too_long_is_answered_as_lambda_does(
    emulator: Emulator, steps: Steps
) -> None:
    steps.begin(export_finish=lambda _event: time.sleep(3))
    port = int(emulator.environment["TRAKSENSE_FUNCTIONS_URL"].rpartition(":")[2])
    answer = FunctionsHost(port, KEY).call("export_finish", b"{}")
    assert answer.is_error
    assert answer.payload["errorType"] == TIMED_OUT


def test_a_process_that_dies_in_a_call_fails_it_and_is_waited_for_by_the_next() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as listener:

        def die() -> None:
            connection, _ = listener.accept()
            connection.recv(100)
            connection.close()

        thread = threading.Thread(target=die)
        thread.start()
        answer = FunctionsHost(port, KEY).call("export_chunk", b"{}")
        thread.join()
    assert answer.is_error
    assert answer.payload["errorType"] == DIED
    steps = Steps()
    function = next(each for each in FUNCTIONS if each.name == "export_chunk")
    found: list[Any] = []
    waiting = threading.Thread(
        target=lambda: found.append(FunctionsHost(port, KEY).call("export_chunk", b'{"n": 1}'))
    )
    waiting.start()
    time.sleep(0.5)
    steps.begin(export_chunk=lambda event: event["n"] + 1)
    app = FunctionsApp({"export_chunk": Hosted(function, steps.handler("export_chunk"))}, KEY)
    server = Server(app, port, threads=2, largest_body=1_000)
    stop = StopRequest()
    serving = threading.Thread(target=server.run, args=(stop,))
    serving.start()
    waiting.join(10)
    stop.request()
    serving.join(10)
    assert [answer.payload for answer in found] == [2]
