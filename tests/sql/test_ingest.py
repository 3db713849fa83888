"""Ingestion against a real PostgreSQL: what is stored, once, and what becomes of the rest."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from functions import sqs
from tests.sql.conftest import ingest_service
from tests.support import fleet
from tests.support.fleet import Seeded, event, normalised, record, telem
from traksense import bootstrap
from traksense.services.ingest import IngestService

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(autouse=True)
def _now_is_now() -> None:
    """Each test has its own now: minutes pass between the collection of tests and their turn."""
    global NOW
    NOW = datetime.now(UTC).replace(microsecond=0)


def stamp(seconds_ago: float = 0) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")


def take(service: IngestService, *records: dict[str, Any]) -> Any:
    return service.ingest(sqs.messages(event(*records)))


def rows(url: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def letters(url: str) -> list[tuple[Any, ...]]:
    return rows(url, "SELECT reason, detail, payload, occurrences FROM ingest_errors ORDER BY id")


def test_every_type_is_stored_in_its_column(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    payload = normalised(stamp(), temp=7.3, compressor_on=True, mode="COOL")
    payload["points"].append({"name": "note", "t": "text", "v": "Ação ✓"})
    result = take(ingest, record(telem("acme", "chiller-1"), payload))
    assert (result.failed, result.stored, result.reasons) == ([], 4, {})
    stored = rows(
        database_url,
        "SELECT p.name, r.v_num, r.v_bool, r.v_text, r.ts FROM m_raw r JOIN dim_point d"
        " USING (point_sk) JOIN points p ON p.id = d.point_id ORDER BY p.name",
    )
    assert stored == [
        ("compressor_on", None, True, None, NOW),
        ("mode", None, None, "COOL", NOW),
        ("note", None, None, "Ação ✓", NOW),
        ("temp", 7.3, None, None, NOW),
    ]


def test_every_vendor_reaches_its_points(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    unix = int(NOW.timestamp())
    result = take(
        ingest,
        record(telem("acme", "parsec-1"), {"di1": 1, "di2": 0, "rssi": -68, "ts": stamp()}),
        record(
            telem("acme", "je02-1"),
            {"DATA": {"TS": unix, "INPUT1": 1, "INPUT2": 0, "VAR0": 235}},
        ),
        record(
            "tds_new/devices/AA:BB:CC:DD:EE:FF/telemetry",
            {
                "gateway": fleet.GATEWAY_MAC,
                "timestamp": stamp(),
                "leituras": [
                    {"dispositivo": "D01", "valor": "123.450", "unidade": "kWh"},
                    {"dispositivo": "D02", "valor": "1.5", "unidade": "MWh"},
                ],
            },
        ),
        record(
            telem("acme", "khomp-1"),
            [
                {"bn": "4b686f6d70107115", "bt": unix},
                {"n": "A", "u": "Cel", "v": 23.35},
                {"n": "A", "u": "%RH", "v": 64.0},
            ],
        ),
    )
    assert result.failed == []
    stored = dict(
        rows(
            database_url,
            "SELECT v.name || '.' || p.name, coalesce(r.v_num::text, r.v_text, r.v_bool::text)"
            " FROM m_raw r JOIN dim_point d USING (point_sk) JOIN points p ON p.id = d.point_id"
            " JOIN devices v ON v.id = p.device_id",
        )
    )
    assert stored == {
        "parsec-1.status": "RUN",
        "parsec-1.fault": "false",
        "parsec-1.rssi": "-68",
        "je02-1.status": "RUN",
        "je02-1.var0": "23.5",
        "meter-D01.value": "123.45",
        "meter-D02.value": "1500",
        "sensor-1.A_celsius": "23.35",
        "sensor-1.A_percent_rh": "64",
    }


def test_a_point_that_was_renamed_elsewhere_is_known_in_the_batch_after_the_next_transaction(
    database_url: str, seeded: Seeded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TRAKSENSE_METRICS", "none")
    service = bootstrap.ingest()
    topic = telem("acme", "chiller-1")
    try:
        take(service, record(topic, normalised(stamp(3), temp=1.0)))
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "UPDATE public.points SET name = 'water' WHERE name = 'temp' AND device_id = %s",
                (seeded.devices["acme_chiller-1"],),
            )
        take(service, record(topic, normalised(stamp(2), pressure=1.0)))
        result = take(service, record(topic, normalised(stamp(1), water=1.0)))
    finally:
        service.close()
    assert (result.stored, result.reasons) == (1, {})


def test_a_message_delivered_twice_is_stored_once(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    one = record(telem("acme", "chiller-1"), normalised(stamp(), temp=7.3))
    first, second = take(ingest, one), take(ingest, one)
    assert (first.stored, first.duplicates) == (1, 0)
    assert (second.stored, second.duplicates, second.failed) == (0, 1, [])
    assert rows(database_url, "SELECT count(*), min(v_num) FROM m_raw") == [(1, 7.3)]


def test_the_first_value_of_a_key_wins_within_a_batch_and_over_batches(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    topic = telem("acme", "chiller-1")
    values = (1.0, 2.0)
    take(ingest, *(record(topic, normalised(stamp(), temp=value)) for value in values))
    take(ingest, record(topic, normalised(stamp(), temp=3.0)))
    assert rows(database_url, "SELECT v_num FROM m_raw") == [(1.0,)]


def test_a_repeat_among_fresh_readings_costs_none_of_them(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    topic = telem("acme", "chiller-1")
    take(ingest, record(topic, normalised(stamp(5), temp=5.0)))
    batch = [record(topic, normalised(stamp(n), temp=float(n))) for n in range(10)]
    result = take(ingest, *batch)
    assert (result.stored, result.duplicates, result.failed) == (9, 1, [])
    assert rows(database_url, "SELECT count(*), sum(v_num) FROM m_raw") == [(10, 45.0)]


def test_a_bad_point_does_not_lose_its_neighbours(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    payload = normalised(stamp(), temp=7.3, mode="SWIM", ghost=1.0)
    payload["points"].append({"name": "pressure", "v": 20, "u": "°C"})
    payload["points"].append({"name": "compressor_on", "v": 1})
    one = record(telem("acme", "chiller-1"), payload)
    result = take(ingest, one)
    assert (result.stored, result.failed) == (1, [])
    assert result.reasons == {
        "bad_enum_value": 1,
        "unknown_point": 1,
        "unit_mismatch": 1,
        "wrong_type": 1,
    }
    found = rows(database_url, "SELECT reason, errors, payload, tenant_id FROM ingest_errors")
    assert len(found) == 1, "one dead letter a message"
    assert {error["point"] for error in found[0][1]} == {
        "mode",
        "ghost",
        "pressure",
        "compressor_on",
    }
    assert found[0][2] == fleet.body_payload(one)
    assert found[0][3] == seeded.tenants["acme"]


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("traksense/acme/plant/chiller-1/telem", b"{nonsense", "bad_json"),
        ("traksense/acme/plant/chiller-1/telem", b"", "bad_payload"),
        ("traksense/acme/plant/chiller-1/telem", b"\xff\xfe\x00", "bad_json"),
        ("traksense/acme/plant/nobody/telem", b"{}", "unknown_device"),
        ("traksense/nobody/plant/chiller-1/telem", b"{}", "unknown_device"),
        ("traksense/acme/elsewhere/chiller-1/telem", b"{}", "unknown_device"),
        ("traksense/ACME/plant/chiller-1/telem", b"{}", "bad_topic"),
        ("tds_new/devices/11:22:33:44:55:66/telemetry", b"{}", "unknown_gateway"),
        ("tds_new/devices/not-a-mac/telemetry", b"{}", "bad_topic"),
        ("elsewhere", b"\x00\x01", "bad_topic"),
    ],
)
def test_what_cannot_be_accepted_is_kept_with_its_bytes_and_reason(
    database_url: str,
    ingest: IngestService,
    seeded: Seeded,
    topic: str,
    payload: bytes,
    reason: str,
) -> None:
    result = take(ingest, record(topic, payload))
    assert result.failed == []
    assert [(found[0], found[2]) for found in letters(database_url)] == [(reason, payload)]


def test_times_out_of_bounds_are_refused_and_those_just_inside_stored(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    day = 86_400
    topic = telem("acme", "chiller-1")
    stamps = (14 * day + 60, 14 * day - 60, -14 * 60, -16 * 60)
    result = take(ingest, *(record(topic, normalised(stamp(s), temp=1.0)) for s in stamps))
    assert result.stored == 2
    assert result.reasons == {"ts_too_old": 1, "ts_in_future": 1}


def test_a_dead_letter_is_kept_once_however_often_it_is_delivered(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    one = record(telem("acme", "chiller-1"), b"garbage", received_at=fleet.now_ms() - 5000)
    for _ in range(3):
        take(ingest, one)
    assert [(found[0], found[3]) for found in letters(database_url)] == [("bad_json", 1)]
    take(ingest, record(telem("acme", "chiller-1"), b"garbage"))
    assert [(found[0], found[3]) for found in letters(database_url)] == [("bad_json", 2)]


def test_a_payload_that_claims_another_mac_is_refused_whole(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    payload = {
        "gateway": "11:22:33:44:55:66",
        "timestamp": stamp(),
        "leituras": [{"dispositivo": "D01", "valor": "1", "unidade": "kWh"}],
    }
    result = take(ingest, record(f"tds_new/devices/{fleet.GATEWAY_MAC}/telemetry", payload))
    assert (result.stored, result.reasons) == (0, {"mac_mismatch": 1})


def test_an_unknown_meter_is_reported_and_the_known_ones_stored(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    payload = {
        "gateway": fleet.GATEWAY_MAC,
        "timestamp": stamp(),
        "readings": [
            {"device": "D99", "value": 5, "unit": "kWh"},
            {"device": "D01", "value": 7, "unit": "kWh"},
        ],
    }
    result = take(ingest, record(f"tds_new/devices/{fleet.GATEWAY_MAC}/telemetry", payload))
    assert (result.stored, result.reasons) == (1, {"unknown_device": 1})


def test_one_tenants_topic_never_reaches_anothers_points(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    take(ingest, record(telem("globex", "chiller-1"), normalised(stamp(), temp=1.0)))
    owners = rows(database_url, "SELECT tenant_id FROM m_raw JOIN dim_point USING (point_sk)")
    assert owners == [(seeded.tenants["globex"],)]


def test_meta_stands_on_the_first_reading_of_its_message_and_updates_the_device(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    payload = normalised(stamp(), temp=7.3, pressure=2.0)
    payload["meta"] = {"fw": "1.2.3"}
    take(ingest, record(telem("acme", "chiller-1"), payload))
    assert rows(database_url, "SELECT v_num, meta FROM m_raw WHERE meta IS NOT NULL") == [
        (7.3, {"fw": "1.2.3"})
    ]
    assert rows(
        database_url,
        "SELECT reported FROM device_state WHERE device_id = %s",
        seeded.devices["acme_chiller-1"],
    ) == [({"fw": "1.2.3"},)]


def test_a_device_heard_from_is_online_and_one_write_serves_ten_seconds(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    topic, at = telem("acme", "chiller-1"), fleet.now_ms() - 60_000
    query = "SELECT is_online, last_seen, xmin::text FROM device_state WHERE device_id = %s"
    device = seeded.devices["acme_chiller-1"]
    take(ingest, record(topic, normalised(stamp(1), temp=1.0), at))
    first = rows(database_url, query, device)
    take(ingest, record(topic, normalised(stamp(2), temp=1.0), at + 9_000))
    assert rows(database_url, query, device) == first
    take(ingest, record(topic, normalised(stamp(3), temp=1.0), at + 11_000))
    later = rows(database_url, query, device)
    assert first[0][0] is True
    assert later[0][1] - first[0][1] == timedelta(seconds=11)


def test_a_backlog_of_hours_does_not_make_a_device_online(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    hours_ago = fleet.now_ms() - 3 * 3_600_000
    topic = telem("acme", "chiller-1")
    take(ingest, record(topic, normalised(stamp(3 * 3600), temp=1.0), hours_ago))
    state = rows(
        database_url,
        "SELECT is_online, last_seen IS NOT NULL FROM device_state WHERE device_id = %s",
        seeded.devices["acme_chiller-1"],
    )
    assert state == [(False, True)]


def test_a_new_point_is_found_without_waiting_for_the_directory_to_age(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    topic = telem("acme", "chiller-1")
    clock = [0.0]
    ingest._directory._clock = lambda: clock[0]
    assert take(ingest, record(topic, normalised(stamp(1), novel=1.0))).stored == 0
    rows(
        database_url,
        "INSERT INTO points (tenant_id, device_id, name, type) VALUES (%s, %s, 'novel', 'num')"
        " RETURNING id",
        seeded.tenants["acme"],
        seeded.devices["acme_chiller-1"],
    )
    clock[0] += 6
    assert take(ingest, record(topic, normalised(stamp(2), novel=1.0))).stored == 1


def test_a_device_removed_after_it_was_cached_stores_nothing(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    topic = telem("acme", "chiller-1")
    assert take(ingest, record(topic, normalised(stamp(1), temp=1.0))).stored == 1
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM devices WHERE id = %s", (seeded.devices["acme_chiller-1"],))
    result = take(
        ingest,
        record(topic, normalised(stamp(2), temp=1.0)),
        record(telem("acme", "chiller-2"), normalised(stamp(2), temp=1.0)),
    )
    assert (result.stored, result.reasons, result.failed) == (1, {"unknown_device": 1}, [])


@pytest.mark.engine("plain")
def test_a_day_without_a_partition_gets_one(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    partition = f"m_raw_{NOW - timedelta(days=3):%Y%m%d}"
    with psycopg.connect(database_url) as connection:
        connection.execute(f"DROP TABLE public.{partition}".encode())
    result = take(
        ingest, record(telem("acme", "chiller-1"), normalised(stamp(3 * 86_400), temp=1.0))
    )
    assert (result.stored, result.failed) == (1, [])
    assert rows(database_url, f"SELECT count(*) FROM public.{partition}") == [(1,)]


def test_two_writers_of_the_same_readings_in_other_orders_store_each_once(
    database_url: str, seeded: Seeded
) -> None:
    records = [
        record(telem("acme", f"chiller-{1 + n % 2}"), normalised(stamp(n), temp=float(n)))
        for n in range(600)
    ]
    services = [ingest_service(database_url, slice_size=200) for _ in range(3)]
    results: list[Any] = []

    def work(service: IngestService, mine: list[dict[str, Any]]) -> None:
        results.append(take(service, *mine))

    threads = [
        threading.Thread(target=work, args=(service, order))
        for service, order in zip(
            services, (records, records[::-1], records[300:] + records[:300]), strict=True
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for service in services:
        service.close()
    assert [result.failed for result in results] == [[], [], []]
    assert sum(result.stored for result in results) == 600
    assert rows(database_url, "SELECT count(*), count(DISTINCT (point_sk, ts)) FROM m_raw") == [
        (600, 600)
    ]


def test_a_database_that_is_away_returns_the_whole_batch(seeded: Seeded) -> None:
    service = ingest_service("postgresql://nobody@127.0.0.1:1/none")
    records = [record(telem("acme", "chiller-1"), normalised(stamp(n), temp=1.0)) for n in range(3)]
    result = take(service, *records)
    service.close()
    assert result.failed == [each["messageId"] for each in records]
    assert result.stored == 0


def test_a_message_that_the_database_refuses_does_not_stop_its_batch(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE public.m_raw ADD CHECK (v_num IS DISTINCT FROM 13)")
    topic = telem("acme", "chiller-1")
    batch = [record(topic, normalised(stamp(n), temp=float(n))) for n in range(20)]
    result = take(ingest, *batch)
    assert (result.failed, result.stored) == ([], 19)
    found = letters(database_url)
    assert [(reason, payload) for reason, _, payload, _ in found] == [
        ("storage_refused", fleet.body_payload(batch[13]))
    ]


def test_a_body_that_no_rule_made_is_kept_and_stops_nothing(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    foreign = {"messageId": "x", "body": "not json", "attributes": {"SentTimestamp": "1"}}
    good = record(telem("acme", "chiller-1"), normalised(stamp(), temp=1.0))
    result = take(ingest, foreign, good)
    assert (result.failed, result.stored) == ([], 1)
    assert [found[:1] for found in letters(database_url)] == [("bad_topic",)]


def test_decimals_keep_their_digits(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    payload = json.dumps(normalised(stamp(), temp=0.0)).replace("0.0", "73.96732207").encode()
    take(ingest, record(telem("acme", "chiller-1"), payload))
    assert rows(database_url, "SELECT v_num::text FROM m_raw") == [("73.96732207",)]


def test_what_a_retired_device_sends_is_a_dead_letter_and_its_neighbours_go_on(
    database_url: str, ingest: IngestService, seeded: Seeded
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE public.devices d SET status = 'retired' FROM public.tenants t"
            " WHERE t.id = d.tenant_id AND t.slug = 'acme' AND d.name IN ('chiller-1', 'meter-D01')"
        )
    meters = {
        "gateway": fleet.GATEWAY_MAC,
        "timestamp": stamp(),
        "leituras": [
            {"dispositivo": code, "valor": "1", "unidade": "kWh"} for code in ("D01", "D02")
        ],
    }
    result = take(
        ingest,
        record(telem("acme", "chiller-1"), normalised(stamp(), temp=1.0)),
        record(telem("globex", "chiller-1"), normalised(stamp(), temp=1.0)),
        record(f"tds_new/devices/{fleet.GATEWAY_MAC}/telemetry", meters),
    )
    assert (result.failed, result.stored) == ([], 2)
    assert result.reasons == {"device_retired": 2}
    assert {letter[:2] for letter in letters(database_url)} == {
        ("device_retired", "chiller-1 is retired"),
        ("device_retired", "D01: meter-D01 is retired"),
    }
