"""A command's round trip: from the API call to the device's ack being seen in the database.

A platform of its own, the demo's fleet at its usual pace beside it, and one command at a time to a
simulated chiller, which acknowledges at once. The call is timed with its answer; a watcher asks
the database every few milliseconds whether the command is acked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

import psycopg

from bench.platform import Platform
from bench.results import Figures
from local.endpoints import Endpoints

ROUNDS: Final = 3
COMMANDS: Final = 40
"""A round, spread over its time so that they meet the fleet's messages at every moment."""
PAUSE_S: Final = 0.25
_WARM_UP: Final = 5
_CONNECT_S: Final = 8
_POLL_S: Final = 0.003
_LONGEST_S: Final = 20

_STATUS: Final = "SELECT status, acked_at - created_at FROM public.commands WHERE cmd_id = %s"
_DEVICE: Final = (
    "SELECT d.id::text FROM public.devices d JOIN public.tenants t ON t.id = d.tenant_id"
    " WHERE t.slug = %s AND d.name = %s"
)


def run(figures: Figures) -> None:
    """Start a platform and its fleet, and time commands."""
    with (
        tempfile.TemporaryDirectory(prefix="traksense-bench-") as directory,
        Platform(Path(directory) / "home") as platform,
    ):
        seconds = int(ROUNDS * COMMANDS * (PAUSE_S + 1)) + 60
        fleet = subprocess.Popen(
            [
                sys.executable, "-m", "device_sim",
                "--endpoints", str(platform.endpoints_file), "--duration", str(seconds),
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            time.sleep(_CONNECT_S)
            _measure(platform.endpoints, figures)
        finally:
            fleet.terminate()
            fleet.wait(60)


def _measure(endpoints: Endpoints, figures: Figures) -> None:
    chiller = next(
        each
        for each in endpoints.devices
        if each.simulated and (each.template or "").startswith("chiller")
    )
    token = _login(endpoints)
    with psycopg.connect(endpoints.database_url, autocommit=True) as connection:
        row = connection.execute(_DEVICE, (chiller.tenant, chiller.name)).fetchone()
        assert row is not None, "the demo has no such device"
        url = f"{endpoints.api_url}/api/cmd/{row[0]}"
        for _ in range(_WARM_UP):
            _round_trip(connection, url, token)
        for _ in range(ROUNDS):
            trips = []
            for _ in range(COMMANDS):
                trips.append(_round_trip(connection, url, token))
                time.sleep(PAUSE_S)
            for name, column in (("call", 0), ("round_trip", 1), ("to_ack", 2)):
                times = sorted(trip[column] * 1000 for trip in trips)
                figures.add(f"command_{name}_p50_ms", times[len(times) // 2], "ms")
                figures.add(f"command_{name}_p95_ms", times[int(len(times) * 0.95)], "ms")


def _round_trip(
    connection: psycopg.Connection[Any], url: str, token: str
) -> tuple[float, float, float]:
    """Seconds of the call, until acked, and until the ack reached the queue. Fails without one."""
    started = time.perf_counter()
    cmd_id = _post(url, {"op": "reset_fault"}, token)["cmd_id"]
    called = time.perf_counter() - started
    while True:
        row = connection.execute(_STATUS, (cmd_id,)).fetchone()
        took = time.perf_counter() - started
        if row is not None and row[0] != "pending":
            assert row[0] == "acked", f"the command became {row[0]}"
            return called, took, row[1].total_seconds()
        assert took < _LONGEST_S, "no ack came"
        time.sleep(_POLL_S)


def _login(endpoints: Endpoints) -> str:
    user = next(each for each in endpoints.users if each.role == "internal_ops")
    given = {"email": user.email, "password": user.password}
    return str(_post(f"{endpoints.api_url}/api/auth/login", given)["id_token"])


def _post(url: str, body: dict[str, Any], token: str | None = None) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
