"""A command's way: the API, the broker, a device that obeys, its ack, and its state in the API."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.support.device import TestDevice
from tests.support.platform import RunningPlatform, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def admin(platform: RunningPlatform) -> Iterator[httpx.Client]:
    """A customer whose organisation may send commands."""
    with (
        platform.api("internal_ops", None) as ops,
        platform.api("customer_admin", "umc") as client,
    ):
        allowed = ops.patch("/api/tenants/umc", json={"commands_enabled": True})
        assert allowed.status_code == 200, allowed.text
        yield client


def device_id(client: httpx.Client, name: str) -> str:
    items = client.get("/api/devices", params={"limit": 500}).json()["items"]
    return str(next(item["id"] for item in items if item["name"] == name))


def settled(client: httpx.Client, device: str, cmd_id: str) -> Any:
    found = client.get(f"/api/cmd/{device}/{cmd_id}").json()
    return found if found["status"] != "pending" else None


def test_the_simulator_obeys_and_acknowledges(
    platform: RunningPlatform, admin: httpx.Client
) -> None:
    endpoint = next(
        each
        for each in platform.endpoints.devices
        if each.tenant == "umc" and each.simulated and (each.template or "").startswith("chiller")
    )
    device = device_id(admin, endpoint.name)
    fleet = subprocess.Popen(
        [sys.executable, "-m", "device_sim", "--endpoints",
         str(platform.home / "endpoints.json"), "--duration", "60"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(
            "the chiller is online", lambda: admin.get(f"/api/devices/{device}").json()["is_online"]
        )
        headers = {"Idempotency-Key": "an-end-to-end-test"}
        body = {"op": "reset_fault", "params": {"pulse_ms": 500}}
        answers = [admin.post(f"/api/cmd/{device}", json=body, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202], answers[0].text
        assert answers[0].json() == answers[1].json()
        cmd_id = answers[0].json()["cmd_id"]
        done = wait_until("the command is acked", lambda: settled(admin, device, cmd_id))
        assert (done["status"], done["err"]) == ("acked", None)
        assert done["created_at"] < done["acked_at"]
        unknown = admin.post(f"/api/cmd/{device}", json={"op": "fly"}).json()["cmd_id"]
        refused = wait_until("it is refused", lambda: settled(admin, device, unknown))
        assert (refused["status"], refused["err"]) == ("error", "unknown_op")
    finally:
        fleet.terminate()
        fleet.wait(30)
    history = admin.get(f"/api/cmd/{device}").json()["items"]
    assert [item["cmd_id"] for item in history[:2]] == [unknown, cmd_id]


def test_a_device_hears_its_own_commands_and_answers_for_no_other(
    platform: RunningPlatform, admin: httpx.Client
) -> None:
    endpoint = platform.idle_device("umc")
    device = device_id(admin, endpoint.name)
    with TestDevice(platform.endpoints.mqtt, endpoint) as own:
        subscribed = threading.Event()
        own.client.on_subscribe = lambda *_: subscribed.set()
        own.client.subscribe(own.topic("cmd"), qos=1)
        assert subscribed.wait(10)
        cmd_id = admin.post(f"/api/cmd/{device}", json={"op": "x"}).json()["cmd_id"]
        wait_until("the command is there", lambda: own.received)
        assert [json.loads(payload)["cmd_id"] for _, payload in own.received] == [cmd_id]
        with TestDevice(platform.endpoints.mqtt, platform.idle_device("globex")) as other:
            lie = {"schema": "v1", "cmd_id": cmd_id, "ok": False, "err": str(time.time_ns())}
            other.publish("ack", lie)
            topic = other.topic("ack")
        wait_until(
            "the lie is a dead letter",
            lambda: platform.query(
                "SELECT 1 FROM ingest_errors WHERE topic = %s AND reason = 'unknown_command'", topic
            ),
        )
        assert settled(admin, device, cmd_id) is None
        own.publish("ack", {"schema": "v1", "cmd_id": cmd_id, "ok": True})
        done = wait_until("it is acked", lambda: settled(admin, device, cmd_id))
    assert (done["status"], done["err"]) == ("acked", None)


def test_a_dead_letter_goes_its_way_again_and_what_fails_again_is_another_occurrence(
    platform: RunningPlatform, admin: httpx.Client
) -> None:
    endpoint = platform.idle_device("umc")
    device = device_id(admin, endpoint.name)
    points = admin.get(f"/api/devices/{device}/points").json()["items"]
    point = next(each["name"] for each in points if each["type"] == "num")
    with TestDevice(platform.endpoints.mqtt, endpoint) as own:
        topic = own.topic("telem")
        garbage = f"no JSON {time.time_ns()}".encode()
        own.publish("telem", garbage)

    def letter() -> Any:
        rows = platform.query(
            "SELECT id, occurrences, replays, replayed_at <= last_received_at"
            " FROM ingest_errors WHERE payload = %s",
            garbage,
        )
        return rows[0] if rows else None

    refused = wait_until("the garbage is a dead letter", letter)[0]
    # As an outage or a wrong setting leaves it behind: nothing is wrong with it any more.
    ts = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    good = {"schema": "v1", "ts": ts, "points": [{"name": point, "v": 81.25}]}
    ((kept,),) = platform.query(
        "INSERT INTO ingest_errors (fingerprint, received_at, last_received_at, topic, reason,"
        " detail, payload) VALUES (sha256(%s), now(), now(), %s, 'unknown_device', 'x', %s)"
        " RETURNING id",
        json.dumps(good).encode(), topic, json.dumps(good).encode(),
    )  # fmt: skip
    with platform.api("internal_ops", None) as ops:
        answer = ops.post("/api/dlq/replay", json={"ids": [refused, kept]})
        assert {item["outcome"] for item in answer.json()["items"]} == {"published"}, answer.text

    def newest() -> Any:
        items = admin.get("/api/data/latest", params={"device": device}).json()["items"]
        return next(each["value"] for each in items if each["name"] == point) == 81.25

    wait_until("the reading is there", newest)
    wait_until("it was refused again", lambda: letter() == (refused, 2, 1, True))
    assert platform.query("SELECT occurrences FROM ingest_errors WHERE id = %s", kept) == [(1,)]
