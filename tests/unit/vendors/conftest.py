"""What the adapters' tests share: an instant of arrival, and payloads made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from traksense.domain.readings import Decoded, to_microseconds
from traksense.domain.reasons import Reason
from traksense.vendors import decode

RECEIVED_AT_US = to_microseconds(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))

Read = Callable[..., Decoded]


@pytest.fixture
def received_at_us() -> int:
    return RECEIVED_AT_US


@pytest.fixture
def read() -> Read:
    """Decode a payload given as bytes, or as the document that it is the JSON of."""

    def call(payload: object, adapter: str | None = None) -> Decoded:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return decode(raw, adapter, RECEIVED_AT_US)

    return call


@pytest.fixture
def faults() -> Callable[[Decoded], list[tuple[Reason, str | None]]]:
    """Reason and point of each rejection."""
    return lambda decoded: [(fault.reason, fault.point) for fault in decoded.rejections]
