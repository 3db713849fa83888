"""The path that everything hangs on: a device publishes, it is stored, a person sees it."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.device import TestDevice
from tests.support.platform import RunningPlatform, wait_until

pytestmark = pytest.mark.e2e


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture(scope="module")
def api(platform: RunningPlatform) -> Iterator[httpx.Client]:
    with platform.api() as client:
        yield client


@pytest.fixture
def device(platform: RunningPlatform) -> Iterator[TestDevice]:
    with TestDevice(platform.endpoints.mqtt, platform.idle_device("umc")) as connected:
        yield connected


def found(api: httpx.Client, name: str) -> dict[str, Any]:
    items = api.get("/api/devices", params={"limit": 500}).json()["items"]
    return next(item for item in items if item["name"] == name)


def num_point(api: httpx.Client, device_id: str) -> str:
    points = api.get(f"/api/devices/{device_id}/points").json()["items"]
    return next(str(p["name"]) for p in points if p["type"] == "num")


def latest(api: httpx.Client, device_id: str, point: str) -> dict[str, Any]:
    items = api.get("/api/data/latest", params={"device": device_id}).json()["items"]
    return next(item for item in items if item["name"] == point)


def test_what_a_device_publishes_is_read_through_the_api(
    platform: RunningPlatform, api: httpx.Client, device: TestDevice
) -> None:
    described = found(api, device.device.name)
    point, ts = num_point(api, described["id"]), now()
    payload = {"schema": "v1", "ts": ts, "points": [{"name": point, "v": 73.96732207}]}
    assert device.publish("telem", payload) == 0
    newest = wait_until(
        "the reading is there",
        lambda: (r := latest(api, described["id"], point))["value"] == 73.96732207 and r,
        timeout_s=10,
    )
    assert datetime.fromisoformat(newest["ts"]) == datetime.fromisoformat(ts)
    series = api.get(
        "/api/data/points",
        params={"device": described["id"], "point": point, "from": ts, "agg": "raw"},
    ).json()["series"]
    assert series[0]["rows"] == [[newest["ts"], 73.96732207, 0]]


def test_a_device_cut_off_is_shown_offline_within_two_seconds(
    platform: RunningPlatform, api: httpx.Client
) -> None:
    endpoint = platform.idle_device("globex")
    will = {"schema": "v1", "status": "offline"}
    with (
        platform.api("viewer", "globex") as viewer,
        TestDevice(platform.endpoints.mqtt, endpoint, will=will) as device,
    ):
        device.publish("state", {"schema": "v1", "status": "online"}, retain=True)
        wait_until("it is online", lambda: found(viewer, endpoint.name)["is_online"])
        device.vanish()
        cut_at = time.monotonic()
        wait_until(
            "it is offline", lambda: not found(viewer, endpoint.name)["is_online"], every_s=0.05
        )
        assert time.monotonic() - cut_at < 2.0


def test_the_will_of_a_session_that_was_taken_over_says_nothing(
    platform: RunningPlatform,
) -> None:
    endpoint = platform.idle_device("globex")
    will = {"schema": "v1", "status": "offline"}
    with platform.api("viewer", "globex") as viewer:
        first = TestDevice(platform.endpoints.mqtt, endpoint, will=will)
        with first:
            first.publish("state", {"schema": "v1", "status": "online"}, retain=True)
            wait_until("it is online", lambda: found(viewer, endpoint.name)["is_online"])
            with TestDevice(platform.endpoints.mqtt, endpoint, will=will) as second:
                deadline = time.monotonic() + 3
                while time.monotonic() < deadline:
                    time.sleep(0.2)
                assert found(viewer, endpoint.name)["is_online"]
                own_word = {"schema": "v1", "status": "offline", "ts": now()}
                second.publish("state", own_word, retain=True)
                wait_until(
                    "its own word counts", lambda: not found(viewer, endpoint.name)["is_online"]
                )


def test_a_foreign_topic_is_refused_on_the_wire_and_reaches_nobody(
    platform: RunningPlatform, device: TestDevice
) -> None:
    other = platform.idle_device("globex")
    foreign = f"traksense/{other.tenant}/{other.site}/{other.name}/telem"
    with platform.api("viewer", "globex") as viewer:
        other_id = found(viewer, other.name)["id"]
        point = num_point(viewer, other_id)
        before = latest(viewer, other_id, point)
        payload = {"schema": "v1", "ts": now(), "points": [{"name": point, "v": -1.0}]}
        sibling = f"traksense/umc/{device.device.site}/chiller-01/telem"
        for topic in (foreign, sibling, "tds_new/devices/aa:bb:cc:dd:ee:ff/telemetry"):
            # A broker of its own mind: it refuses and hangs up, as AWS IoT Core does.
            with TestDevice(platform.endpoints.mqtt, device.device) as trespasser:
                assert trespasser.publish_to(topic, payload) == 0x87, topic
        # Something of its own, published after, is there: what came before had its chance.
        own = {"schema": "v1", "ts": now(), "points": [{"name": "none-such", "v": 1}]}
        topic = device.topic("telem")
        with TestDevice(platform.endpoints.mqtt, device.device) as again:
            assert again.publish("telem", own) == 0
        wait_until(
            "its own message went through",
            lambda: platform.query(
                "SELECT 1 FROM ingest_errors WHERE topic = %s AND reason = 'unknown_point'", topic
            ),
        )
        assert latest(viewer, other_id, point) == before
    assert not platform.query("SELECT 1 FROM ingest_errors WHERE topic = %s", foreign)


def test_what_cannot_be_accepted_is_in_the_dead_letters_with_its_bytes(
    platform: RunningPlatform, device: TestDevice
) -> None:
    garbage = b"\x00\xff{not json " + str(time.time_ns()).encode()
    assert device.publish("telem", garbage) == 0
    with platform.api("internal_ops", None) as ops:

        def letter() -> dict[str, Any] | None:
            items = ops.get("/api/dlq", params={"reason": "bad_json"}).json()["items"]
            of_device = (i for i in items if i["topic"] == device.topic("telem"))
            # Other tests leave letters of the same device.
            return next((i for i in of_device if i["payload_encoding"] == "base64"), None)

        found_letter = wait_until("the dead letter is there", letter)
    assert base64.b64decode(found_letter["payload"]) == garbage
    with platform.api() as customer:
        assert customer.get("/api/dlq").status_code == 403


def test_a_foreign_tenants_device_is_unreadable_by_any_route(
    platform: RunningPlatform, api: httpx.Client
) -> None:
    own = platform.idle_device("umc")
    device_id = found(api, own.name)["id"]
    points = api.get(f"/api/devices/{device_id}/points").json()["items"]
    start = (datetime.now(UTC) - timedelta(days=1)).isoformat().replace("+00:00", "Z")
    routes: list[tuple[str, dict[str, Any]]] = [
        (f"/api/devices/{device_id}", {}),
        (f"/api/devices/{device_id}/points", {}),
        ("/api/data/latest", {"device": device_id}),
        (
            "/api/data/points",
            {"device": device_id, "point": points[0]["id"], "from": start, "agg": "raw"},
        ),
    ]
    with platform.api("customer_admin", "globex") as stranger:
        for path, params in routes:
            assert api.get(path, params=params).status_code == 200, path
            assert stranger.get(path, params=params).status_code == 404, path
            with_header = stranger.get(path, params=params, headers={"X-Tenant": "umc"})
            assert with_header.status_code == 403, path
        names = {d["tenant"] for d in stranger.get("/api/devices").json()["items"]}
        assert names == {"globex"}
    with httpx.Client(base_url=platform.endpoints.api_url) as nobody:
        for path, params in routes:
            assert nobody.get(path, params=params).status_code == 401, path


def test_the_metrics_count_what_was_ingested(platform: RunningPlatform, device: TestDevice) -> None:
    def stored() -> float:
        text = httpx.get(f"{platform.endpoints.api_url}/metrics").text
        match = re.search(r"^traksense_readings_stored_total (\S+)", text, re.MULTILINE)
        return float(match[1]) if match else 0.0

    before = stored()
    with platform.api() as api:
        point = num_point(api, found(api, device.device.name)["id"])
    device.publish("telem", {"schema": "v1", "ts": now(), "points": [{"name": point, "v": 1}]})
    wait_until("the counter moved", lambda: stored() >= before + 1)
    text = httpx.get(f"{platform.endpoints.api_url}/metrics").text
    for name in (
        "traksense_batch_duration_milliseconds_bucket",
        "traksense_ingest_lag_milliseconds_bucket",
        "traksense_queue_depth",
        "traksense_http_requests_total",
    ):
        assert name in text, name
