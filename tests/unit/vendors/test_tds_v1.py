from __future__ import annotations

import itertools
from typing import Any

import pytest

from traksense.domain.reasons import Reason

TS = "2026-02-18T12:46:36.075017Z"
TS_US = 1_771_418_796_075_017


def one(value: Any, **fields: Any) -> dict[str, Any]:
    return {"timestamp": TS, "leituras": [{"dispositivo": "D01", "valor": value, **fields}]}


@pytest.mark.parametrize(
    ("entries", "code", "value", "unit", "time"),
    list(
        itertools.product(
            ("leituras", "readings"),
            ("dispositivo", "device"),
            ("valor", "value"),
            ("unidade", "unit"),
            ("timestamp", "time"),
        )
    ),
)
def test_every_mix_of_field_names_is_understood(
    read: Any, entries: str, code: str, value: str, unit: str, time: str
) -> None:
    decoded = read({time: TS, entries: [{code: "D01", value: "1.5", unit: "kWh"}]})
    [reading] = decoded.readings
    assert (reading.child, reading.point, reading.value, reading.unit, reading.ts_us) == (
        "D01",
        "value",
        1.5,
        "kWh",
        TS_US,
    )


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("123.450", 123.45),
        ("0.1", 0.1),
        ("-0.30", -0.3),
        ("+7", 7.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1.25E-2", 0.0125),
        ("00012.50", 12.5),
        ("9007199254740993", 9007199254740992.0),
        ("1e-999", 0.0),
        (7, 7.0),
        (7.25, 7.25),
    ],
)
def test_a_decimal_is_the_nearest_double(read: Any, sent: object, stored: float) -> None:
    assert read(one(sent), "tds_v1").readings[0].value == stored


@pytest.mark.parametrize(
    "sent",
    ["", " ", "nan", "NaN", "inf", "-Infinity", "1_000", "1,5", "1.234,5", "0x10", "1 2", "1\n",
     "--1", "e5", ".", "1e", "１２", "1" * 129, True, None, [], {}],
)  # fmt: skip
def test_what_is_no_plain_decimal_is_the_wrong_type(read: Any, faults: Any, sent: object) -> None:
    decoded = read(one(sent), "tds_v1")
    assert decoded.readings == []
    assert faults(decoded) == [(Reason.WRONG_TYPE, "D01/value")]


@pytest.mark.parametrize("sent", ["1e999", "-1e999"])
def test_a_decimal_beyond_a_double_is_not_finite(read: Any, faults: Any, sent: str) -> None:
    assert faults(read(one(sent), "tds_v1")) == [(Reason.NOT_FINITE, "D01/value")]


@pytest.mark.parametrize(
    "claimed", ["AABBCCDDEEFF", "aa-bb-cc-dd-ee-ff", "AA:BB:CC:DD:EE:FF", "aa:bb:cc:dd:ee:ff"]
)
def test_the_claimed_mac_is_normalised(read: Any, claimed: str) -> None:
    assert read({**one("1"), "gateway": claimed}, "tds_v1").mac == "aa:bb:cc:dd:ee:ff"


def test_a_payload_may_name_no_gateway(read: Any) -> None:
    decoded = read(one("1"), "tds_v1")
    assert decoded.mac is None
    assert len(decoded.readings) == 1


@pytest.mark.parametrize("claimed", ["gw-01", "", 7, ["aa:bb:cc:dd:ee:ff"], "aa:bb:cc:dd:ee:f\0"])
def test_what_is_no_mac_cannot_be_the_topics(read: Any, faults: Any, claimed: object) -> None:
    decoded = read({**one("1"), "gateway": claimed}, "tds_v1")
    assert decoded.readings == []
    assert faults(decoded) == [(Reason.MAC_MISMATCH, None)]


@pytest.mark.parametrize("stamp", ["2026-02-18T12:46:36", "18/02/2026 12:46", True, [], 1e300])
def test_a_bad_timestamp_is_reported_once_and_spares_entries_with_their_own(
    read: Any, faults: Any, stamp: object
) -> None:
    decoded = read(
        {
            "timestamp": stamp,
            "leituras": [
                {"dispositivo": "D01", "valor": "1"},
                {"dispositivo": "D02", "valor": "2", "timestamp": TS},
                {"dispositivo": "D03", "valor": "3"},
            ],
        },
        "tds_v1",
    )
    assert [(reading.child, reading.ts_us) for reading in decoded.readings] == [("D02", TS_US)]
    assert faults(decoded) == [(Reason.BAD_TIMESTAMP, None)]


def test_an_entry_without_any_time_is_refused(read: Any, faults: Any) -> None:
    decoded = read({"leituras": [{"dispositivo": "D01", "valor": "1"}]}, "tds_v1")
    assert faults(decoded) == [(Reason.BAD_TIMESTAMP, "D01/value")]


@pytest.mark.parametrize("code", ["", "x" * 65, "D\0", None, True, 1.5, ["D01"]])
def test_a_bad_device_code_does_not_lose_the_other_meters(
    read: Any, faults: Any, code: object
) -> None:
    payload = one("1")
    payload["leituras"].insert(0, {"dispositivo": code, "valor": "2"})
    decoded = read(payload, "tds_v1")
    assert [reading.child for reading in decoded.readings] == ["D01"]
    assert [reason for reason, _ in faults(decoded)] == [Reason.BAD_PAYLOAD]


@pytest.mark.parametrize("entries", [None, {}, "D01", 7])
def test_readings_that_are_no_array_refuse_the_message(
    read: Any, faults: Any, entries: object
) -> None:
    decoded = read({"timestamp": TS, "leituras": entries}, "tds_v1")
    assert faults(decoded) == [(Reason.BAD_PAYLOAD, None)]
