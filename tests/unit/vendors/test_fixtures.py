"""Captured payloads and what they become, one folder a vendor."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from traksense.domain.readings import Decoded, Reading, to_microseconds
from traksense.vendors import ADAPTERS, decode

FIXTURES = Path(__file__).parents[2] / "fixtures" / "vendors"
CASES = sorted(
    path for path in FIXTURES.glob("*/*.json") if not path.name.endswith(".expected.json")
)


def _instant(text: str) -> int:
    return to_microseconds(datetime.fromisoformat(text))


def _expected(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        path.with_suffix(".expected.json").read_text(encoding="utf-8")
    )
    return document


def _reading(row: dict[str, Any]) -> Reading:
    fields = {key: value for key, value in row.items() if key != "ts"}
    return Reading(ts_us=_instant(row["ts"]), **fields)


def _decode(path: Path, adapter: str | None) -> tuple[Decoded, dict[str, Any]]:
    expected = _expected(path)
    received_at = _instant(expected.get("received_at", "2026-02-18T12:46:40Z"))
    return decode(path.read_bytes(), adapter, received_at), expected


def test_every_adapter_has_fixtures() -> None:
    assert {path.parent.name for path in CASES} == set(ADAPTERS)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_captured_payload_becomes_the_expected_readings(path: Path) -> None:
    decoded, expected = _decode(path, path.parent.name)

    assert decoded.readings == [_reading(row) for row in expected["readings"]]
    assert [type(one.value) for one in decoded.readings] == [
        type(row["value"]) for row in expected["readings"]
    ]
    assert [[str(one.reason), one.point] for one in decoded.rejections] == expected.get(
        "rejections", []
    )
    rest = msgspec.structs.asdict(decoded)
    for name in ("meta", "metadata", "metadata_child", "mac"):
        empty: Any = {} if name in ("meta", "metadata") else None
        assert rest[name] == expected.get(name, empty), name


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_shape_alone_chooses_the_same_adapter(path: Path) -> None:
    assert _decode(path, None)[0] == _decode(path, path.parent.name)[0]
