"""The custom resource of the deployment: it always answers, and takes nothing away."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from functions.migrate.handler import answer
from traksense.aws.custom_resource import Request
from traksense.db.migrate import MigrationError
from traksense.domain.errors import ConfigurationError, DatabaseAway

EVENT: dict[str, Any] = {
    "RequestType": "Create",
    "ResponseURL": "https://cloudformation.example/answer",
    "StackId": "stack",
    "RequestId": "request",
    "LogicalResourceId": "Schema",
    "ResourceProperties": {
        "Connections": {"ingest": "10", "api": "40"},
        "Secrets": {"ingest": "arn:one"},
    },
}


class FakeSchema:
    """A database that takes three migrations, or does not."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[tuple[Mapping[str, int], Mapping[str, str] | None, float]] = []

    def bring(
        self,
        connections: Mapping[str, int],
        secrets: Mapping[str, str] | None,
        time_left_s: Callable[[], float],
    ) -> int:
        self.asked.append((connections, secrets, time_left_s()))
        if self.error is not None:
            raise self.error
        return 3


def answers(schema: FakeSchema, **changes: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    answer(
        Request.of_event(EVENT | changes),
        lambda: schema,
        lambda: 870.0,
        lambda url, body: sent.append(json.loads(body)),
    )
    return sent


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_a_deployment_migrates_and_tells_how_much(kind: str) -> None:
    schema = FakeSchema()
    (told,) = answers(schema, RequestType=kind)
    assert (told["Status"], told["Data"]) == ("SUCCESS", {"Applied": "3"})
    assert schema.asked == [({"ingest": 10, "api": 40}, {"ingest": "arn:one"}, 870.0)]


def test_a_stack_that_is_deleted_takes_nothing_out_of_the_database() -> None:
    schema = FakeSchema(AssertionError("the database was asked"))
    (told,) = answers(schema, RequestType="Delete")
    assert told["Status"] == "SUCCESS"
    assert schema.asked == []


def test_the_resource_stays_the_same_so_that_no_update_deletes_it() -> None:
    assert {
        answers(FakeSchema(), RequestType=kind)[0]["PhysicalResourceId"]
        for kind in ("Create", "Update", "Delete")
    } == {"traksense-schema"}


@pytest.mark.parametrize(
    "error",
    [
        MigrationError("migration 0031_more failed and was undone: …"),
        DatabaseAway("the database is starting up"),
        ConfigurationError("the secret x cannot be read: AccessDeniedException"),
    ],
)
def test_what_went_wrong_is_told_where_the_deployment_is_watched(error: Exception) -> None:
    (told,) = answers(FakeSchema(error))
    assert (told["Status"], told["Reason"]) == ("FAILED", str(error))


def test_what_nobody_foresaw_ends_the_deployment_too_and_is_in_the_log() -> None:
    sent: list[dict[str, Any]] = []
    with pytest.raises(ZeroDivisionError):
        answer(
            Request.of_event(EVENT),
            lambda: FakeSchema(ZeroDivisionError("hunter2")),
            lambda: 870.0,
            lambda url, body: sent.append(json.loads(body)),
        )
    assert sent[0]["Status"] == "FAILED"
    assert "hunter2" not in sent[0]["Reason"]


@pytest.mark.parametrize("properties", [{}, {"Connections": {"a": "x"}}, {"Connections": "7"}])
def test_properties_that_name_no_numbers_fail_the_deployment(properties: dict[str, Any]) -> None:
    schema = FakeSchema()
    (told,) = answers(schema, ResourceProperties=properties)
    assert told["Status"] == "FAILED"
    assert "Connections must name numbers" in told["Reason"]
    assert schema.asked == []
