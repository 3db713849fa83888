from __future__ import annotations

import json
from typing import Any

import pytest

from traksense.domain.readings import MAX_TEXT_CHARS, Decoded
from traksense.domain.reasons import Reason
from traksense.vendors import normalised, snapshot

TS = "2025-10-07T02:34:12Z"
TS_US = 1_759_804_452_000_000


def message(*points: Any, **fields: Any) -> dict[str, Any]:
    return {"schema": "v1", "ts": TS, "points": list(points), **fields}


def test_a_number_is_the_default_type_and_num_its_alias(read: Any) -> None:
    decoded = read(
        message({"name": "a", "v": 1}, {"name": "b", "t": "num", "v": 2.5}, {"name": "c", "v": 0})
    )
    assert [(one.type, one.value, type(one.value)) for one in decoded.readings] == [
        ("num", 1.0, float),
        ("num", 2.5, float),
        ("num", 0.0, float),
    ]


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("float", True),
        ("float", "7.3"),
        ("num", None),
        ("num", [7.3]),
        ("bool", 1),
        ("bool", "true"),
        ("enum", 3),
        ("enum", False),
        ("text", 7.3),
        ("text", {"a": 1}),
    ],
)
def test_a_value_of_another_type_is_refused(
    read: Any, faults: Any, declared: str, value: object
) -> None:
    decoded = read(message({"name": "p", "t": declared, "v": value}))
    assert decoded.readings == []
    assert faults(decoded) == [(Reason.WRONG_TYPE, "p")]


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000])
def test_what_is_not_finite_is_refused_and_its_neighbour_kept(
    read: Any, faults: Any, literal: bytes
) -> None:
    payload = (
        b'{"schema":"v1","ts":"2025-10-07T02:34:12Z","points":[{"name":"bad","v":'
        + literal
        + b'},{"name":"good","v":1.5}]}'
    )
    decoded = read(payload)
    assert [(one.point, one.value) for one in decoded.readings] == [("good", 1.5)]
    assert faults(decoded) == [(Reason.NOT_FINITE, "bad")]


def test_an_integer_beyond_64_bits_is_the_nearest_double(read: Any) -> None:
    decoded = read(message({"name": "p", "v": 2**64 + 1}))
    assert decoded.readings[0].value == 2.0**64


def test_a_points_own_ts_wins(read: Any) -> None:
    decoded = read(message({"name": "a", "v": 1, "ts": "2025-10-07T02:34:11.5Z"}))
    assert decoded.readings[0].ts_us == TS_US - 500_000


def test_an_offset_is_taken_into_account(read: Any) -> None:
    decoded = read(message({"name": "a", "v": 1}, ts="2025-10-06T23:34:12-03:00"))
    assert decoded.readings[0].ts_us == TS_US


def test_microseconds_are_kept_exactly(read: Any) -> None:
    decoded = read(message({"name": "a", "v": 1}, ts="2025-10-07T02:34:12.123457Z"))
    assert decoded.readings[0].ts_us == TS_US + 123_457


def test_a_message_without_ts_is_fine_when_every_point_has_its_own(read: Any) -> None:
    decoded = read({"schema": "v1", "points": [{"name": "a", "v": 1, "ts": TS}]})
    assert [one.ts_us for one in decoded.readings] == [TS_US]
    assert decoded.rejections == []


def test_without_any_ts_only_the_points_that_lack_one_are_refused(read: Any, faults: Any) -> None:
    decoded = read(
        {"schema": "v1", "points": [{"name": "a", "v": 1}, {"name": "b", "v": 2, "ts": TS}]}
    )
    assert [one.point for one in decoded.readings] == ["b"]
    assert faults(decoded) == [(Reason.BAD_TIMESTAMP, "a")]


@pytest.mark.parametrize(
    "ts",
    [
        "2025-10-07T02:34:12",
        "2025-10-07",
        "yesterday",
        "\ud8002025-10-07T02:34:12Z",
        "2025-10-07T02:34:12Z\0",
        "",
        1759804452,
        1759804452.5,
        True,
        "2025-02-30T00:00:00Z",
        "2025-10-07T24:00:00Z",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-10:00",
    ],
)
def test_a_bad_ts_is_reported_once_and_spares_points_with_their_own(
    read: Any, faults: Any, ts: object
) -> None:
    decoded = read(
        message(
            {"name": "a", "v": 1}, {"name": "b", "v": 2, "ts": TS}, {"name": "c", "v": 3}, ts=ts
        )
    )
    assert [(one.point, one.ts_us) for one in decoded.readings] == [("b", TS_US)]
    assert faults(decoded) == [(Reason.BAD_TIMESTAMP, None)]


@pytest.mark.parametrize("name", ["", "x" * 65, "a\0b", 7, None, ["a"], True])
def test_a_name_that_no_point_can_have_is_refused(read: Any, faults: Any, name: object) -> None:
    decoded = read(message({"name": name, "v": 1}, {"name": "good", "v": 2}))
    assert [one.point for one in decoded.readings] == ["good"]
    [(reason, point)] = faults(decoded)
    assert reason is Reason.BAD_PAYLOAD
    assert point is not None
    assert "\0" not in point


def test_a_name_may_have_64_characters(read: Any) -> None:
    assert read(message({"name": "é" * 64, "v": 1})).readings[0].point == "é" * 64


@pytest.mark.parametrize("declared", ["text", "enum"])
@pytest.mark.parametrize("value", ["x" * (MAX_TEXT_CHARS + 1), "a\0", "\ud83d", "\udc00a"])
def test_text_that_cannot_be_stored_is_refused(
    read: Any, faults: Any, declared: str, value: str
) -> None:
    decoded = read(message({"name": "p", "t": declared, "v": value}, {"name": "good", "v": 2}))
    assert [one.point for one in decoded.readings] == ["good"]
    assert faults(decoded) == [(Reason.BAD_TEXT, "p")]


def test_the_longest_text_is_kept_whole(read: Any) -> None:
    value = "ã" * MAX_TEXT_CHARS
    assert read(message({"name": "p", "t": "text", "v": value})).readings[0].value == value


def test_an_escaped_backslash_before_u0000_is_plain_text(read: Any) -> None:
    decoded = read(message({"name": "p", "t": "text", "v": "\\u0000"}))
    assert decoded.readings[0].value == "\\u0000"


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ({"fw": "1\0"}, Reason.BAD_TEXT),
        ({"f\0w": 1}, Reason.BAD_TEXT),
        ({"deep": {"list": ["ok", "\ud800"]}}, Reason.BAD_TEXT),
        ("1.2.3", Reason.BAD_PAYLOAD),
        ([1], Reason.BAD_PAYLOAD),
        ({"n": 2**63}, Reason.BAD_PAYLOAD),
        ({"n": [[[[[[[[[1]]]]]]]]]}, Reason.BAD_PAYLOAD),
        ({"n": float("inf")}, Reason.NOT_FINITE),
    ],
)
def test_bad_meta_is_refused_and_the_readings_kept(
    read: Any, faults: Any, meta: object, reason: Reason
) -> None:
    decoded = read(message({"name": "a", "v": 1}, meta=meta))
    assert [one.point for one in decoded.readings] == ["a"]
    assert decoded.meta == {}
    assert faults(decoded) == [(reason, None)]


def test_meta_of_any_json_is_kept(read: Any) -> None:
    meta = {"fw": "1.2.3", "n": -(2**63), "x": 1.5, "ok": True, "none": None, "l": [1, {"a": "é"}]}
    decoded = read(message({"name": "a", "v": 1}, meta=meta))
    assert decoded.meta == meta
    assert decoded.rejections == []


def test_a_bad_object_does_not_lose_the_others_of_its_array(read: Any, faults: Any) -> None:
    decoded = read(
        [
            message({"name": "a", "v": 1}),
            {"schema": "v2", "ts": TS, "points": [{"name": "x", "v": 1}]},
            {"ts": TS, "points": [{"name": "y", "v": 1}]},
            "nonsense",
            {"schema": "v1", "ts": TS, "points": {}},
            message({"name": "b", "v": "2"}, {"name": "c", "v": 3}),
        ]
    )
    assert [one.point for one in decoded.readings] == ["a", "c"]
    assert faults(decoded) == [(Reason.BAD_PAYLOAD, None)] * 4 + [(Reason.WRONG_TYPE, "b")]
    assert "[1].schema" in decoded.rejections[0].detail


@pytest.mark.parametrize("unit", [7, "x" * 65, ["°C"]])
def test_a_unit_that_is_no_symbol_is_refused(read: Any, faults: Any, unit: object) -> None:
    decoded = read(message({"name": "a", "v": 1, "u": unit}))
    assert decoded.readings == []
    assert faults(decoded) == [(Reason.BAD_PAYLOAD, "a")]


def test_nulls_stand_for_absent_optional_fields(read: Any) -> None:
    decoded = read(message({"name": "a", "v": 1, "u": None, "ts": None}, meta=None))
    assert [(one.unit, one.ts_us) for one in decoded.readings] == [(None, TS_US)]


@pytest.mark.parametrize("meta", [{"fw": "1"}, {"n": 1}])
def test_only_a_number_has_a_unit_and_an_empty_one_is_none(read: Any, meta: Any) -> None:
    decoded = read(
        message(
            {"name": "a", "v": 1, "u": "°C"},
            {"name": "b", "v": 1, "u": ""},
            {"name": "c", "t": "bool", "v": True, "u": "1"},
            {"name": "d", "t": "enum", "v": "ON", "u": "°C"},
            meta=meta,
        )
    )
    assert [one.unit for one in decoded.readings] == ["°C", None, None, None]


def test_unknown_fields_are_ignored(read: Any) -> None:
    decoded = read(message({"name": "a", "v": 1, "quality": "good"}, site="x"))
    assert len(decoded.readings) == 1
    assert decoded.rejections == []


def test_a_message_without_points_gives_no_readings(read: Any) -> None:
    assert read(message()) == Decoded()


def test_the_last_of_duplicate_keys_counts(read: Any) -> None:
    decoded = read(
        b'{"schema":"v1","ts":"2025-10-07T02:34:12Z","points":[{"name":"a","name":"b","v":1,"v":2}]}'
    )
    assert [(one.point, one.value) for one in decoded.readings] == [("b", 2.0)]


def test_a_good_message_takes_the_fast_way() -> None:
    whole = normalised.decode_whole(
        b'{"schema":"v1","ts":"2025-10-07T02:34:12Z","points":[{"name":"a","v":1},'
        b'{"name":"b","t":"bool","v":false},{"name":"c","t":"enum","v":"ON"}],"meta":{"fw":"1"}}'
    )
    assert whole is not None
    assert [one.value for one in whole.readings] == [1.0, False, "ON"]


def test_points_of_one_instant_are_a_snapshot() -> None:
    plain = snapshot(
        b'{"schema":"v1","ts":"2025-10-07T02:34:12Z","points":[{"name":"a","v":1,"u":"\\u00b0C"},'
        b'{"name":"b","t":"bool","v":false},{"name":"c","t":"enum","v":"ON"}],"meta":{"fw":"1"}}'
    )
    assert plain is not None
    assert (plain.ts_us, plain.meta) == (TS_US, {"fw": "1"})
    assert [(one.point, one.value, one.declared, one.unit) for one in plain.points] == [
        ("a", 1.0, "float", "°C"),
        ("b", False, "bool", None),
        ("c", "ON", "enum", None),
    ]


@pytest.mark.parametrize(
    "payload",
    [
        message({"name": "a", "v": 1, "ts": TS}),
        message({"name": "a", "v": 1}, ts=None),
        message({"name": "a", "v": 1}, ts="2025-10-07T02:34:12"),
        message({"name": "a", "v": 1}, ts="0001-01-01T00:00:00+10:00"),
        message({"name": "a", "v": 1}, meta={"site": {"room": 1}}),
        message({"name": "a", "t": "text", "v": "\0"}),
        message({"name": "a", "t": "text", "v": "\ud800"}),
        message({"name": "a", "v": None}),
        message({"name": "a", "v": 10**400}),
        message({"name": "", "v": 1}),
        message({"name": "a", "v": 1}, schema="v2"),
        [message({"name": "a", "v": 1})],
        {"di1": 1, "ts": TS},
        message({"name": "a", "t": "text", "v": "x" * 128 * 1024}),
    ],
)
def test_what_needs_a_closer_look_is_no_snapshot(payload: object) -> None:
    assert snapshot(json.dumps(payload).encode()) is None
