"""Whatever devices send, and however often it is delivered: everything is accounted for, once."""

from __future__ import annotations

import json
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions import sqs
from tests.sql.conftest import ingest_service
from tests.support import fakes, fleet
from tests.support.fakes import InMemoryEventStore, InMemoryReadingStore
from traksense import vendors
from traksense.contracts.topics import Channel
from traksense.domain.messages import Message
from traksense.domain.readings import to_microseconds
from traksense.services.acceptance import TS_BITS, TS_MASK, Acceptance, Accepted
from traksense.services.device_events import DeviceEventsService
from traksense.services.directory import Directory
from traksense.services.ingest import IngestService

NOW = datetime.now(UTC).replace(microsecond=0)
NOW_US = to_microseconds(NOW)
NOW_MS = NOW_US // 1000

names = st.sampled_from(
    ["temp", "pressure", "compressor_on", "mode", "note", "ghost", "value", "A", "status", "", "\0"]
)
stamps: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [
            NOW.isoformat(), (NOW - timedelta(days=13)).isoformat(),
            (NOW - timedelta(days=15)).isoformat(), (NOW + timedelta(minutes=16)).isoformat(),
            "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "yesterday", "",
        ]
    ),
    st.integers(0, 10_000).map(lambda n: (NOW - timedelta(seconds=n)).isoformat()),
    st.sampled_from([0, -1, 1e300, NOW_MS // 1000, None, True, []]),
)  # fmt: skip
values = st.one_of(
    st.floats(), st.integers(), st.booleans(), st.none(), st.text(st.characters(), max_size=6),
    st.sampled_from(["COOL", "OFF", "1.5", 1e308, 5e-324, -0.0, 2**63, 10**400, {}, [[]]]),
)  # fmt: skip
units = st.sampled_from([None, "°C", "K", "bar", "psi", "kWh", "MWh", "furlong", "", "\0", 5])
points = st.fixed_dictionaries(
    {"name": names, "v": values},
    optional={
        "t": st.sampled_from(["float", "num", "bool", "enum", "text", "x", None]),
        "u": units,
        "ts": stamps,
    },
)
metas = st.dictionaries(st.text(max_size=4), values, max_size=3)
normalised = st.fixed_dictionaries(
    {
        "schema": st.sampled_from(["v1", "v1", "v1", "v2", None]),
        "points": st.lists(points, max_size=5),
    },
    optional={"ts": stamps, "meta": metas},
)
tds = st.fixed_dictionaries(
    {
        "leituras": st.lists(
            st.fixed_dictionaries(
                {"dispositivo": st.sampled_from(["D01", "D02", "D99", "", "\0"]), "valor": values},
                optional={"unidade": units, "timestamp": stamps},
            ),
            max_size=4,
        )
    },
    optional={"gateway": st.sampled_from([fleet.GATEWAY_MAC, "00:00:00:00:00:00", "x"]),
              "timestamp": stamps},
)  # fmt: skip
senml = st.lists(
    st.dictionaries(
        st.sampled_from(["bn", "bt", "bu", "bv", "n", "u", "v", "vs", "vb", "s", "t", "bver"]),
        st.one_of(
            values, st.sampled_from(["4b686f6d70107115", "A", "Cel", "%RH", "model", "urn:x"])
        ),
        max_size=5,
    ),
    max_size=4,
)
je02 = st.dictionaries(
    st.sampled_from(["DATA", "INFO"]),
    st.dictionaries(st.sampled_from(["TS", "INPUT1", "VAR0", "MODEL", "FW_VERSION"]), values),
)
events = st.fixed_dictionaries(
    {"schema": st.just("v1")},
    optional={
        "status": st.sampled_from(["online", "offline", "x"]), "ts": stamps,
        "event_type": names, "event_id": names, "data": metas, "code": names,
        "severity": st.sampled_from(["low", "critical", "x"]), "active": st.booleans(),
        "message": values, "cmd_id": names, "ok": st.booleans(),
        "clientId": names, "sessionIdentifier": names, "versionNumber": st.integers(),
        "disconnectReason": st.sampled_from(["DUPLICATE_CLIENTID", "x"]),
    },
)  # fmt: skip
finite = st.floats(allow_nan=False, allow_infinity=False)
recent = st.integers(0, 50).map(lambda n: (NOW - timedelta(minutes=n)).isoformat())
likely_points = st.one_of(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["temp", "pressure"]), "v": finite},
        optional={"u": st.sampled_from(["°C", "K", "bar", "psi"]), "ts": recent},
    ),
    st.fixed_dictionaries(
        {"name": st.just("compressor_on"), "t": st.just("bool"), "v": st.booleans()}
    ),
    st.fixed_dictionaries(
        {"name": st.just("mode"), "t": st.just("enum"), "v": st.sampled_from(["OFF", "COOL"])}
    ),
    st.fixed_dictionaries(
        {"name": st.just("note"), "t": st.just("text"), "v": st.text(max_size=9)}
    ),
)
likely_normalised = st.fixed_dictionaries(
    {
        "schema": st.just("v1"), "ts": recent,
        "points": st.lists(
            st.one_of(likely_points, likely_points, points), min_size=1, max_size=8
        ),
    },
    optional={"meta": metas},
)  # fmt: skip
likely_tds = st.fixed_dictionaries(
    {
        "gateway": st.just(fleet.GATEWAY_MAC), "timestamp": recent,
        "leituras": st.lists(
            st.fixed_dictionaries(
                {
                    "dispositivo": st.sampled_from(["D01", "D02", "D99"]),
                    "valor": finite.map(lambda v: f"{v:.3f}"[:100]),
                }
            ),
            min_size=1,
        ),
    }
)  # fmt: skip
likely_senml = st.lists(
    st.fixed_dictionaries(
        {"bn": st.sampled_from(["4b686f6d70107115", "x"]), "v": finite},
        optional={
            "n": st.sampled_from(["A", "A_celsius", "temp", "model"]),
            "u": st.sampled_from(["Cel", "%RH", "lm"]), "t": st.integers(-900, 900),
        },
    ),
    min_size=1, max_size=5,
)  # fmt: skip
likely_je02 = st.fixed_dictionaries(
    {},
    optional={
        "DATA": st.fixed_dictionaries(
            {"TS": st.just(NOW_MS // 1000)},
            optional={"INPUT1": st.integers(0, 2), "VAR0": finite},
        ),
        "INFO": st.fixed_dictionaries({"MODEL": st.text(max_size=5)}),
    },
)
payloads = st.one_of(
    likely_normalised.map(json.dumps).map(str.encode),
    st.one_of(normalised, st.lists(normalised, max_size=3), tds, senml, je02, events, values)
    .map(json.dumps)
    .map(str.encode),
    st.binary(max_size=60),
    st.sampled_from([b"[" * 5000, b'{"a":' * 3000, b'"\xed\xa0\x80"', b"\x00" * 9, b"1" * 5000]),
)
telem_topics = [
    *(fleet.telem(t, d) for t in ("acme", "globex") for d in ("chiller-1", "je02-1", "nobody")),
    *(fleet.telem("acme", d) for d in ("khomp-1", "meter-D01", "tds-1")),
    f"tds_new/devices/{fleet.GATEWAY_MAC}/telemetry",
    f"tds_new/devices/{fleet.GATEWAY_MAC.upper().replace(':', '')}/telemetry",
    "tds_new/devices/00:11:22:33:44:55/telemetry",
]
topics = st.one_of(
    st.sampled_from(telem_topics),
    st.sampled_from(
        [fleet.channel("acme", d, c) for c in Channel for d in ("chiller-1", "tds-1", "nobody")]
        + [f"$aws/events/presence/{e}/acme_tds-1" for e in ("connected", "disconnected", "x")]
        + ["", "elsewhere", "traksense/ACME/p/d/telem", "a/b/c/d/e", "\0", "$aws/events/presence"]
    ),
    st.text(max_size=20),
)
received = st.one_of(
    st.integers(NOW_MS - 3_600_000, NOW_MS),
    st.integers(NOW_MS - 20 * 86_400_000, NOW_MS + 86_400_000),
    st.sampled_from([NOW_MS, 0, 4_102_444_800_000]),
)


likely_messages = st.one_of(
    *(
        st.tuples(st.sampled_from(matching), each.map(json.dumps).map(str.encode))
        for matching, each in (
            ([fleet.telem(t, d) for t in ("acme", "globex") for d in ("chiller-1", "chiller-2")],
             likely_normalised),
            ([f"tds_new/devices/{fleet.GATEWAY_MAC}/telemetry"], likely_tds),
            ([fleet.telem("acme", "khomp-1")], likely_senml),
            ([fleet.telem("acme", "je02-1")], likely_je02),
        )
    )
)  # fmt: skip
messages_sent = st.one_of(
    likely_messages.map(lambda message: (*message, NOW_MS)),
    likely_messages.map(lambda message: (*message, NOW_MS)),
    st.tuples(topics, payloads, received),
)


@st.composite
def sqs_records(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Records of one event: most as the rule makes them, some of nobody's making."""
    made = []
    for _ in range(draw(st.integers(1, 5))):
        record = fleet.record(*draw(messages_sent))
        if draw(st.integers(0, 9)) == 0:
            record["body"] = draw(
                st.one_of(
                    st.text(max_size=20),
                    st.sampled_from(
                        [
                            "{}", "null", '{"payload":"?","topic":"x","received_at":1}',
                            '{"payload":"","topic":null,"received_at":1}',
                            '{"payload":"","topic":"x","received_at":1' + "0" * 30 + "}",
                            '{"payload":"","topic":"x","received_at":-1}',
                            '{"payload":"","topic":"\\ud800","received_at":1}',
                        ]
                    ),
                )
            )  # fmt: skip
        made.append(record)
    return made


def judge(acceptance: Acceptance, directory: Directory, messages: list[Message]) -> list[Accepted]:
    """What each message comes to on its own, and that nothing in it went missing."""
    directory.refresh(message.topic for message in messages)
    each = []
    for message in messages:
        accepted, device = Accepted(), directory.find(message.topic)
        acceptance.take(accepted, message, device, NOW_US)
        refused = accepted.reasons.total()
        assert (refused > 0) == (len(accepted.dead_letters) == 1)
        if device is not None and "mac_mismatch" not in accepted.reasons:
            adapter = "tds_v1" if message.topic.startswith("tds_new") else device.adapter
            decoded = vendors.decode(message.payload, adapter, message.received_at_us)
            taken = len(accepted.rows) + accepted.repeated + refused
            assert taken == len(decoded.readings) + len(decoded.rejections)
            if not taken:
                assert device.device_id in accepted.heard
        elif device is None:
            assert refused == 1
        own = set() if device is None else {p.point_sk for p in device.points.values()}
        for child in device.children.values() if device else ():
            own |= {p.point_sk for p in child.points.values()}
        for key in accepted.rows:
            assert key >> TS_BITS in own, "stored under another device"
            oldest = NOW_US - 14 * 86_400_000_000
            newest = min(message.received_at_us, NOW_US) + 15 * 60 * 1_000_000
            assert oldest <= key & TS_MASK <= newest, "stored at another time"
        assert "adapter_error" not in accepted.reasons
        each.append(accepted)
    return each


@settings(max_examples=400, deadline=None)
@given(sqs_records())
def test_telemetry_ends_as_readings_or_reasons_and_stops_nobody(
    records: list[dict[str, Any]],
) -> None:
    platform = fakes.platform()
    acceptance = Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot)
    messages = sqs.messages({"Records": records})
    each = judge(acceptance, Directory(platform), messages)
    service = IngestService(
        Directory(platform), acceptance, InMemoryReadingStore(platform), lambda: NOW_US, 2
    )
    result = service.ingest(messages)
    again = service.ingest(messages)
    service.close()
    assert (result.failed, again.failed, again.stored) == ([], [], 0)
    assert {sk << TS_BITS | ts for sk, ts in platform.readings} == {
        key for accepted in each for key in accepted.rows
    }
    assert set(platform.letters) == {key for one in each for key in one.dead_letters}
    assert result.stored == len(platform.readings)


@settings(max_examples=400, deadline=None)
@given(sqs_records())
def test_a_message_taken_whole_comes_to_what_its_points_come_to_one_by_one(
    records: list[dict[str, Any]],
) -> None:
    directory = Directory(fakes.platform())
    messages = sqs.messages({"Records": [*records, *records[:1]]})
    directory.refresh(message.topic for message in messages)
    whole, one_by_one = Accepted(), Accepted()
    ways = [
        (whole, Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot)),
        (one_by_one, Acceptance(vendors.decode, timedelta(days=14))),
    ]
    for message in messages:
        for accepted, acceptance in ways:
            acceptance.take(accepted, message, directory.find(message.topic), NOW_US)
        assert whole == one_by_one
    assert list(whole.rows) == list(one_by_one.rows)
    assert [*map(type, whole.rows.values())] == [*map(type, one_by_one.rows.values())]


@settings(max_examples=300, deadline=None)
@given(sqs_records())
def test_device_events_end_as_state_or_reasons_and_stop_nobody(
    records: list[dict[str, Any]],
) -> None:
    platform = fakes.platform()
    service = DeviceEventsService(Directory(platform), InMemoryEventStore(platform), lambda: NOW_US)
    messages = sqs.messages({"Records": records})
    result = service.take(messages)
    assert result.failed == []
    assert "adapter_error" not in result.reasons
    before = (len(platform.letters), len(platform.events), len(platform.alarms))
    service.take(messages)
    assert (len(platform.letters), len(platform.events), len(platform.alarms)) == before


# The same over PostgreSQL, delivered again and again by two services at once.


@pytest.fixture(scope="module")
def seeded_url(module_database_url: str) -> str:
    fleet.seed(module_database_url)
    return module_database_url


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


sent_readings = st.lists(
    st.tuples(
        st.sampled_from(["acme", "globex"]), st.sampled_from(["temp", "pressure"]),
        st.integers(0, 40), st.floats(-1e6, 1e6),
    ),
    min_size=1,
    max_size=40,
)  # fmt: skip


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    first=sent_readings, more=sent_readings, seed=st.integers(0, 10**6), slice_=st.integers(1, 9)
)
def test_each_distinct_reading_is_stored_once_with_its_first_value(
    seeded_url: str, first: list[Any], more: list[Any], seed: int, slice_: int
) -> None:
    rows(seeded_url, "TRUNCATE m_raw, ingest_errors")
    chance = random.Random(seed)

    def telemetry(tenant: str, point: str, ago: int, value: float) -> dict[str, Any]:
        ts = (NOW - timedelta(hours=ago)).isoformat()
        return fleet.record(
            fleet.telem(tenant, "chiller-1"), fleet.normalised(ts, **{point: value}), NOW_MS
        )

    junk = [
        fleet.record(fleet.telem("acme", "chiller-1"), b"junk %d" % n, NOW_MS) for n in range(4)
    ]
    late = telemetry("acme", "temp", 24 * 20, 1.0)
    services = [ingest_service(seeded_url, slice_size=slice_) for _ in range(2)]
    opening = [telemetry(*one) for one in first]
    assert services[0].ingest(sqs.messages(fleet.event(*opening))).failed == []
    everything = [*opening, *(telemetry(*one) for one in more), *junk, late]
    failed: list[str] = []

    def deliver(service: IngestService, order: list[dict[str, Any]]) -> None:
        while order:
            size = min(len(order), 1 + len(order) // 3)
            batch, order = order[:size], order[size:]
            failed.extend(service.ingest(sqs.messages(fleet.event(*batch))).failed)

    threads = []
    for service in services:
        order = [*everything, *chance.sample(everything, len(everything) // 2)]
        chance.shuffle(order)
        threads.append(threading.Thread(target=deliver, args=(service, order)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for service in services:
        service.close()
    assert failed == []
    firsts: dict[tuple[Any, ...], float] = {}
    for tenant, point, ago, value in first:
        firsts.setdefault((tenant, point, ago), value)
    possible: dict[tuple[Any, ...], set[float]] = {key: {value} for key, value in firsts.items()}
    for tenant, point, ago, value in more:
        if (tenant, point, ago) not in firsts:
            possible.setdefault((tenant, point, ago), set()).add(value)
    stored = rows(
        seeded_url,
        "SELECT t.slug, p.name, r.ts, r.v_num FROM m_raw r JOIN dim_point d USING (point_sk)"
        " JOIN points p ON p.id = d.point_id JOIN tenants t ON t.id = d.tenant_id",
    )
    found = {
        (tenant, point, (NOW - ts) // timedelta(hours=1)): v for tenant, point, ts, v in stored
    }
    assert len(stored) == len(found) == len(possible)
    assert all(value in possible[key] for key, value in found.items())
    letters = rows(seeded_url, "SELECT reason, occurrences FROM ingest_errors")
    assert sorted(letters) == [("bad_json", 1)] * 4 + [("ts_too_old", 1)]
