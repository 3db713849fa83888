"""Why a message or a point was not accepted: the ``reason`` of a dead letter."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Machine-readable reasons. A value is a promise to operators: add, never rename."""

    BAD_TOPIC = "bad_topic"
    BAD_JSON = "bad_json"
    BAD_PAYLOAD = "bad_payload"
    TOO_LARGE = "too_large"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_GATEWAY = "unknown_gateway"
    DEVICE_RETIRED = "device_retired"
    UNKNOWN_POINT = "unknown_point"
    NOT_CONTRACTED = "not_contracted"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    BAD_TEXT = "bad_text"
    BAD_ENUM_VALUE = "bad_enum_value"
    BAD_TIMESTAMP = "bad_timestamp"
    TS_IN_FUTURE = "ts_in_future"
    TS_TOO_OLD = "ts_too_old"
    UNIT_MISMATCH = "unit_mismatch"
    MAC_MISMATCH = "mac_mismatch"
    UNKNOWN_COMMAND = "unknown_command"
    ADAPTER_ERROR = "adapter_error"
    RATE = "rate"
    STORAGE_REFUSED = "storage_refused"
