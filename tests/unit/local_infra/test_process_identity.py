from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from local import process_identity
from local.process_identity import ProcessIdentity

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""
POLITE = "print('ready', flush=True); import time; time.sleep(60)"


def begun(program: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.fixture
def polite() -> Iterator[subprocess.Popen[bytes]]:
    with begun(POLITE) as process:
        yield process
        process.kill()


def identity_of(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    identity = process_identity.of(process.pid)
    assert identity is not None
    return identity


def test_a_running_process_is_alive(polite: subprocess.Popen[bytes]) -> None:
    assert process_identity.is_alive(identity_of(polite))


def test_another_process_with_the_same_number_is_not_the_same(
    polite: subprocess.Popen[bytes],
) -> None:
    identity = identity_of(polite)
    earlier = ProcessIdentity(identity.pid, identity.started_at - 60)
    assert not process_identity.is_alive(earlier)
    assert process_identity.end(earlier, 1)
    assert polite.poll() is None


def test_a_dead_child_that_nobody_reaped_is_not_alive(polite: subprocess.Popen[bytes]) -> None:
    identity = identity_of(polite)
    polite.kill()
    assert polite.stdout is not None
    polite.stdout.read()
    deadline = 500
    while process_identity.is_alive(identity) and deadline:
        deadline -= 1
    assert not process_identity.is_alive(identity)
    assert process_identity.of(identity.pid) is None


def test_a_process_that_listens_goes_by_itself(polite: subprocess.Popen[bytes]) -> None:
    identity = identity_of(polite)
    assert process_identity.end(identity, 5)
    assert not process_identity.is_alive(identity)


def test_a_process_that_does_not_listen_is_killed() -> None:
    with begun(STUBBORN) as stubborn:
        identity = identity_of(stubborn)
        assert not process_identity.end(identity, 0.2)
        assert not process_identity.is_alive(identity)


def test_the_first_signal_is_the_callers_choice() -> None:
    with begun(STUBBORN) as stubborn:
        assert process_identity.end(identity_of(stubborn), 5, signal.SIGINT)


def test_ending_what_is_gone_is_no_error(polite: subprocess.Popen[bytes]) -> None:
    identity = identity_of(polite)
    polite.kill()
    polite.wait()
    assert process_identity.end(identity, 1)
    assert process_identity.of(identity.pid) is None
