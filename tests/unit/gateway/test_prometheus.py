from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.errors import StartupError
from local.prometheus import PrometheusSink, clear, forget_gauges, render

CHILD = """
import sys, time
from local.prometheus import PrometheusSink
from traksense.contracts.metrics import BATCH_DURATION, QUEUE_DEPTH, READINGS_STORED, REQUESTS
sink = PrometheusSink()
n, depth = float(sys.argv[1]), float(sys.argv[2])
sink.count(READINGS_STORED, n)
sink.count(REQUESTS, n, "200")
sink.gauge(QUEUE_DEPTH, depth, "ingest")
sink.observe(BATCH_DURATION, 7, "ingest")
print("counted", flush=True)
if len(sys.argv) > 3:
    time.sleep(60)
"""


def child(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(directory)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def ended(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    process.stdout.close()
    process.wait(10)
    return process.pid


def lines(directory: Path) -> dict[str, float]:
    text = render(directory).decode()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_processes_are_added_up_and_a_killed_ones_count_stays(tmp_path: Path) -> None:
    first = child(tmp_path, "100", "5", "stay")
    assert lines(tmp_path)["traksense_readings_stored_total"] == 100
    os.kill(first.pid, signal.SIGKILL)
    ended(first)
    assert lines(tmp_path)["traksense_readings_stored_total"] == 100
    time.sleep(0.01)
    ended(child(tmp_path, "11", "2"))
    after = lines(tmp_path)
    assert after["traksense_readings_stored_total"] == 111
    assert after['traksense_http_requests_total{status="200"}'] == 111
    assert after['traksense_queue_depth{queue="ingest"}'] == 2
    assert after['traksense_batch_duration_milliseconds_count{queue="ingest"}'] == 2
    assert after['traksense_batch_duration_milliseconds_bucket{le="5.0",queue="ingest"}'] == 0
    assert after['traksense_batch_duration_milliseconds_bucket{le="10.0",queue="ingest"}'] == 2


def test_the_gauges_of_a_process_that_ended_can_be_dropped_without_its_counts(
    tmp_path: Path,
) -> None:
    pid = ended(child(tmp_path, "1", "5"))
    forget_gauges(tmp_path, pid)
    after = lines(tmp_path)
    assert 'traksense_queue_depth{queue="ingest"}' not in after
    assert after["traksense_readings_stored_total"] == 1


def test_a_new_run_begins_at_nothing(tmp_path: Path) -> None:
    ended(child(tmp_path, "1", "5"))
    clear(tmp_path)
    assert lines(tmp_path) == {}


def test_the_folder_is_made_where_there_is_none(tmp_path: Path) -> None:
    clear(tmp_path / "metrics")
    assert (tmp_path / "metrics").is_dir()


def test_an_empty_file_of_a_process_killed_at_its_start_breaks_nothing(tmp_path: Path) -> None:
    ended(child(tmp_path, "1", "5"))
    (tmp_path / "counter_99999.db").touch()
    assert lines(tmp_path)["traksense_readings_stored_total"] == 1


def test_a_missing_folder_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "missing"))
    with pytest.raises(StartupError, match="PROMETHEUS_MULTIPROC_DIR"):
        PrometheusSink()


def test_the_queues_depths_can_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(child(tmp_path, "1", "5"))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert PrometheusSink().queue_depths() == {"ingest": 5}
