"""Reading a CSV, moving it in time, and the messages made of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device_sim.recording import Recording, RecordingError, Row, messages, read
from device_sim.replay import Pace

MINUTE_US = 60_000_000
NOW_US = 1_795_171_200_000_000


def csv_file(folder: Path, *lines: str) -> Path:
    file = folder / "recorded.csv"
    file.write_text("\n".join(("timestamp,value", *lines)) + "\n")
    return file


def three_rows(folder: Path) -> Recording:
    return read(
        csv_file(
            folder,
            "2013-12-02 21:15:00,73.96732207",
            "2013-12-02 21:20:00,nan",
            "2013-12-02 21:30:00,74.93588199999998",
        )
    )


def test_times_without_an_offset_are_utc(tmp_path: Path) -> None:
    rows = three_rows(tmp_path).timed()
    assert rows[0].ts_us == int(datetime(2013, 12, 2, 21, 15, tzinfo=UTC).timestamp()) * 1_000_000


def test_an_offset_counts(tmp_path: Path) -> None:
    recording = read(csv_file(tmp_path, "2013-12-02T21:15:00-03:00,1", "2013-12-03T00:15:00Z,2"))
    first, second = recording.timed()
    assert first.ts_us == second.ts_us


def test_digits_stay_as_they_are_written(tmp_path: Path) -> None:
    written = ["74.93588199999998", "7.30", "-0.0", "1e3", "123456789012345678901", "0.10E-2"]
    recording = read(
        csv_file(tmp_path, *(f"2013-12-02 21:{i:02},{v}" for i, v in enumerate(written)))
    )
    payloads = [payload for _, _, payload in messages(recording.timed(), "temp", 1)]
    texts = [payload.partition(b'"v":')[2].partition(b"}")[0].decode() for payload in payloads]
    assert texts == written


def test_empty_cells_are_left_out_and_counted(tmp_path: Path) -> None:
    recording = read(
        csv_file(tmp_path, *(f"2013-12-02,{v}" for v in ("", "NaN", "null", "N/A", "5")))
    )
    assert recording.missing == 4
    assert [row.value for row in recording.timed()] == ["5"]


def test_the_last_row_lands_at_now_with_the_files_spacing(tmp_path: Path) -> None:
    rows = three_rows(tmp_path).timed(shift_to_us=NOW_US)
    assert [row.ts_us for row in rows] == [NOW_US - 15 * MINUTE_US, NOW_US]


def test_a_step_replaces_the_spacing_and_empty_cells_keep_their_place(tmp_path: Path) -> None:
    rows = three_rows(tmp_path).timed(shift_to_us=NOW_US, step_us=500_000)
    assert [row.ts_us for row in rows] == [NOW_US - 1_000_000, NOW_US]


def test_a_step_without_a_shift_starts_at_the_first_row(tmp_path: Path) -> None:
    rows = three_rows(tmp_path).timed(step_us=MINUTE_US)
    assert rows[1].ts_us - rows[0].ts_us == 2 * MINUTE_US
    assert rows[0] == three_rows(tmp_path).timed()[0]


def test_a_recording_out_of_order_is_not_moved_into_the_future(tmp_path: Path) -> None:
    recording = read(csv_file(tmp_path, "2013-12-02 10:00,1", "2013-12-02 12:00,2", "2013-12-02,3"))
    assert max(row.ts_us for row in recording.timed(shift_to_us=NOW_US)) == NOW_US


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["2013-12-02,1", "yesterday,2"], "line 3: timestamp 'yesterday' is not ISO 8601"),
        (["2013-12-02,1", "2013-12-03,7,3"[:10]], "line 3: 1 cells"),
        (["2013-12-02,hot"], "line 2: value 'hot' is not a plain number"),
        (["2013-12-02,+1"], "line 2: value '+1'"),
        (["2013-12-02,1_000"], "line 2: value '1_000'"),
        (["2013-12-02,Infinity"], "line 2: value 'Infinity'"),
        (["2013-12-02,1e999"], "line 2: value '1e999' is beyond"),
        (["2013-12-02,"], "holds no value"),
        ([], "holds no value"),
    ],
)
def test_an_error_names_the_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(RecordingError) as error:
        read(csv_file(tmp_path, *lines))
    assert message in str(error.value)


def test_a_missing_column_and_a_missing_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("time,value\n2013-12-02,1\n")
    with pytest.raises(
        RecordingError, match="line 1: no column 'timestamp'; there are: time, value"
    ):
        read(file)
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        read(tmp_path / "none.csv")
    file.write_bytes(b"timestamp,value\n2013-12-02,\xff\n")
    with pytest.raises(RecordingError, match="no UTF-8"):
        read(file)


def test_a_batch_is_an_array_of_messages(tmp_path: Path) -> None:
    rows = [Row(NOW_US + i * 1_500_000, str(i)) for i in range(5)]
    made = list(messages(rows, "temp", 2))
    assert [count for _, count, _ in made] == [2, 2, 1]
    bodies = [json.loads(payload) for _, _, payload in made]
    assert [body["points"][0]["v"] for batch in bodies for body in batch] == [0, 1, 2, 3, 4]
    assert bodies[0][1]["ts"] == "2026-11-20T10:40:01.500000Z"


def test_a_message_too_large_is_refused() -> None:
    rows = [Row(NOW_US + i, "1." + "1" * 300) for i in range(400)]
    with pytest.raises(RecordingError, match="lower --batch"):
        list(messages(rows, "temp", 400))


def test_a_speed_divides_the_recorded_time() -> None:
    pace = Pace(60.0, None)
    first = pace.due(NOW_US)
    assert pace.due(NOW_US + 120 * MINUTE_US) - first == pytest.approx(120.0)


def test_a_rate_is_never_exceeded() -> None:
    pace = Pace(None, 100.0)
    dues = [pace.due(NOW_US) for _ in range(101)]
    assert dues[-1] - dues[0] == pytest.approx(1.0)


def test_without_speed_and_rate_everything_is_due_at_once() -> None:
    pace = Pace(None, None)
    assert pace.due(NOW_US) == pace.due(NOW_US + 999 * MINUTE_US)
