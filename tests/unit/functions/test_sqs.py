"""SQS events in, batchItemFailures out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions import sqs
from traksense.contracts import rules


def record(body: str, **changes: Any) -> dict[str, Any]:
    attributes = {"SentTimestamp": "1700000000123"}
    return {"messageId": "m1", "body": body, "attributes": attributes, **changes}


def test_what_the_rule_made_is_read_to_the_byte() -> None:
    body = rules.project(b"\x00\xff{", "traksense/a/b/c/telem", "a_c", 1_700_000_000_000)
    (message,) = sqs.messages({"Records": [record(body)]})
    assert message.id == "m1"
    assert message.payload == b"\x00\xff{"
    assert (message.topic, message.client_id) == ("traksense/a/b/c/telem", "a_c")
    assert message.received_at_us == 1_700_000_000_000_000


def test_a_client_that_is_not_known_is_none() -> None:
    body = json.dumps({"payload": "", "topic": "x", "client_id": None, "received_at": 0})
    (message,) = sqs.messages({"Records": [record(body)]})
    assert (message.client_id, message.payload) == (None, b"")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "{}",
        '{"payload":"%%","topic":"x","received_at":1}',
        '{"payload":"","topic":7,"received_at":1}',
        '{"payload":"","topic":"x","received_at":"1"}',
        '{"payload":"","topic":"x","received_at":-1}',
        '{"payload":"","topic":"x","received_at":9999999999999999}',
        '{"payload":"","topic":"\\ud800","received_at":1}',
        "\ud800",
    ],
)
def test_a_body_of_nobodys_making_keeps_its_bytes_and_its_neighbours(body: str) -> None:
    good = rules.project(b"x", "a", "b", 1)
    foreign, neighbour = sqs.messages({"Records": [record(body), record(good)]})
    assert foreign.topic == ""
    assert foreign.payload == body.encode("utf-8", "replace")
    assert foreign.received_at_us == 1_700_000_000_123_000
    assert neighbour.payload == b"x"


def test_a_foreign_body_without_a_time_is_taken_all_the_same() -> None:
    (message,) = sqs.messages({"Records": [{"messageId": "m", "body": "x"}]})
    assert message.received_at_us == 0


def test_no_failure_is_an_empty_list_and_each_failure_an_item() -> None:
    assert sqs.failures([]) == {"batchItemFailures": []}
    assert sqs.failures(["a", "b"]) == {
        "batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]
    }
