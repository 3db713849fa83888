"""Publish to queryable: from a device's PUBLISH to the reading seen by a query of the database.

A platform of its own, 1,000 messages a second through the broker at the contracts' batching
window of 1 s. One device's readings carry the moment of their publish; a watcher asks the
database every few milliseconds for the newest one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
import psycopg

from bench.platform import Platform, connect
from bench.results import Figures

RATE: Final = 1_000
SECONDS: Final = 20
ROUNDS: Final = 3
_WARM_UP_S: Final = 8
PROBES_PER_S: Final = 20
"""Of the thousand messages a second, so many are probes: enough to sample the window evenly."""
_POLL_S: Final = 0.004

_NEWER: Final = """
SELECT v_num::bigint FROM public.m_raw
WHERE point_sk = %s AND ts > %s ORDER BY ts
"""


def run(figures: Figures) -> None:
    """Start a platform, load it, and time the probes."""
    with (
        tempfile.TemporaryDirectory(prefix="traksense-bench-") as directory,
        Platform(Path(directory) / "home") as platform,
    ):
        load = _load(platform)
        try:
            time.sleep(_WARM_UP_S)  # the fleet connects, the containers warm up
            for _ in range(ROUNDS):
                waits = sorted(_probe(platform))
                figures.add("latency_p50_ms", waits[len(waits) // 2] * 1000, "ms")
                figures.add("latency_p99_ms", waits[int(len(waits) * 0.99)] * 1000, "ms")
                figures.add("latency_max_ms", waits[-1] * 1000, "ms")
        finally:
            load.terminate()
            output, _ = load.communicate(timeout=60)
    count: dict[str, Any] = json.loads(
        next(line for line in output.splitlines() if line.startswith("{"))
    )
    figures.add("latency_load_messages_per_s", count["acknowledged"] / count["seconds"], "1/s")


def _load(platform: Platform) -> subprocess.Popen[str]:
    """The demo's fleet at the wanted rate, less the probes."""
    return subprocess.Popen(
        [
            sys.executable, "-m", "device_sim", "--json",
            "--endpoints", str(platform.endpoints_file),
            "--rate", str(RATE - PROBES_PER_S),
            "--duration", str(ROUNDS * (SECONDS + 2) + _WARM_UP_S),
        ],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _probe(platform: Platform) -> list[float]:
    """Seconds from publish to visible, one for each probe. Fails when one is lost."""
    endpoints = platform.endpoints
    device = next(each for each in endpoints.devices if not each.simulated)
    client = connect(endpoints, device)
    sent: dict[int, float] = {}
    seen: dict[int, float] = {}
    start_us = time.time_ns() // 1000
    with psycopg.connect(endpoints.database_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT d.point_sk FROM public.dim_point d JOIN public.points p ON p.id = d.point_id"
            " JOIN public.devices v ON v.id = p.device_id JOIN public.tenants t"
            " ON t.id = v.tenant_id"
            " WHERE t.slug = %s AND v.name = %s AND p.name = 'temperatura'",
            (device.tenant, device.name),
        ).fetchone()
        assert row is not None, "the idle device has no such point"
        last = _stamp(start_us - 1)
        total = SECONDS * PROBES_PER_S
        begun = time.perf_counter()
        while len(seen) < total:
            now = time.perf_counter()
            if len(sent) < total and now - begun >= len(sent) / PROBES_PER_S:
                number = len(sent)
                sent[number] = time.perf_counter()
                _publish(client, device, number, start_us + number)
            for (number,) in connection.execute(_NEWER, (row[0], last)).fetchall():
                seen.setdefault(number, time.perf_counter())
            if seen:
                last = _stamp(start_us + max(seen))
            assert now - begun < SECONDS + 30, f"{total - len(seen)} probes never arrived"
            time.sleep(_POLL_S)
    client.disconnect()
    client.loop_stop()
    return [seen[number] - sent[number] for number in sent]


def _stamp(ts_us: int) -> str:
    seconds, fraction = divmod(ts_us, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:06d}Z"


def _publish(client: mqtt.Client, device: Any, number: int, ts_us: int) -> None:
    payload = {
        "schema": "v1",
        "ts": _stamp(ts_us),
        "points": [{"name": "temperatura", "v": float(number)}],
    }
    topic = f"traksense/{device.tenant}/{device.site}/{device.name}/telem"
    client.publish(topic, json.dumps(payload), qos=1)
