"""Commands through the real app: who may send them, once for each key, and what became of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from functions.api.services import services
from tests.support.publisher import FakePublisher
from traksense.services.publisher import PublisherAway, PublishRefused
from traksense.wiring.api import api

from .support import OPERATOR, Answer, Person, World, call, outside

BODY = {"op": "reset_fault", "params": {"pulse_ms": 500}}


@pytest.fixture
def publisher(world: World) -> Iterator[FakePublisher]:
    """acme may send commands, globex may not; the app publishes here."""
    around = outside(world.login)
    assert isinstance(around.publisher, FakePublisher)
    before = services.made
    services.use(api(world.database, around))
    with world.connect() as connection:
        connection.execute("DELETE FROM public.commands")
        connection.execute("UPDATE public.tenants SET commands_enabled = slug = 'acme'")
    yield around.publisher
    services.use(before)


def send(
    world: World, body: object = None, person: Person | None = None, key: str | None = None,
    device: object = None,
) -> Answer:  # fmt: skip
    return call(
        "POST",
        f"/api/cmd/{device or world.acme.device}",
        person or world.acme.admin,
        body=BODY if body is None else body,
        headers={} if key is None else {"Idempotency-Key": key},
    )


def state(world: World, cmd_id: str) -> dict[str, Any]:
    path = f"/api/cmd/{world.acme.device}/{cmd_id}"
    answer: dict[str, Any] = call("GET", path, world.acme.admin).json
    return answer


def count(world: World) -> int:
    with world.connect() as connection:
        row = connection.execute("SELECT count(*) FROM public.commands").fetchone()
    assert row is not None
    return int(row[0])


def test_a_command_is_published_as_firmware_expects_it(
    world: World, publisher: FakePublisher
) -> None:
    answer = send(world)
    assert answer.status == 202
    cmd_id = answer.json["cmd_id"]
    assert answer.json == {"cmd_id": cmd_id, "status": "pending"}
    (message,) = publisher.messages
    assert message.topic == "traksense/acme/plant/chiller-0/cmd"
    assert (message.qos, message.retain) == (1, False)
    assert message.expiry_s is not None
    assert 57 <= message.expiry_s <= 60
    kept = state(world, cmd_id)
    assert json.loads(message.payload) == {
        "schema": "v1",
        "cmd_id": cmd_id,
        "op": "reset_fault",
        "params": {"pulse_ms": 500},
        "pulse_ms": 500,
        "by": "0a1b",
        "expires_at": kept["expires_at"],
    }
    assert kept["status"] == "pending"
    assert kept["published_at"] is not None
    assert (kept["op"], kept["params"], kept["by"]) == ("reset_fault", {"pulse_ms": 500}, "0a1b")
    assert (kept["acked_at"], kept["ts_exec"], kept["err"]) == (None, None, None)


def test_a_command_without_a_pulse_has_none_anywhere(
    world: World, publisher: FakePublisher
) -> None:
    assert send(world, {"op": "set_setpoint", "params": {"celsius": 7.5}}).status == 202
    assert send(world, {"op": "reboot"}).status == 202
    assert [json.loads(message.payload).get("pulse_ms") for message in publisher.messages] == [
        None, None,
    ]  # fmt: skip


def test_a_customer_sends_commands_only_where_her_tenant_may(
    world: World, publisher: FakePublisher
) -> None:
    refused = send(world, person=world.globex.admin, device=world.globex.device)
    assert refused.status == 403
    assert "may not send commands" in refused.json["detail"]
    assert send(world, person=world.acme.viewer).status == 403
    assert publisher.messages == []
    for headers in ({}, {"X-Tenant": "globex"}):
        path = f"/api/cmd/{world.globex.device}"
        answer = call("POST", path, OPERATOR, body=BODY, headers=headers)
        assert answer.status == 202
    assert {message.topic for message in publisher.messages} == {
        "traksense/globex/plant/chiller-0/cmd"
    }


def test_anothers_device_is_not_there(world: World, publisher: FakePublisher) -> None:
    assert send(world, device=world.globex.device).status == 404
    assert send(world, device=uuid4()).status == 404
    assert send(world, person=OPERATOR, device=uuid4()).status == 404
    foreign = call(
        "POST", f"/api/cmd/{world.globex.device}", OPERATOR, body=BODY, headers={"X-Tenant": "acme"}
    )
    assert foreign.status == 404
    assert (publisher.messages, count(world)) == ([], 0)


def test_a_device_behind_a_gateway_names_the_gateway(
    world: World, publisher: FakePublisher
) -> None:
    with world.connect() as connection:
        row = connection.execute(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name, gateway_id,"
            " gateway_code) SELECT tenant_id, site_id, template_id, 'behind', id, 'D01'"
            " FROM public.devices WHERE id = %s RETURNING id",
            (world.acme.device,),
        ).fetchone()
    assert row is not None
    answer = send(world, device=row[0])
    assert answer.status == 409
    assert "Send the command to the gateway chiller-0" in answer.json["detail"]
    with world.connect() as connection:
        connection.execute("DELETE FROM public.devices WHERE id = %s", row)
    assert (publisher.messages, count(world)) == ([], 0)


def test_a_retired_device_takes_no_commands(world: World, publisher: FakePublisher) -> None:
    for status, wanted in (("retired", 409), ("maintenance", 202), ("active", 202)):
        with world.connect() as connection:
            connection.execute(
                "UPDATE public.devices SET status = %s WHERE id = %s", (status, world.acme.device)
            )
        assert send(world).status == wanted
    assert len(publisher.messages) == 2


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"op": ""}, "body.op"),
        ({"op": "reset fault"}, "body.op"),
        ({"op": "reset\n"}, "body.op"),
        ({"op": "x" * 65}, "body.op"),
        ({"params": {}}, "body.op"),
        ({"op": "x", "params": []}, "body.params"),
        ({"op": "x", "params": None}, "body.params"),
        ({"op": "x", "params": {"pulse_ms": 0}}, "body.params.pulse_ms"),
        ({"op": "x", "params": {"pulse_ms": 60_001}}, "body.params.pulse_ms"),
        ({"op": "x", "params": {"pulse_ms": True}}, "body.params.pulse_ms"),
        ({"op": "x", "params": {"pulse_ms": "500"}}, "body.params.pulse_ms"),
        ({"op": "x", "params": {"pulse_ms": None}}, "body.params.pulse_ms"),
        ({"op": "x", "params": {"a\x00": 1}}, "body.params"),
        ({"op": "x", "params": {"a": "\x00"}}, "body.params"),
        ({"op": "x", "params": {"a": 2**63}}, "body.params"),
        ({"op": "x", "params": {"a": "x" * 9000}}, "body.params"),
        ({"op": "x", "params": {"a": [[[[[[[[1]]]]]]]]}}, "body.params"),
        ({"op": "x", "timeout_s": 4}, "body.timeout_s"),
        ({"op": "x", "timeout_s": 3601}, "body.timeout_s"),
        ({"op": "x", "tenant": "globex"}, "body.tenant"),
        ('{"op": "x", "params": {"a": NaN}}', "body.params"),
        ('{"op": "x", "params": {"a": 1e999}}', "body.params"),
    ],
)
def test_what_no_device_could_be_sent_is_refused(
    world: World, publisher: FakePublisher, body: object, loc: str
) -> None:
    answer = send(world, body)
    assert answer.status == 422, answer.text
    assert [each["loc"] for each in answer.json["errors"]] == [loc]
    assert (publisher.messages, count(world)) == ([], 0)


def test_the_same_key_and_body_give_the_same_answer_and_one_command(
    world: World, publisher: FakePublisher
) -> None:
    first = send(world, key="k-1")
    again = send(world, {"params": {"pulse_ms": 500}, "op": "reset_fault"}, key="k-1")
    assert (again.status, again.text) == (first.status, first.text) == (202, first.text)
    assert (len(publisher.messages), count(world)) == (1, 1)
    assert send(world, key="k-2").json["cmd_id"] != first.json["cmd_id"]
    assert send(world).json["cmd_id"] != send(world).json["cmd_id"]


@pytest.mark.parametrize(
    "other",
    [
        {"op": "reboot", "params": {"pulse_ms": 500}},
        {"op": "reset_fault", "params": {"pulse_ms": 501}},
        {"op": "reset_fault", "params": {"pulse_ms": 500}, "timeout_s": 61},
    ],
)
def test_a_key_that_was_used_for_another_request_is_refused(
    world: World, publisher: FakePublisher, other: dict[str, Any]
) -> None:
    assert send(world, key="k").status == 202
    answer = send(world, other, key="k")
    assert answer.status == 422
    assert answer.json["errors"][0]["loc"] == "header.Idempotency-Key"
    assert (len(publisher.messages), count(world)) == (1, 1)


def test_a_key_is_its_tenants_own(world: World, publisher: FakePublisher) -> None:
    mine = send(world, key="k")
    theirs = send(world, person=OPERATOR, device=world.globex.device, key="k")
    assert (mine.status, theirs.status) == (202, 202)
    assert mine.json["cmd_id"] != theirs.json["cmd_id"]


@pytest.mark.parametrize("key", ["", " ", "a b", "ç", "x" * 256, "a\x00"])
def test_a_malformed_key_is_refused(world: World, publisher: FakePublisher, key: str) -> None:
    answer = send(world, key=key)
    assert answer.status == 422
    assert publisher.messages == []


def test_a_broker_that_is_away_is_503_and_a_retry_publishes_the_same_command(
    world: World, publisher: FakePublisher
) -> None:
    publisher.failures = [PublisherAway("10.0.0.7 does not answer")]
    lost = send(world, key="k")
    assert lost.status == 503
    assert "Retry-After" in lost.headers
    assert "10.0.0.7" not in lost.text
    assert (publisher.messages, count(world)) == ([], 1)
    answer = send(world, key="k")
    assert answer.status == 202
    (message,) = publisher.messages
    assert json.loads(message.payload)["cmd_id"] == answer.json["cmd_id"]
    assert send(world, key="k").text == answer.text
    assert (len(publisher.messages), count(world)) == (1, 1)


def test_a_message_that_the_broker_refuses_is_our_fault_and_says_nothing(
    world: World, publisher: FakePublisher
) -> None:
    publisher.failures = [PublishRefused("denied on arn:aws:iot:1")]
    answer = send(world, key="k")
    assert answer.status == 500
    assert "arn" not in answer.text


def test_what_was_killed_between_commit_and_publish_is_published_by_a_retry_and_once(
    world: World, publisher: FakePublisher
) -> None:
    """The process dies after the command was stored: as if by kill -9, nothing is tidied up."""

    class Killed(BaseException):
        pass

    def die(_topic: str) -> None:
        raise Killed

    publisher.before = die
    with pytest.raises(Killed):
        send(world, key="k")
    publisher.before = lambda _topic: None
    assert (publisher.messages, count(world)) == ([], 1)
    first, second = send(world, key="k"), send(world, key="k")
    assert (first.status, first.text) == (202, second.text)
    assert (len(publisher.messages), count(world)) == (1, 1)


def test_what_was_killed_between_publish_and_its_note_keeps_its_cmd_id(
    world: World, publisher: FakePublisher
) -> None:
    """Then the device gets it twice, and knows it by its cmd_id."""
    first = send(world, key="k")
    with world.connect() as connection:
        connection.execute("UPDATE public.commands SET published_at = NULL")
    assert send(world, key="k").text == first.text
    payloads = {message.payload for message in publisher.messages}
    assert (len(publisher.messages), len(payloads)) == (2, 1)


@pytest.mark.parametrize(
    "change",
    [
        "status = 'timeout'",
        "status = 'acked', acked_at = now(), ok = true",
        "created_at = now() - interval '1 hour', expires_at = now() - interval '1 s'",
    ],
)
def test_a_command_that_is_over_is_not_published_by_a_retry(
    world: World, publisher: FakePublisher, change: str
) -> None:
    first = send(world, key="k")
    with world.connect() as connection:
        connection.execute(f"UPDATE public.commands SET published_at = NULL, {change}".encode())
    assert send(world, key="k").text == first.text
    assert len(publisher.messages) == 1


def test_many_at_once_with_one_key_make_one_command_that_is_published_once(
    world: World, publisher: FakePublisher
) -> None:
    together = threading.Barrier(8)

    def one(_: int) -> Answer:
        together.wait(10)
        with closing(world.database):  # this thread's connection
            return send(world, key="k")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert {(answer.status, answer.text) for answer in answers} == {(202, answers[0].text)}
    assert (len(publisher.messages), count(world)) == (1, 1)


def test_a_command_may_be_given_longer_and_its_pulse_is_waited_for(
    world: World, publisher: FakePublisher
) -> None:
    body = {"op": "x", "params": {"pulse_ms": 30_000}, "timeout_s": 3600}
    kept = state(world, send(world, body).json["cmd_id"])
    created, expires = (datetime.fromisoformat(kept[name]) for name in ("created_at", "expires_at"))
    assert expires - created == timedelta(hours=1)
    with world.connect() as connection:
        row = connection.execute("SELECT times_out_at - expires_at FROM public.commands").fetchone()
    assert row == (timedelta(seconds=40),)


def test_history_comes_newest_first_in_pages_and_by_filters(
    world: World, publisher: FakePublisher
) -> None:
    sent = [send(world, {"op": f"op{n % 2}"}).json["cmd_id"] for n in range(7)]
    sent.sort(reverse=True)
    path = f"/api/cmd/{world.acme.device}"
    seen: list[str] = []
    query: dict[str, str] = {"limit": "3"}
    while True:
        page = call("GET", path, world.acme.admin, query=query).json
        seen += [each["cmd_id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == sent
    with world.connect() as connection:
        connection.execute(
            "UPDATE public.commands SET status = 'error', acked_at = now(), ok = false,"
            " err = 'jammed', created_at = created_at - interval '1 day' WHERE cmd_id = %s",
            (sent[0],),
        )

    def ids(**filters: str) -> list[str]:
        answer = call("GET", path, world.acme.admin, query=filters)
        assert answer.status == 200, answer.text
        return [each["cmd_id"] for each in answer.json["items"]]

    assert ids(status="error") == [sent[0]]
    assert ids(status="acked") == []
    assert len(ids(op="op0")) == 4
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert ids(to=an_hour_ago) == [sent[0]]
    assert sorted(ids(**{"from": an_hour_ago})) == sorted(sent[1:])
    assert state(world, sent[0])["err"] == "jammed"


def test_a_command_is_found_under_its_own_device_only(
    world: World, publisher: FakePublisher
) -> None:
    cmd_id = send(world).json["cmd_id"]
    with world.connect() as connection:
        row = connection.execute(
            "SELECT id FROM public.devices WHERE tenant_id = %s AND id <> %s LIMIT 1",
            (world.acme.id, world.acme.device),
        ).fetchone()
    assert row is not None
    for device, name, status in (
        (world.acme.device, cmd_id, 200),
        (row[0], cmd_id, 404),
        (world.acme.device, cmd_id.lower(), 404),
        (world.acme.device, "01J", 404),
        (world.acme.device, "0" * 26, 404),
        (world.globex.device, cmd_id, 404),
    ):
        assert call("GET", f"/api/cmd/{device}/{name}", world.acme.admin).status == status
    assert call("GET", f"/api/cmd/{row[0]}", world.acme.admin).json["items"] == []


@pytest.mark.parametrize("cursor", ["x", "WzEsImNtZCIsIngiXQ", "WzEsImRldmljZXMiLCJhIiwiYiJd"])
def test_a_cursor_of_another_list_is_malformed(
    world: World, publisher: FakePublisher, cursor: str
) -> None:
    path = f"/api/cmd/{world.acme.device}"
    assert call("GET", path, world.acme.admin, query={"cursor": cursor}).status == 400
