"""Reads a recording (CSV) and makes messages of it, digit for digit."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from .models.normalised import SCHEMA, rfc3339_micros

TIMESTAMP: Final = "timestamp"
VALUE: Final = "value"
MAX_MESSAGE_BYTES: Final = 128 * 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none"})


class RecordingError(ValueError):
    """The file cannot be replayed; the message names the file, the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a recording."""

    ts_us: int
    """Microseconds since the Unix epoch."""
    value: str
    """The number as the file writes it: a JSON number, never reformatted."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The rows of a file in its order."""

    rows: tuple[Row | None, ...]
    """None where the cell holds no value: it keeps its place in the spacing."""

    @property
    def missing(self) -> int:
        """Cells without a value."""
        return sum(row is None for row in self.rows)

    def timed(self, *, shift_to_us: int | None = None, step_us: int | None = None) -> list[Row]:
        """The rows that have a value, at the times that they are to be sent with.

        With ``step_us`` the rows are that far apart, else as in the file. With ``shift_to_us``
        the last row lands there; without it the first row keeps its time.
        """
        present = [row.ts_us for row in self.rows if row is not None]
        if not present:
            return []
        if step_us is not None:
            last = len(self.rows) - 1
            first_us = present[0] if shift_to_us is None else shift_to_us - last * step_us
            return [
                Row(first_us + index * step_us, row.value)
                for index, row in enumerate(self.rows)
                if row is not None
            ]
        shift = 0 if shift_to_us is None else shift_to_us - max(present)
        return [Row(row.ts_us + shift, row.value) for row in self.rows if row is not None]


def read(path: Path) -> Recording:
    """Read a CSV with the columns ``timestamp`` and ``value``; others are left alone.

    Times are ISO 8601; one without an offset is UTC. Raises RecordingError.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                return _parse(path, reader)
            except csv.Error as error:
                raise RecordingError(f"{path}, line {reader.line_num}: {error}") from error
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecordingError(f"{path} is no UTF-8 text: byte {error.start}") from error


def _parse(path: Path, reader: Iterator[list[str]]) -> Recording:
    header = [name.strip().lower() for name in next(reader, [])]
    for wanted in (TIMESTAMP, VALUE):
        if wanted not in header:
            raise RecordingError(
                f"{path}, line 1: no column {wanted!r}; there are: {', '.join(header) or 'none'}"
            )
    ts_column, value_column = header.index(TIMESTAMP), header.index(VALUE)
    rows: list[Row | None] = []
    for cells in reader:
        if not cells:
            continue
        try:
            rows.append(_row(cells, ts_column, value_column))
        except ValueError as error:
            line = getattr(reader, "line_num", len(rows) + 2)
            raise RecordingError(f"{path}, line {line}: {error}") from None
    if all(row is None for row in rows):
        raise RecordingError(f"{path} holds no value")
    return Recording(tuple(rows))


def _row(cells: Sequence[str], ts_column: int, value_column: int) -> Row | None:
    if len(cells) <= max(ts_column, value_column):
        raise ValueError(f"{len(cells)} cells, the header has more")
    ts_us = _timestamp(cells[ts_column].strip())
    value = cells[value_column].strip()
    if value.lower() in _MISSING:
        return None
    if not _JSON_NUMBER.fullmatch(value):
        raise ValueError(f"value {value[:40]!r} is not a plain number")
    if float(value) in (float("inf"), float("-inf")):
        raise ValueError(f"value {value[:40]!r} is beyond a double's range")
    return Row(ts_us, value)


def _timestamp(text: str) -> int:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"timestamp {text[:40]!r} is not ISO 8601") from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - _EPOCH) // _MICROSECOND


def messages(rows: Sequence[Row], point: str, batch: int) -> Iterator[tuple[int, int, bytes]]:
    """``(ts_us of the last row, number of rows, payload)`` of each message of ``batch`` rows.

    Raises RecordingError when a message would be larger than the platform takes.
    """
    name = json.dumps(point, ensure_ascii=False)
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        objects = [
            f'{{"schema":"{SCHEMA}","ts":"{rfc3339_micros(row.ts_us)}",'
            f'"points":[{{"name":{name},"t":"float","v":{row.value}}}]}}'
            for row in part
        ]
        payload = (objects[0] if batch == 1 else f"[{','.join(objects)}]").encode()
        if len(payload) > MAX_MESSAGE_BYTES:
            raise RecordingError(
                f"a message of {len(part)} rows has {len(payload)} bytes; "
                f"at most {MAX_MESSAGE_BYTES} are taken: lower --batch"
            )
        yield part[-1].ts_us, len(part), payload
