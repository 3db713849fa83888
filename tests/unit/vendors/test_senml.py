from __future__ import annotations

from typing import Any

import pytest

from traksense.domain.readings import Reading
from traksense.domain.reasons import Reason
from traksense.vendors import senml_units

BT = 1552594568
BT_US = BT * 1_000_000


def values(decoded: Any) -> list[tuple[str, Any]]:
    return [(one.point, one.value) for one in decoded.readings]


def test_base_fields_hold_until_they_are_replaced(read: Any) -> None:
    decoded = read(
        [
            {"bn": "eui-1", "bt": BT, "bu": "V", "n": "a", "v": 1},
            {"n": "b", "v": 2, "t": 5},
            {"bn": "eui-2", "n": "a", "v": 3, "u": "A"},
            {"bt": BT + 100, "n": "b", "v": 4},
            {"bu": "W", "n": "c", "v": 5, "t": -1},
        ],
        "senml",
    )
    assert [(one.child, one.point, one.ts_us, one.unit) for one in decoded.readings] == [
        ("eui-1", "a", BT_US, "V"),
        ("eui-1", "b", BT_US + 5_000_000, "V"),
        ("eui-2", "a", BT_US, "A"),
        ("eui-2", "b", BT_US + 100_000_000, "V"),
        ("eui-2", "c", BT_US + 99_000_000, "W"),
    ]


@pytest.mark.parametrize(
    ("time", "offset_us"),
    [(0, 0), (-5, -5_000_000), (2.5, 2_500_000), (-0.000001, -1), (2**28 - 1, (2**28 - 1) * 10**6)],
)
def test_a_time_below_2_to_the_28_counts_from_arrival(
    read: Any, received_at_us: int, time: float, offset_us: int
) -> None:
    decoded = read([{"n": "a", "v": 1, "t": time}], "senml")
    assert decoded.readings[0].ts_us == received_at_us + offset_us


def test_a_time_from_2_to_the_28_on_counts_from_the_epoch(read: Any) -> None:
    assert read([{"n": "a", "v": 1, "t": 2**28}], "senml").readings[0].ts_us == 2**28 * 10**6
    assert read([{"bt": 2**28 - 1, "n": "a", "v": 1, "t": 1}]).readings[0].ts_us == 2**28 * 10**6


def test_base_time_and_time_are_added_as_decimals(read: Any) -> None:
    decoded = read([{"bt": 1552594568.1, "n": "a", "v": 1, "t": 0.200003}], "senml")
    assert decoded.readings[0].ts_us == 1552594568_300003


def test_base_value_and_value_are_added_as_decimals(read: Any) -> None:
    decoded = read([{"bv": 0.1, "n": "a", "v": 0.2}, {"n": "b", "v": -0.1}, {"n": "c"}], "senml")
    assert values(decoded) == [("a", 0.3), ("b", 0.0), ("c", 0.1)]


def test_a_base_value_leaves_texts_and_booleans_alone(read: Any) -> None:
    decoded = read([{"bv": 5, "n": "a", "vs": "x"}, {"n": "b", "vb": True}], "senml")
    assert values(decoded) == [("a", "x"), ("b", True)]


def test_a_sum_is_a_point_of_its_own_in_unit_seconds(read: Any) -> None:
    decoded = read([{"n": "flow", "u": "l/s", "s": 12.5}], "senml")
    [reading] = decoded.readings
    assert (reading.point, reading.value, reading.unit) == ("flow_sum", 12.5, "L")


def test_a_bad_value_does_not_lose_the_sum(read: Any, faults: Any) -> None:
    decoded = read([{"n": "power", "u": "W", "v": "1", "s": 7}], "senml")
    assert values(decoded) == [("power_sum", 7.0)]
    assert faults(decoded) == [(Reason.WRONG_TYPE, "power")]


def test_a_record_of_base_fields_alone_measures_nothing(read: Any) -> None:
    decoded = read([{"bn": "eui", "bt": BT, "bv": 20}, {"n": "a", "v": 1}], "senml")
    assert values(decoded) == [("a", 21.0)]
    assert decoded.rejections == []


def test_a_record_without_a_name_is_the_point_value(read: Any) -> None:
    decoded = read([{"bn": "eui", "u": "Cel", "v": 1}], "senml")
    [reading] = decoded.readings
    assert (reading.child, reading.point, reading.alias) == ("eui", "value", "value_celsius")


@pytest.mark.parametrize(
    ("bn", "n"),
    [("", ""), ("", "-a"), ("", "_a"), ("", "a b"), ("", "ação"), ("eui ", "a"), ("/", "a"),
     ("eui", "a\n"), ("", "a\0"), ("eui?", "")],
)  # fmt: skip
def test_a_name_outside_of_the_rfcs_characters_is_refused(
    read: Any, faults: Any, bn: str, n: str
) -> None:
    decoded = read([{"bn": bn, "n": n, "v": 1}, {"bn": "eui", "n": "ok", "v": 2}], "senml")
    assert values(decoded) == [("ok", 2.0)]
    assert [reason for reason, _ in faults(decoded)] == [Reason.BAD_PAYLOAD]


@pytest.mark.parametrize(
    ("bn", "n"),
    [("eui", "_a"), ("eui", "-a"), ("", "urn:dev:ow:10e2073a01080063"), ("2001::", "/")],
)
def test_the_rule_for_names_is_about_the_whole_name(read: Any, bn: str, n: str) -> None:
    decoded = read([{"bn": bn, "n": n, "v": 1}], "senml")
    assert [(one.child, one.point) for one in decoded.readings] == [(bn or None, n)]


@pytest.mark.parametrize("version", [1, 5, 10])
def test_a_version_that_is_known_is_read(read: Any, version: int) -> None:
    assert len(read([{"bver": version, "n": "a", "v": 1}], "senml").readings) == 1


@pytest.mark.parametrize("version", [11, 26, 0, -1, 10.5, "10", True, None])
def test_another_version_refuses_the_whole_pack(read: Any, faults: Any, version: object) -> None:
    decoded = read([{"n": "a", "v": 1}, {"bver": version, "n": "b", "v": 1}], "senml")
    assert decoded.readings == []
    assert faults(decoded) == [(Reason.BAD_PAYLOAD, None)]


def test_a_pack_has_one_version(read: Any, faults: Any) -> None:
    decoded = read([{"bver": 10, "n": "a", "v": 1}, {"bver": 9, "n": "b", "v": 1}], "senml")
    assert faults(decoded) == [(Reason.BAD_PAYLOAD, None)]


def test_a_field_that_must_be_understood_refuses_the_whole_pack(read: Any, faults: Any) -> None:
    decoded = read([{"n": "a", "v": 1}, {"n": "b", "v": 1, "scale_": 10}], "senml")
    assert decoded.readings == []
    assert faults(decoded) == [(Reason.BAD_PAYLOAD, None)]


def test_other_unknown_fields_and_update_times_are_read_over(read: Any) -> None:
    decoded = read([{"n": "a", "v": 1, "ut": 60, "battery": "low"}], "senml")
    assert values(decoded) == [("a", 1.0)]
    assert decoded.rejections == []


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"v": True}, Reason.WRONG_TYPE),
        ({"v": "1"}, Reason.WRONG_TYPE),
        ({"v": None}, Reason.WRONG_TYPE),
        ({"vb": 1}, Reason.WRONG_TYPE),
        ({"vs": 1}, Reason.WRONG_TYPE),
        ({"vd": "aGkgCg"}, Reason.WRONG_TYPE),
        ({"vs": "a\0"}, Reason.BAD_TEXT),
        ({"v": float("nan")}, Reason.NOT_FINITE),
        ({"v": 10**400}, Reason.NOT_FINITE),
        ({"v": 1, "vs": "1"}, Reason.BAD_PAYLOAD),
        ({"t": 1}, Reason.BAD_PAYLOAD),
        ({"v": 1, "t": "0"}, Reason.BAD_TIMESTAMP),
        ({"v": 1, "t": float("inf")}, Reason.BAD_TIMESTAMP),
        ({"v": 1, "t": 1e300}, Reason.BAD_TIMESTAMP),
        ({"v": 1, "u": 7}, Reason.BAD_PAYLOAD),
    ],
)
def test_a_bad_record_does_not_lose_its_neighbours(
    read: Any, faults: Any, record: dict[str, Any], reason: Reason
) -> None:
    decoded = read(
        [{"bn": "eui", "n": "a", "v": 1}, {"n": "bad", **record}, {"n": "b", "v": 2}], "senml"
    )
    assert values(decoded) == [("a", 1.0), ("b", 2.0)]
    assert faults(decoded) == [(reason, "eui/bad")]


@pytest.mark.parametrize(
    ("base", "mended", "reason"),
    [
        ({"bn": 7}, {"bn": "eui"}, Reason.BAD_PAYLOAD),
        ({"bt": "now"}, {"bt": BT}, Reason.BAD_TIMESTAMP),
        ({"bu": 7}, {"bu": "V"}, Reason.BAD_PAYLOAD),
        ({"bv": True}, {"bv": 0}, Reason.WRONG_TYPE),
        ({"bs": "x"}, {"bs": 0}, Reason.WRONG_TYPE),
    ],
)
def test_a_bad_base_field_spoils_the_records_that_need_it_until_it_is_replaced(
    read: Any, faults: Any, base: Any, mended: Any, reason: Reason
) -> None:
    decoded = read([base, {"n": "a", "v": 1}, {**mended, "n": "b", "v": 2}], "senml")
    assert ("b", 2.0) in values(decoded)
    assert [found for found, _ in faults(decoded)] == [reason]


def test_a_record_with_a_unit_of_its_own_does_not_need_the_base_unit(read: Any) -> None:
    decoded = read([{"bu": 7}, {"n": "a", "u": "V", "v": 1}, {"n": "b", "vs": "x"}], "senml")
    assert values(decoded) == [("a", 1.0), ("b", "x")]


def test_what_is_no_record_does_not_lose_its_neighbours(read: Any, faults: Any) -> None:
    decoded = read([{"n": "a", "v": 1}, 7, None, {"n": "b", "v": 2}], "senml")
    assert values(decoded) == [("a", 1.0), ("b", 2.0)]
    assert faults(decoded) == [(Reason.BAD_PAYLOAD, "[1]"), (Reason.BAD_PAYLOAD, "[2]")]


def test_a_sum_of_bases_beyond_a_double_is_not_finite(read: Any, faults: Any) -> None:
    decoded = read([{"bv": 1.7e308, "n": "a", "v": 1.7e308}], "senml")
    assert faults(decoded) == [(Reason.NOT_FINITE, "a")]


def test_what_describes_several_children_is_kept_apart(read: Any) -> None:
    decoded = read(
        [
            {"bn": "eui-1", "n": "model", "vs": "nit20l"},
            {"n": "version", "vs": "1.2"},
            {"bn": "eui-2", "n": "model", "vs": "nit21z"},
        ],
        "senml",
    )
    assert decoded.metadata_child == "eui-1"
    assert decoded.metadata == {"model": "nit20l", "version": "1.2"}
    assert decoded.more_metadata == [("eui-2", {"model": "nit21z"})]
    assert decoded.readings == []


def test_a_model_that_is_a_number_is_a_reading(read: Any) -> None:
    assert values(read([{"n": "model", "v": 20}], "senml")) == [("model", 20.0)]


def test_a_name_is_the_same_whether_or_not_its_sibling_is_there(read: Any) -> None:
    both = read([{"n": "A", "u": "Cel", "v": 1}, {"n": "A", "u": "%RH", "v": 2}], "senml")
    alone = read([{"n": "A", "u": "Cel", "v": 1}], "senml")
    assert alone.readings == both.readings[:1]


@pytest.mark.parametrize(
    ("symbol", "ours", "alias"),
    [
        ("Cel", "°C", "p_celsius"),
        ("%RH", "%", "p_percent_rh"),
        ("C", "coulomb", "p_coulomb"),
        ("F", "farad", "p_farad"),
        ("dBW", "dBW", "p_dbw"),
        ("kWh", "kWh", "p_kwh"),
        ("x/y", "x/y", "p_x_y"),
        ("°", "°", None),
    ],
)
def test_a_unit_gets_our_symbol_and_a_suffix(
    read: Any, received_at_us: int, symbol: str, ours: str, alias: str | None
) -> None:
    decoded = read([{"n": "p", "u": symbol, "v": 1}], "senml")
    assert decoded.readings == [Reading("p", received_at_us, "num", 1.0, ours, None, alias)]


def test_a_unit_that_is_not_renamed_sums_to_unit_seconds() -> None:
    unit = senml_units.integral_of(senml_units.named("Pa"))
    assert unit == senml_units.SenmlUnit("Pa·s", "pascal_second")
    assert senml_units.integral_of(None) is None
