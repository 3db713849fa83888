from __future__ import annotations

import errno
import io
import json
from pathlib import Path

from local.logs import PlatformLog, RotatingFile, readable


class FullDisk(RotatingFile):
    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"))

    def write(self, line: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_childs_json_line_is_kept_and_shown_with_its_ids(tmp_path: Path) -> None:
    terminal = io.StringIO()
    log = PlatformLog(RotatingFile(tmp_path / "log"), terminal)
    log.line(
        "gateway",
        '{"level":"WARNING","message":"slow","timestamp":"2026-01-02 03:04:05,678+0000",'
        '"tenant":"acme","device":"chiller","request_id":"r-1"}',
    )
    kept = lines(tmp_path / "log")[0]
    assert (kept["component"], kept["tenant"]) == ("gateway", "acme")
    shown = terminal.getvalue()
    assert "WARNING gateway        slow  tenant=acme device=chiller request_id=r-1\n" in shown


def test_routine_lines_go_to_the_file_only(tmp_path: Path) -> None:
    terminal = io.StringIO()
    log = PlatformLog(RotatingFile(tmp_path / "log"), terminal)
    log.line("worker.ingest", '{"level":"DEBUG","message":"batch of 10"}')
    assert terminal.getvalue() == ""
    assert lines(tmp_path / "log")[0]["message"] == "batch of 10"


def test_a_line_that_is_no_json_is_wrapped(tmp_path: Path) -> None:
    log = PlatformLog(RotatingFile(tmp_path / "log"), io.StringIO())
    log.line("aws", "Segmentation fault")
    log.line("aws", '{"half":')
    assert [line["message"] for line in lines(tmp_path / "log")] == [
        "Segmentation fault",
        '{"half":',
    ]


def test_the_file_is_rotated_by_size_and_the_oldest_piece_goes(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "log", max_bytes=100, backups=2)
    for number in range(20):
        file.write(b"%029d\n" % number)
    pieces = sorted(path.name for path in tmp_path.iterdir())
    assert pieces == ["log", "log.1", "log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    assert (tmp_path / "log").read_text().splitlines()[-1].endswith("19")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_a_restart_goes_on_with_the_same_file(tmp_path: Path) -> None:
    for name in (b"a\n", b"b\n"):
        file = RotatingFile(tmp_path / "log")
        file.write(name)
        file.close()
    assert (tmp_path / "log").read_text() == "a\nb\n"


def test_a_full_disk_is_said_once_and_the_terminal_goes_on() -> None:
    terminal = io.StringIO()
    log = PlatformLog(FullDisk(), terminal)
    for _ in range(3):
        log.emit("INFO", "still here")
    shown = terminal.getvalue()
    assert shown.count("No space left on device") == 1
    assert shown.count("still here") == 3


def test_a_closed_terminal_stops_nothing(tmp_path: Path) -> None:
    terminal = io.StringIO()
    log = PlatformLog(RotatingFile(tmp_path / "log"), terminal)
    terminal.close()
    log.emit("ERROR", "nobody sees this")
    assert lines(tmp_path / "log")[0]["message"] == "nobody sees this"


def test_what_a_device_sent_cannot_control_the_terminal() -> None:
    line = readable({"level": "INFO", "message": "bad \x1b[2J payload\r\nERROR forged"})
    assert "\x1b" not in line
    assert "\n" not in line


def test_a_traceback_stands_below_its_line() -> None:
    shown = readable({"level": "ERROR", "message": "failed", "exception": "Trace\n  ValueError"})
    assert shown.splitlines()[1:] == ["    Trace", "      ValueError"]


def test_levels_have_a_colour_where_wanted() -> None:
    entry = {"level": "ERROR", "message": "x"}
    assert "\033[31mERROR" in readable(entry, colour=True)
    assert "\033" not in readable(entry)
