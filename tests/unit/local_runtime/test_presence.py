from __future__ import annotations

import json
from typing import Any

import pytest

from local.bridge.presence import PresenceLog
from traksense.contracts.rules import RULES
from traksense.contracts.topics import matches

NOW_MS = 1_795_171_328_640


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


CONNECT = "1795171328: New client connected from 127.0.0.1:4711 as acme_a (p2, c1, k60, u'acme_a')."


CUT_OFF = (
    "1795171328: New client connected from 127.0.0.1:4712 as acme_a"
    " (p2, c1, k5, u'traksense-platform')."
)


def read(log: PresenceLog, line: str) -> tuple[str, dict[str, Any]]:
    event = log.read(line)
    assert event is not None
    return str(event.topic), json.loads(event.payload)


def test_a_connect_is_what_aws_publishes() -> None:
    topic, payload = read(PresenceLog(Clock()), CONNECT)
    assert topic == "$aws/events/presence/connected/acme_a"
    session = payload.pop("sessionIdentifier")
    assert len(session) == 36
    assert payload == {
        "clientId": "acme_a",
        "timestamp": NOW_MS,
        "eventType": "connected",
        "principalIdentifier": "acme_a",
        "versionNumber": NOW_MS,
    }


def test_the_platform_that_cuts_a_device_off_is_not_taken_for_it() -> None:
    log = PresenceLog(Clock())
    _, connected = read(log, CONNECT)
    replaced = read(log, "Client acme_a already connected, closing old connection.")[1]
    assert replaced["disconnectReason"] == "DUPLICATE_CLIENTID"
    topic, gone = read(log, CUT_OFF)
    assert topic == "$aws/events/presence/disconnected/acme_a"
    assert gone["disconnectReason"] == "SERVER_INITIATED_DISCONNECT"
    assert gone["versionNumber"] > connected["versionNumber"]
    assert log.read("Client acme_a disconnected.") is None
    again = read(log, CONNECT)
    assert again[0] == "$aws/events/presence/connected/acme_a"
    assert again[1]["versionNumber"] > gone["versionNumber"]
    assert read(log, "Client acme_a disconnected.")[1]["eventType"] == "disconnected"


def test_a_device_that_comes_back_while_it_is_cut_off_is_there() -> None:
    log = PresenceLog(Clock())
    read(log, CONNECT)
    read(log, "Client acme_a already connected, closing old connection.")
    read(log, CUT_OFF)
    assert log.read("Client acme_a already connected, closing old connection.") is None
    assert read(log, CONNECT)[1]["eventType"] == "connected"


def test_the_presence_rule_takes_the_topic() -> None:
    topic, _ = read(PresenceLog(Clock()), CONNECT)
    assert [rule.name for rule in RULES if matches(rule.topic_filter, topic)] == ["presence"]


@pytest.mark.parametrize(
    ("line", "reason", "by_client"),
    [
        ("Client acme_a disconnected.", "CLIENT_INITIATED_DISCONNECT", True),
        ("Client acme_a [127.0.0.1:4711] disconnected.", "CLIENT_INITIATED_DISCONNECT", True),
        ("Client acme_a closed its connection.", "CONNECTION_LOST", False),
        ("Client acme_a has exceeded timeout, disconnecting.", "MQTT_KEEP_ALIVE_TIMEOUT", False),
        (
            "Client acme_a already connected, closing old connection.",
            "DUPLICATE_CLIENTID",
            False,
        ),
        ("Client acme_a disconnected due to protocol error.", "CLIENT_ERROR", False),
        ("Client acme_a disconnected, not authorised.", "AUTH_ERROR", False),
        (
            "Client acme_a been disconnected by administrative action.",
            "SERVER_INITIATED_DISCONNECT",
            False,
        ),
        ("Socket error on client acme_a, disconnecting.", "CONNECTION_LOST", False),
        (
            "Bad socket read/write on client acme_a: Connection reset by peer",
            "CONNECTION_LOST",
            False,
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["", "1795171328: ", "2026-11-20T10:42:08Z: "])
def test_every_way_to_go_has_its_word(prefix: str, line: str, reason: str, by_client: bool) -> None:
    log = PresenceLog(Clock())
    _, connected = read(log, CONNECT)
    topic, gone = read(log, prefix + line)
    assert topic == "$aws/events/presence/disconnected/acme_a"
    assert gone["eventType"] == "disconnected"
    assert (gone["disconnectReason"], gone["clientInitiatedDisconnect"]) == (reason, by_client)
    same = ("sessionIdentifier", "versionNumber")
    assert [gone[field] for field in same] == [connected[field] for field in same]


def test_versions_grow_with_each_connection_and_over_a_restart() -> None:
    clock = Clock()
    first = PresenceLog(clock)
    versions = [read(first, CONNECT)[1]["versionNumber"] for _ in range(3)]
    clock.now_ms += 5000
    versions.append(read(PresenceLog(clock), CONNECT)[1]["versionNumber"])
    assert versions == sorted(set(versions))


def test_a_takeover_ends_the_old_session_before_the_new_one_begins() -> None:
    log = PresenceLog(Clock())
    _, first = read(log, CONNECT)
    _, ended = read(log, "Client acme_a already connected, closing old connection.")
    _, second = read(log, CONNECT)
    assert ended["sessionIdentifier"] == first["sessionIdentifier"]
    assert second["sessionIdentifier"] != first["sessionIdentifier"]
    assert second["versionNumber"] > ended["versionNumber"]


def test_a_line_that_waited_keeps_the_time_of_the_log() -> None:
    clock = Clock()
    clock.now_ms += 15_000
    _, payload = read(PresenceLog(clock), CONNECT)
    assert payload["timestamp"] == 1_795_171_328_999


def test_a_log_on_another_clock_is_not_believed() -> None:
    clock = Clock()
    clock.now_ms += 3 * 3600 * 1000
    _, payload = read(PresenceLog(clock), CONNECT)
    assert payload["timestamp"] == clock.now_ms


@pytest.mark.parametrize(
    "line",
    [
        "1795171328: New connection from 127.0.0.1:4711 on port 8883.",
        "1795171328: New client connected from 127.0.0.1:4711 as bridge-ingest (p2, c0, k30).",
        "1795171328: Client bridge-ingest closed its connection.",
        "1795171328: Client <unknown> closed its connection.",
        "1795171328: New client connected from 127.0.0.1:4711 as acme_a disconnected",
        "1795171328: OpenSSL Error[0]: error:0A000412:SSL routines::ssl/tls alert bad certificate",
        "",
    ],
)
def test_other_lines_are_nobodys_presence(line: str) -> None:
    assert PresenceLog(Clock()).read(line) is None
