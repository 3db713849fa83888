from __future__ import annotations

import hashlib

import pytest

from local.bridge.deliveries import Delivery
from local.bridge.event import failed_ids, sqs_event
from local.bridge.queue import Message


def test_an_event_has_the_shape_of_sqs() -> None:
    message = Message("id-1", '{"a":1}', 1_700_000_000_000, Delivery(1, 0))
    message.receives, message.first_received_ms = 2, 1_700_000_000_500
    assert sqs_event("ingest", [message]) == {
        "Records": [
            {
                "messageId": "id-1",
                "receiptHandle": "id-1:2",
                "body": '{"a":1}',
                "attributes": {
                    "ApproximateReceiveCount": "2",
                    "SentTimestamp": "1700000000000",
                    "SenderId": "000000000000",
                    "ApproximateFirstReceiveTimestamp": "1700000000500",
                },
                "messageAttributes": {},
                "md5OfBody": hashlib.md5(b'{"a":1}').hexdigest(),
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:ingest",
                "awsRegion": "us-east-1",
            }
        ]
    }


@pytest.mark.parametrize(
    "answer", [None, {}, {"batchItemFailures": None}, {"batchItemFailures": []}]
)
def test_an_answer_without_failures_is_a_success_of_all(answer: object) -> None:
    assert failed_ids(answer, ["a", "b"]) == set()


def test_only_the_named_messages_go_back() -> None:
    answer = {"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "b"}]}
    assert failed_ids(answer, ["a", "b"]) == {"b"}


@pytest.mark.parametrize(
    "answer",
    [
        "ok",
        {"batchItemFailures": "b"},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"id": "a"}]},
        {"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "of another batch"}]},
        {"batchItemFailures": ["a"]},
    ],
)
def test_an_answer_that_makes_no_sense_is_a_failure_of_all(answer: object) -> None:
    assert failed_ids(answer, ["a", "b"]) == {"a", "b"}
