from __future__ import annotations

from typing import Any

import pytest

from traksense.domain.reasons import Reason

TS = "2025-10-07T15:30:00Z"


@pytest.mark.parametrize(
    ("payload", "points"),
    [
        ({"di1": 1}, ["status"]),
        ({"di2": 0}, ["fault"]),
        ({"rssi": -68}, ["rssi"]),
        ({"di1": 1, "rssi": -68.5}, ["status", "rssi"]),
    ],
)
def test_an_absent_field_gives_no_reading(read: Any, payload: Any, points: list[str]) -> None:
    decoded = read({**payload, "ts": TS}, "parsec_v1")
    assert [one.point for one in decoded.readings] == points
    assert decoded.rejections == []


def test_the_fault_input_does_not_change_the_status(read: Any) -> None:
    decoded = read({"di1": 1, "di2": 1, "ts": TS}, "parsec_v1")
    assert [one.value for one in decoded.readings] == ["RUN", True]


@pytest.mark.parametrize("value", [2, -1, 0.5, True, False, "1", None, [], {}])
def test_a_digital_input_is_0_or_1(read: Any, faults: Any, value: object) -> None:
    decoded = read({"di1": value, "di2": 1, "ts": TS}, "parsec_v1")
    assert [one.point for one in decoded.readings] == ["fault"]
    assert faults(decoded) == [(Reason.WRONG_TYPE, "status")]


@pytest.mark.parametrize("ts", [None, "2025-10-07T15:30:00", 1759851000, "now"])
def test_a_bad_ts_refuses_the_message(read: Any, faults: Any, ts: object) -> None:
    assert faults(read({"di1": 1, "ts": ts}, "parsec_v1")) == [(Reason.BAD_TIMESTAMP, None)]


def test_a_firmware_that_cannot_be_stored_is_reported(read: Any, faults: Any) -> None:
    decoded = read({"di1": 1, "fw": "1\0", "ts": TS})
    assert decoded.meta == {}
    assert len(decoded.readings) == 1
    assert faults(decoded) == [(Reason.BAD_TEXT, "fw")]
