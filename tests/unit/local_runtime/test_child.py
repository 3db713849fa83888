from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from local.child import EXIT_HUNG, StopRequest

WAITS = "from local import child; child.run('x', lambda stop: (child.ready(), stop.wait(30)))"


class Child:
    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def line(self) -> dict[str, object]:
        assert self.process.stdout is not None
        found: dict[str, object] = json.loads(self.process.stdout.readline())
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child(WAITS)
    assert made.line()["event"] == "ready"
    yield made
    made.close()


def test_sigterm_ends_a_child_in_order(child: Child) -> None:
    child.process.send_signal(signal.SIGTERM)
    assert child.process.wait(5) == 0


def test_the_end_of_stdin_ends_a_child_in_order(child: Child) -> None:
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(5) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_is_the_supervisors_business(child: Child, number: signal.Signals) -> None:
    child.process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        child.process.wait(0.3)


def test_a_child_that_hangs_is_ended() -> None:
    hanging = Child(
        "import time; from local import child; child.watch(grace_s=0.2);"
        "print('{}', flush=True); time.sleep(30)"
    )
    hanging.line()
    started = time.monotonic()
    hanging.process.send_signal(signal.SIGTERM)
    assert hanging.process.wait(5) == EXIT_HUNG
    assert time.monotonic() - started < 3
    hanging.close()


def test_a_failure_is_one_json_line_with_its_traceback() -> None:
    failing = Child("from local import child; child.run('x', lambda stop: 1 / 0)")
    line = failing.line()
    assert line["level"] == "ERROR"
    assert line["message"] == "ZeroDivisionError: division by zero"
    assert "Traceback" in str(line["exception"])
    assert failing.process.wait(5) == 1
    failing.close()


def test_a_wrong_setting_is_one_line_without_a_traceback() -> None:
    failing = Child(
        "from local import child; from local.errors import StartupError\n"
        "def main(stop): raise StartupError('port 1 is taken')\n"
        "child.run('x', main)"
    )
    line = failing.line()
    assert line["message"] == "port 1 is taken"
    assert "exception" not in line
    failing.close()


def test_callbacks_run_once_and_late_ones_at_once() -> None:
    stop = StopRequest()
    calls: list[str] = []
    stop.on_stop(lambda: calls.append("early"))
    assert not stop
    stop.request()
    stop.request()
    stop.on_stop(lambda: calls.append("late"))
    assert calls == ["early", "late"]
    assert stop
    assert stop.wait(0)
