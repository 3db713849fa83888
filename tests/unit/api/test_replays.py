"""Dead letters put through again, through the app."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from functions.api.services import services
from tests.support.publisher import FakePublisher
from traksense.contracts.rules import RULES
from traksense.contracts.topics import Channel, matches
from traksense.services.publisher import PublisherAway, PublishRefused
from traksense.services.replays import TOPICS, Replays
from traksense.wiring.api import api

from .support import OPERATOR, Answer, FakeLogin, World, call, outside

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
TELEM = "traksense/acme/plant/chiller-0/telem"


@pytest.fixture
def publisher(world: World) -> Iterator[FakePublisher]:
    before = services.made
    around = outside(FakeLogin())
    services.use(api(world.database, around))
    with world.connect() as connection:
        connection.execute("DELETE FROM public.ingest_errors")
    assert isinstance(around.publisher, FakePublisher)
    yield around.publisher
    services.use(before)


def add(
    world: World, topic: str = TELEM, payload: bytes = b"{}", *, minutes: int = 0,
    reason: str = "bad_json", tenant: UUID | None = None,
) -> int:  # fmt: skip
    at = FIRST + timedelta(minutes=minutes)
    with world.connect() as connection:
        row = connection.execute(
            "INSERT INTO public.ingest_errors (fingerprint, received_at, last_received_at,"
            " tenant_id, topic, reason, detail, payload)"
            " VALUES (%s, %s, %s, %s, %s, %s, 'x', %s) RETURNING id",
            (hashlib.sha256(topic.encode() + b"\0" + payload).digest(), at, at,
             tenant or world.acme.id, topic, reason, payload),
        ).fetchone()  # fmt: skip
    assert row is not None
    return int(row[0])


def replay(body: object, **headers: str) -> Answer:
    return call("POST", "/api/dlq/replay", OPERATOR, body=body, headers=headers)


def letters(world: World) -> dict[int, dict[str, Any]]:
    items = call("GET", "/api/dlq", OPERATOR, query={"limit": "500"}).json["items"]
    return {item["id"]: item for item in items}


def test_the_very_bytes_go_to_their_topic_and_the_letter_stays(
    world: World, publisher: FakePublisher
) -> None:
    payload = b'\x00\xff{"a": \xc3\xa7}'
    one, other = add(world, payload=payload), add(world, payload=b"other")
    answer = replay({"ids": [one]})
    assert answer.status == 200, answer.text
    assert answer.json == {
        "items": [{"id": one, "outcome": "published", "detail": None}], "more": False,
    }  # fmt: skip
    (message,) = publisher.messages
    assert (message.topic, message.payload) == (TELEM, payload)
    assert (message.qos, message.retain, message.expiry_s) == (1, False, None)
    kept = letters(world)
    assert kept[one]["replays"] == 1
    assert kept[one]["replayed_at"] is not None
    assert (kept[other]["replays"], kept[other]["replayed_at"]) == (0, None)
    assert replay({"ids": [one, one]}).json["items"] == answer.json["items"]
    assert letters(world)[one]["replays"] == 2
    assert len(publisher.messages) == 2


@pytest.mark.parametrize(
    "topic",
    [
        "traksense/acme/plant/chiller-0/state",
        "$aws/events/presence/connected/acme_chiller-0",
        "traksense/acme/plant/chiller-0/cmd",
        "traksense/acme/plant/chiller-0/telem/x",
        "x/traksense/acme/plant/chiller-0/telem",
        "traksense/acme/chiller-0/telem",
        "",
    ],
)
def test_what_counts_by_its_arrival_or_that_nobody_takes_is_refused(
    world: World, publisher: FakePublisher, topic: str
) -> None:
    letter, good = add(world, topic), add(world, minutes=1)
    items = replay({"ids": [good, letter]}).json["items"]
    assert [(item["id"], item["outcome"]) for item in items] == [
        (letter, "refused"), (good, "published"),
    ]  # fmt: skip
    assert "state and presence" in items[0]["detail"]
    assert [message.topic for message in publisher.messages] == [TELEM]
    assert replay({"filter": {}}).json == {"items": [], "more": False}
    assert letters(world)[letter]["replays"] == 0


def test_the_topics_that_go_out_again_are_those_of_the_rules_but_state_and_presence() -> None:
    assert len(TOPICS) == len(RULES) - 2
    shown = {channel for channel in Channel if any(f"/{channel}$" in each for each in TOPICS)}
    assert shown == {Channel.TELEM, Channel.EVENT, Channel.ALARM, Channel.ACK}
    assert any(matches(rule.topic_filter, "tds_new/devices/x/telemetry") for rule in RULES)


def test_a_filter_takes_the_oldest_first_and_each_letter_once(
    world: World, publisher: FakePublisher
) -> None:
    ids = [add(world, payload=f"{n}".encode(), minutes=n) for n in range(5)]
    add(world, payload=b"too large" * 20_000)
    add(world, "traksense/acme/plant/chiller-0/state")
    seen: list[int] = []
    for more in (True, True, False):
        answer = replay({"filter": {"reason": "bad_json"}, "limit": 2}).json
        assert answer["more"] is more
        seen += [item["id"] for item in answer["items"]]
    assert seen == ids
    assert [message.payload for message in publisher.messages] == [b"0", b"1", b"2", b"3", b"4"]
    assert replay({"filter": {}}).json["items"] == []


def test_a_filter_is_that_of_the_list_and_stays_in_the_chosen_tenant(
    world: World, publisher: FakePublisher
) -> None:
    mine = add(world)
    theirs = add(world, "traksense/globex/plant/chiller-0/event", tenant=world.globex.id)
    nobodys = add(world, "tds_new/devices/x/telemetry", reason="unknown_gateway", minutes=5)

    def found(filters: dict[str, str], **headers: str) -> list[int]:
        with world.connect() as connection:
            connection.execute("UPDATE public.ingest_errors SET replayed_at = NULL")
        return [item["id"] for item in replay({"filter": filters}, **headers).json["items"]]

    assert found({}) == [mine, theirs, nobodys]
    assert found({}, **{"X-Tenant": "globex"}) == [theirs]
    assert found({"reason": "unknown_gateway"}) == [nobodys]
    assert found({"topic": "traksense/globex/"}) == [theirs]
    assert found({"from": "2026-01-01T00:01:00Z"}) == [nobodys]
    assert found({"to": "2026-01-01T00:01:00Z"}) == [mine, theirs]
    published = len(publisher.messages)
    assert replay({"ids": [theirs, mine]}, **{"X-Tenant": "acme"}).status == 404
    assert len(publisher.messages) == published


def test_a_letter_that_is_not_there_stops_the_call_before_anything_is_published(
    world: World, publisher: FakePublisher
) -> None:
    assert replay({"ids": [add(world), 2**62]}).status == 404
    assert publisher.messages == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": [0]},
        {"ids": ["1"]},
        {"ids": [2**63]},
        {"ids": list(range(1, 102))},
        {"ids": [1], "filter": {}},
        {"filter": {}, "limit": 101},
        {"filter": {}, "limit": 0},
        {"filter": {"reason": "boredom"}},
        {"filter": {"from": "yesterday"}},
        {"filter": {"device": "x"}},
    ],
)
def test_a_call_names_ids_or_a_filter_and_not_too_many(
    world: World, publisher: FakePublisher, body: object
) -> None:
    assert replay(body).status == 422
    assert publisher.messages == []


def test_a_broker_that_goes_away_in_the_middle_loses_no_letter(
    world: World, publisher: FakePublisher
) -> None:
    ids = [add(world, payload=f"{n}".encode(), minutes=n) for n in range(4)]
    published: list[str] = []

    def fail_the_third(topic: str) -> None:
        published.append(topic)
        if len(published) == 3:
            raise PublisherAway("gone")

    publisher.before = fail_the_third
    items = replay({"ids": ids}).json["items"]
    assert [item["outcome"] for item in items] == [
        "published", "published", "not_tried", "not_tried",
    ]  # fmt: skip
    publisher.before = lambda _: None
    assert [item["id"] for item in replay({"filter": {}}).json["items"]] == ids[2:]
    assert set(letters(world)) == set(ids)


def test_a_broker_that_is_away_is_503_and_nothing_is_marked(
    world: World, publisher: FakePublisher
) -> None:
    letter = add(world)
    publisher.failures = [PublisherAway("gone")]
    assert replay({"ids": [letter]}).status == 503
    assert letters(world)[letter]["replays"] == 0


def test_a_message_that_the_broker_refuses_stops_no_other(
    world: World, publisher: FakePublisher
) -> None:
    bad, good = add(world), add(world, payload=b"good", minutes=1)
    publisher.failures = [PublishRefused("no")]
    items = replay({"ids": [bad, good]}).json["items"]
    assert [item["outcome"] for item in items] == ["refused", "published"]
    assert letters(world)[bad]["replays"] == 0


def test_a_call_ends_within_its_time(world: World, publisher: FakePublisher) -> None:
    ids = [add(world, payload=f"{n}".encode(), minutes=n) for n in range(3)]
    store = services.get().replays._store
    ticks = iter([0.0, 1.0, 21.0, 22.0])
    done = Replays(store, publisher, clock=lambda: next(ticks)).by_ids(None, ids)
    assert [item.outcome for item in done.items] == ["published", "not_tried", "not_tried"]
