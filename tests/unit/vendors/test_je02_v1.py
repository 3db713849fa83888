from __future__ import annotations

from typing import Any

import pytest

from traksense.domain.reasons import Reason


def data(**fields: Any) -> dict[str, Any]:
    return {"DATA": {"TS": 1696640052, **fields}}


def value_of(decoded: Any, point: str) -> Any:
    return {one.point: one.value for one in decoded.readings}.get(point)


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        ({"INPUT1": 0, "INPUT2": 0}, "STOP"),
        ({"INPUT1": 1, "INPUT2": 0}, "RUN"),
        ({"INPUT1": 0, "INPUT2": 1}, "FAULT"),
        ({"INPUT1": 1, "INPUT2": 1}, "FAULT"),
        ({"INPUT2": 1}, "FAULT"),
        ({"INPUT1": 1}, "RUN"),
        ({"INPUT2": 0}, None),
    ],
)
def test_a_fault_wins_over_run_over_stop(read: Any, inputs: Any, status: str | None) -> None:
    decoded = read(data(**inputs), "je02_v1")
    assert value_of(decoded, "status") == status
    assert decoded.rejections == []


def test_tenths_are_the_double_nearest_to_the_decimal(read: Any) -> None:
    for tenths in range(-1500, 1500):
        sign = "-" if tenths < 0 else ""
        decimal = float(f"{sign}{abs(tenths) // 10}.{abs(tenths) % 10}")
        assert value_of(read(data(VAR0=tenths), "je02_v1"), "var0") == decimal


def test_a_fraction_of_a_tenth_keeps_its_digits(read: Any) -> None:
    assert value_of(read(data(VAR1=550.3), "je02_v1"), "var1") == 55.03


def test_ts_may_have_a_fraction(read: Any) -> None:
    decoded = read({"DATA": {"TS": 1696640052.123456, "RELE": 0}}, "je02_v1")
    assert decoded.readings[0].ts_us == 1696640052_123456


@pytest.mark.parametrize("ts", [None, "1696640052", True, [], 1e18, -1e18, 10**400])
def test_a_bad_ts_refuses_the_data(read: Any, faults: Any, ts: object) -> None:
    decoded = read({"DATA": {"TS": ts, "INPUT1": 1}}, "je02_v1")
    assert decoded.readings == []
    assert faults(decoded) == [(Reason.BAD_TIMESTAMP, None)]


def test_an_unreadable_fault_input_leaves_the_status_unknown(read: Any, faults: Any) -> None:
    decoded = read(data(INPUT1=1, INPUT2="0"), "je02_v1")
    assert decoded.readings == []
    assert faults(decoded) == [(Reason.WRONG_TYPE, "status"), (Reason.WRONG_TYPE, "fault")]


@pytest.mark.parametrize("field", ["WRSSI", "UPTIME", "CNTSERR", "VAR0", "VAR1"])
def test_a_bad_number_does_not_lose_the_others(read: Any, faults: Any, field: str) -> None:
    numbers = {"WRSSI": 1, "UPTIME": 2, "CNTSERR": 3, "VAR0": 4, "VAR1": 5}
    decoded = read(data(**{**numbers, field: "4"}), "je02_v1")
    assert len(decoded.readings) == 4
    assert [reason for reason, _ in faults(decoded)] == [Reason.WRONG_TYPE]


def test_data_and_info_in_one_message_are_both_taken(read: Any) -> None:
    decoded = read({**data(RELE=1), "INFO": {"MODEL": "JE02"}}, "je02_v1")
    assert value_of(decoded, "rele") is True
    assert decoded.metadata == {"model": "JE02"}


def test_a_bad_envelope_does_not_lose_the_other(read: Any, faults: Any) -> None:
    decoded = read({"DATA": 7, "INFO": {"MODEL": "JE02"}}, "je02_v1")
    assert decoded.metadata == {"model": "JE02"}
    assert faults(decoded) == [(Reason.BAD_PAYLOAD, None)]


def test_an_info_field_that_is_no_text_is_reported(read: Any, faults: Any) -> None:
    decoded = read({"INFO": {"MODEL": 2, "FW_VERSION": "1"}}, "je02_v1")
    assert decoded.metadata == {"fw_version": "1"}
    assert faults(decoded) == [(Reason.WRONG_TYPE, "model")]


@pytest.mark.parametrize("document", [{"DATA": {"TS": 1}}, {"INFO": {}}, {"INFO": {"X": "1"}}])
def test_an_envelope_without_a_known_field_is_refused(
    read: Any, faults: Any, document: Any
) -> None:
    assert faults(read(document, "je02_v1")) == [(Reason.BAD_PAYLOAD, None)]
