from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local.logs import PlatformLog, RotatingFile
from local.processes import (
    CRASHES,
    ChildSpec,
    CrashCount,
    ProcessTree,
    TreeFailedError,
    describe,
)

READY = 'print(\'{"event":"ready","level":"DEBUG","message":"ready"}\', flush=True)'
WAITS = f"import sys; {READY}; sys.stdin.read()"
PATIENCE_S = 30


class Tree:
    """A process tree with its log, and ways to wait for what it does."""

    def __init__(self, tmp_path: Path) -> None:
        self.terminal = io.StringIO()
        self.log_file = tmp_path / "log.jsonl"
        self.ended: list[int] = []
        self.tree = ProcessTree(
            PlatformLog(RotatingFile(self.log_file), self.terminal), on_end=self.ended.append
        )

    def start(self, name: str, code: str, **spec: object) -> None:
        self.tree.start(
            ChildSpec(name, (sys.executable, "-c", code), dict(os.environ), **spec)  # type: ignore[arg-type]
        )

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.terminal.getvalue()
            self.tree.step(0.05)

    def pids(self) -> list[int]:
        return [identity.pid for identity in self.tree.identities]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    made = Tree(tmp_path)
    yield made
    made.tree.stop(budget_s=0.5)


def gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) for pid in pids)


def test_a_child_is_ready_when_it_says_so(tree: Tree) -> None:
    tree.start("says", f"import time; time.sleep(0.2); {WAITS}")
    tree.start("silent", "import sys; sys.stdin.read()", announces=False)
    assert tree.tree.not_ready() == ["says"]
    tree.until(lambda: tree.tree.not_ready() == [])


def test_a_child_that_crashed_is_reported_with_its_last_words_and_started_again(
    tree: Tree, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    code = f"""
import pathlib, sys
mark = pathlib.Path({str(mark)!r})
if not mark.exists():
    mark.touch()
    print("about to fail", flush=True)
    sys.exit(3)
{WAITS}
"""
    tree.start("worker", code)
    tree.until(lambda: tree.tree.not_ready() == [])
    shown = tree.terminal.getvalue()
    assert "worker ended with status 3: starting it again; it said last: about to fail" in shown
    assert len(tree.ended) == 1
    assert len(tree.pids()) == 1


def test_a_killed_child_is_started_again(tree: Tree) -> None:
    tree.start("worker", WAITS)
    tree.until(lambda: tree.tree.not_ready() == [])
    (first,) = tree.pids()
    os.kill(first, signal.SIGKILL)
    tree.until(lambda: tree.pids() not in ([], [first]))
    assert "worker was ended by SIGKILL" in tree.terminal.getvalue()


def test_an_essential_child_that_keeps_crashing_ends_the_whole(tree: Tree) -> None:
    tree.start("worker", "import sys; print('no database', flush=True); sys.exit(1)")
    with pytest.raises(TreeFailedError, match=r"worker ended 6 times.*no database"):
        tree.until(lambda: False)


def test_an_essential_child_that_ends_well_is_started_again_too(tree: Tree) -> None:
    tree.start("worker", "pass")
    tree.until(lambda: "worker ended with status 0: starting it" in tree.terminal.getvalue())


def test_a_child_that_is_not_essential_never_ends_the_whole(tree: Tree) -> None:
    tree.start("simulator", "import sys; sys.exit(1)", essential=False)
    tree.until(lambda: "going on without it" in tree.terminal.getvalue())
    assert tree.tree.not_ready() == []


def test_a_child_that_is_not_essential_may_finish(tree: Tree) -> None:
    tree.start("history", "pass", essential=False, announces=False)
    tree.until(lambda: "history has finished" in tree.terminal.getvalue())
    assert tree.pids() == []


def test_a_stop_ends_everything_the_highest_stage_first(tree: Tree, tmp_path: Path) -> None:
    order = tmp_path / "order"
    for name, stage in (("broker", 0), ("worker", 1), ("gateway", 2)):
        code = f"""
import signal, sys, time
def told(*_):
    with open({str(order)!r}, "a") as file:
        file.write("{name} ")
    sys.exit(0)
signal.signal(signal.SIGTERM, told)
{READY}
time.sleep(60)
"""
        tree.start(name, code, stage=stage)
    tree.until(lambda: tree.tree.not_ready() == [])
    pids = tree.pids()
    tree.tree.stop()
    assert order.read_text() == "gateway worker broker "
    assert gone(pids)


def test_a_child_that_will_not_end_is_killed_with_what_it_started(tree: Tree) -> None:
    code = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"])
print('{{"level":"INFO","message":"%d"}}' % child.pid, flush=True)
{READY}
time.sleep(60)
"""
    tree.start("stubborn", code)
    tree.until(lambda: tree.tree.not_ready() == [])
    lines = [json.loads(line) for line in tree.log_file.read_text().splitlines()]
    pids = [*tree.pids(), int(lines[0]["message"])]
    started = time.monotonic()
    tree.tree.stop(budget_s=0.3)
    assert time.monotonic() - started < 3
    deadline = time.monotonic() + 3
    while not gone(pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [pid for pid in pids if psutil.pid_exists(pid) and not _zombie(pid)] == []
    assert "stubborn did not end in time: killed" in tree.terminal.getvalue()


def test_a_second_ctrl_c_leaves_no_time_at_all(tree: Tree) -> None:
    tree.start(
        "stubborn",
        f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY};"
        "time.sleep(60)",
    )
    tree.until(lambda: tree.tree.not_ready() == [])
    started = time.monotonic()
    tree.tree.stop(budget_s=30, hurry=lambda: True)
    assert time.monotonic() - started < 2


def test_crashes_of_long_ago_are_forgotten() -> None:
    now = [0.0]
    crashes = CrashCount(lambda: now[0])
    for _ in range(20):
        now[0] += 20
        assert crashes.add() is not None


def test_delays_grow_until_there_were_too_many() -> None:
    crashes = CrashCount(lambda: 0.0)
    delays = [crashes.add() for _ in range(CRASHES + 1)]
    assert delays == [0.25, 0.5, 1.0, 2.0, 4.0, None]


def test_a_status_is_said_in_words() -> None:
    assert describe(1) == "ended with status 1"
    assert describe(-signal.SIGKILL) == "was ended by SIGKILL"
    assert describe(-63) == "was ended by signal 63"


SUPERVISOR = """
import io, os, sys
from pathlib import Path
from local.logs import PlatformLog, RotatingFile
from local.processes import ChildSpec, ProcessTree
tree = ProcessTree(PlatformLog(RotatingFile(Path(sys.argv[1])), io.StringIO()))
code = "from local import child; child.run('x', lambda stop: (child.ready(), stop.wait()))"
for name in ("one", "two"):
    tree.start(ChildSpec(name, (sys.executable, "-c", code), dict(os.environ)))
while tree.not_ready():
    tree.step(0.05)
print(*[identity.pid for identity in tree.identities], flush=True)
while True:
    tree.step(1)
"""


def test_children_end_by_themselves_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    pids = [int(pid) for pid in supervisor.stdout.readline().split()]
    assert len(pids) == 2
    assert all(psutil.pid_exists(pid) for pid in pids)
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(_runs(pid) for pid in pids):
        time.sleep(0.05)
    assert [pid for pid in pids if _runs(pid)] == []


def _zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and not _zombie(pid)
