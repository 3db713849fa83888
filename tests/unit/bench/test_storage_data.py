"""What the storage benchmark loads is what devices send."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from bench.storage_data import LOST, STEP, Source
from functions import sqs
from traksense import vendors

START = datetime(2026, 3, 1, tzinfo=UTC)


def test_every_message_is_taken_whole_by_the_adapter() -> None:
    source = Source("chiller", 100, jitter_ms=80)
    types = {name: type_ for name, type_, _ in source.points}
    assert set(types.values()) == {"num", "bool", "enum"}
    records = [source.record(at, payload) for at, payload in source.messages(START, 50)]
    for message in sqs.messages({"Records": records}):
        decoded = vendors.decode(message.payload, None, message.received_at_us)
        assert not decoded.rejections
        assert [(each.point, each.type) for each in decoded.readings if each.type == "num"] == [
            each for each in types.items() if each[1] == "num"
        ]
        assert len(decoded.readings) == 100


def test_reports_lie_on_their_grid_and_few_are_lost() -> None:
    source = Source("chiller", 1)
    instants = [at for at, _ in source.messages(START, 20 * LOST)]
    assert all((at - START) % STEP == timedelta(0) for at in instants)
    assert 0 < 20 * LOST - len(instants) < 60


def test_what_is_measured_is_never_still() -> None:
    """Constant values would make every figure of bytes a lie."""
    source = Source("chiller", 10)
    by_point = list(
        zip(*(_values(payload) for _, payload in source.messages(START, 2_000)), strict=True)
    )
    moving = [position for position, values in enumerate(by_point) if len(set(values)) > 50]
    assert moving == [0, 2, 3, 4, 5, 6, 8, 9], "all but a setpoint and a valve"
    humidity = by_point[6]
    changes = sum(a != b for a, b in pairwise(humidity))
    assert changes > 0.9 * len(humidity)


def _values(payload: str) -> list[float]:
    return [each["v"] for each in json.loads(payload)["points"]]


def test_values_go_on_where_the_last_stretch_ended() -> None:
    source = Source("chiller", 4)
    counter = [
        float(payload.split('"p3","v":')[1].split(",")[0])
        for stretch in range(5)
        for _, payload in source.messages(START + 100 * STEP * stretch, 100)
    ]
    assert counter == sorted(counter)
    assert max(b - a for a, b in pairwise(counter)) < 1
