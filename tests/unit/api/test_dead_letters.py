"""Dead letters through the app."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from traksense.services import dead_letters

from .support import OPERATOR, World, call

FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def letters(world: World) -> World:
    with world.connect() as connection:
        for n in range(6):
            add(
                connection,
                FIRST + timedelta(minutes=n // 2),
                world.acme.id if n % 2 else world.globex.id,
                f"traksense/{'acme' if n % 2 else 'globex'}/plant/chiller-{n}/telem",
                "bad_json" if n < 3 else "unknown_point",
                b'{"n": %d}' % n,
            )
        add(connection, FIRST + timedelta(hours=1), None, "tds_new/devices/x/telemetry",
            "unknown_gateway", b"\xff\x00\x01")  # fmt: skip
        add(connection, FIRST + timedelta(hours=2), None, "tds_new/devices/y/telemetry",
            "unknown_gateway", "ação\x00".encode())  # fmt: skip
    return world


def add(
    connection: Any, at: datetime, tenant: UUID | None, topic: str, reason: str, payload: bytes
) -> None:
    connection.execute(
        "INSERT INTO public.ingest_errors (fingerprint, received_at, last_received_at, tenant_id,"
        " topic, client_id, reason, detail, payload) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            hashlib.sha256(topic.encode() + payload).digest(),
            at, at, tenant, topic, "a_client", reason, "what is wrong", payload,
        ),
    )  # fmt: skip


def payloads(**query: str) -> list[str]:
    answer = call("GET", "/api/dlq", OPERATOR, query=query)
    assert answer.status == 200, answer.text
    return [item["payload"] for item in answer.json["items"]]


def test_a_dead_letter_has_the_promised_shape(letters: World) -> None:
    item = call("GET", "/api/dlq", OPERATOR, query={"reason": "bad_json", "limit": "1"}).json[
        "items"
    ][0]
    assert isinstance(item.pop("id"), int)
    assert item == {
        "received_at": "2026-01-01T00:01:00Z",
        "last_received_at": "2026-01-01T00:01:00Z",
        "occurrences": 1,
        "tenant": "globex",
        "topic": "traksense/globex/plant/chiller-2/telem",
        "client_id": "a_client",
        "reason": "bad_json",
        "detail": "what is wrong",
        "payload": '{"n": 2}',
        "payload_encoding": "utf-8",
        "replayed_at": None,
        "replays": 0,
    }


def test_what_is_no_text_comes_as_base64(letters: World) -> None:
    items = call("GET", "/api/dlq", OPERATOR, query={"reason": "unknown_gateway"}).json["items"]
    assert [item["payload_encoding"] for item in items] == ["base64", "base64"]
    assert [base64.b64decode(item["payload"]) for item in items] == [
        "ação\x00".encode(),
        b"\xff\x00\x01",
    ]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"tenant": "acme"}, [5, 3, 1]),
        ({"tenant": "globex", "reason": "bad_json"}, [2, 0]),
        ({"topic": "traksense/acme/plant/chiller-3"}, [3]),
        ({"topic": "%/acme"}, []),
        ({"topic": "traksense/", "from": "2026-01-01T00:01:00Z"}, [5, 4, 3, 2]),
        ({"topic": "traksense/", "to": "2026-01-01T00:01:00Z"}, [1, 0]),
    ],
)
def test_filters_narrow_the_list(letters: World, query: dict[str, str], wanted: list[int]) -> None:
    assert payloads(**query) == [f'{{"n": {n}}}' for n in wanted]


@pytest.mark.parametrize("limit", [1, 2, 3, 8])
def test_pages_hold_each_letter_once_newest_first(letters: World, limit: int) -> None:
    seen: list[tuple[str, int]] = []
    cursor: str | None = None
    for _ in range(20):
        query = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
        body = call("GET", "/api/dlq", OPERATOR, query=query).json
        seen += [(item["received_at"], item["id"]) for item in body["items"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 8
    assert seen == sorted(set(seen), reverse=True)


def test_a_page_of_large_payloads_ends_early_and_goes_on(letters: World) -> None:
    large = 128 * 1024
    with letters.connect() as connection:
        for n in range(20):
            add(connection, FIRST - timedelta(days=1, seconds=n), letters.acme.id, "large/topic",
                "bad_payload", bytes([n]) * large)  # fmt: skip
    seen = 0
    cursor: str | None = None
    for _ in range(20):
        query = {"topic": "large/"} | ({} if cursor is None else {"cursor": cursor})
        answer = call("GET", "/api/dlq", OPERATOR, query=query)
        assert len(answer.text) < 6_000_000
        seen += len(answer.json["items"])
        cursor = answer.json["next_cursor"]
        if cursor is None:
            break
        assert len(answer.json["items"]) == dead_letters.MAX_PAGE_BYTES // large
    assert seen == 20


def test_a_payload_larger_than_a_page_still_comes(letters: World) -> None:
    with letters.connect() as connection:
        add(connection, FIRST, None, "huge/topic", "too_large",
            b"x" * (dead_letters.MAX_PAGE_BYTES + 1))  # fmt: skip
    assert [len(payload) for payload in payloads(topic="huge/")] == [
        dead_letters.MAX_PAGE_BYTES + 1
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"reason": "no_such_reason"},
        {"topic": ""},
        {"topic": "a\x00"},
        {"from": "yesterday"},
        {"limit": "501"},
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "٣"},
    ],
)
def test_a_bad_filter_is_invalid(letters: World, query: dict[str, str]) -> None:
    assert call("GET", "/api/dlq", OPERATOR, query=query).status == 422
