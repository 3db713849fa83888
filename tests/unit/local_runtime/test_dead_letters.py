from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.bridge.dead_letters import DeadLetterFile
from local.bridge.deliveries import Delivery
from local.bridge.queue import Message


def message(name: str) -> Message:
    return Message(name, '{"topic":"t"}', sent_at_ms=5, delivery=Delivery(1, 0), receives=9)


def test_dead_letters_are_lines_that_only_their_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "dead-letters" / "ingest.jsonl"
    DeadLetterFile(path).add([message("a"), message("b")], now_ms=7)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["message_id"] for line in lines] == ["a", "b"]
    assert lines[0] == {
        "dead_at": 7,
        "sent_at": 5,
        "message_id": "a",
        "receives": 9,
        "body": '{"topic":"t"}',
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_count_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ingest.jsonl"
    DeadLetterFile(path).add([message("a")], now_ms=7)
    again = DeadLetterFile(path)
    assert again.count == 1
    again.add([message("b")], now_ms=8)
    assert again.count == 2


def test_a_line_that_was_cut_off_does_not_swallow_the_next(tmp_path: Path) -> None:
    path = tmp_path / "ingest.jsonl"
    path.write_text('{"dead_at":1,"bo')
    DeadLetterFile(path).add([message("a")], now_ms=7)
    assert json.loads(path.read_text().splitlines()[-1])["message_id"] == "a"


def test_what_cannot_be_written_raises_and_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "ingest.jsonl"
    letters = DeadLetterFile(path)
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        letters.add([message("a")], now_ms=7)
    assert letters.count == 0
