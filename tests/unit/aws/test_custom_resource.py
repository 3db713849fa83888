"""How CloudFormation is answered, whatever happened."""

from __future__ import annotations

import json
from typing import Any
from urllib.error import URLError

import pytest

from traksense.aws.custom_resource import NotAnswered, NotARequest, Request, put

EVENT: dict[str, Any] = {
    "RequestType": "Update",
    "ResponseURL": "https://cloudformation.example/answer?X-Amz-Signature=hunter2",
    "StackId": "arn:aws:cloudformation:sa-east-1:123456789012:stack/traksense-dev-data/1",
    "RequestId": "7d0f9b1c",
    "LogicalResourceId": "Schema",
    "PhysicalResourceId": "traksense-schema",
    "ResourceProperties": {"ServiceToken": "arn:…", "Sql": "abc"},
}


class Sent:
    """What was put, after so many failures."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.tries = 0
        self.most_bytes = 0
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, url: str, body: bytes) -> None:
        self.tries += 1
        if self.tries <= self.failures:
            raise URLError("connection refused")
        assert url == EVENT["ResponseURL"]
        self.most_bytes = max(self.most_bytes, len(body))
        self.bodies.append(json.loads(body))


def test_a_success_says_again_what_was_asked() -> None:
    sent = Sent()
    Request.of_event(EVENT).succeeded("traksense-schema", {"Applied": "2"}, sent)
    assert sent.bodies == [
        {
            "Status": "SUCCESS",
            "Data": {"Applied": "2"},
            "PhysicalResourceId": "traksense-schema",
            "StackId": EVENT["StackId"],
            "RequestId": EVENT["RequestId"],
            "LogicalResourceId": "Schema",
        }
    ]


def test_a_failure_fits_into_an_answer_however_much_there_is_to_say() -> None:
    sent = Sent()
    Request.of_event(EVENT).failed("traksense-schema", "é" * 10_000, sent)
    (body,) = sent.bodies
    assert body["Status"] == "FAILED"
    assert body["Reason"].startswith("éé")
    assert sent.most_bytes <= 4096


def test_an_answer_that_does_not_get_through_is_sent_again() -> None:
    sent = Sent(failures=2)
    Request.of_event(EVENT).succeeded("traksense-schema", {}, sent)
    assert sent.tries == 3


def test_an_answer_that_never_gets_through_is_told_without_the_signed_address() -> None:
    with pytest.raises(NotAnswered, match="connection refused") as error:
        Request.of_event(EVENT).succeeded("traksense-schema", {}, Sent(failures=99))
    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("missing", ["RequestType", "ResponseURL", "StackId"])
def test_an_event_of_somebody_else_is_refused(missing: str) -> None:
    with pytest.raises(NotARequest, match=missing):
        Request.of_event({name: value for name, value in EVENT.items() if name != missing})


@pytest.mark.parametrize("change", [{"RequestType": "Drop"}, {"ResponseURL": "http://x.example"}])
def test_a_request_that_cannot_be_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(NotARequest):
        Request.of_event(EVENT | change)


def test_nothing_is_put_in_the_clear() -> None:
    with pytest.raises(URLError):
        put("http://127.0.0.1:1/x", b"")
