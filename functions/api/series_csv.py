"""Series as CSV (RFC 4180): one table, a line per row, as many columns as its levels have.

What the JSON says beside the rows (a series that was cut, thinned or degraded) is said in
headers of the answer, since a table has no room for it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from traksense.services.series import RAW_COLUMNS, ROLLUP_COLUMNS, Series, stamp

CSV: Final = "text/csv"
CONTENT_TYPE: Final = "text/csv; charset=utf-8; header=present"

_ABOUT: Final = ("point", "unit", "agg")
_WORDS: Final = {True: "true", False: "false"}


def columns_of(series: Iterable[Series]) -> tuple[str, ...]:
    """The columns of the rows of all series: of readings, of rollups, or of both."""
    levels = {one.columns for one in series}
    found = [name for columns in (RAW_COLUMNS, ROLLUP_COLUMNS) if columns in levels
             for name in columns]  # fmt: skip
    return tuple(dict.fromkeys(found))


def header(columns: Sequence[str]) -> bytes:
    """The first line."""
    return _lines([(*_ABOUT, *columns)])


def rows_in(columns: Sequence[str]) -> Callable[[Series], bytes]:
    """What encodes a series' rows as lines of a table with these columns."""

    def encode(series: Series) -> bytes:
        point, rows = series.point, series.rows
        count = len(rows)
        given = dict(zip(series.columns, (series.stamps(), *rows.columns), strict=True))
        if point.type == "bool":
            given["value"] = [_WORDS[value] for value in given["value"]]
        about: list[Sequence[object]] = [[each] * count for each in (
            point.name, point.unit, series.agg)]  # fmt: skip
        table = about + [given.get(name, [None] * count) for name in columns]
        return _lines(zip(*table, strict=True))

    return encode


def notes(series: Iterable[Series]) -> dict[str, str]:
    """What must be known of the series, in headers: ids of points, each with what it needs."""
    found: dict[str, list[str]] = {}
    for one in series:
        point = str(one.point.point_id)
        if one.truncated:
            more = "" if one.next_from is None else f";next_from={stamp(one.next_from)}"
            found.setdefault("X-Truncated", []).append(point + more)
        if one.reduction is not None:
            found.setdefault("X-Reduced", []).append(f"{point};by={one.reduction}")
        if one.degraded:
            found.setdefault("X-Degraded", []).append(point)
        if one.available_from is not None:
            start = f"{point};available_from={stamp(one.available_from)}"
            found.setdefault("X-Available-From", []).append(start)
    return {name: ", ".join(points) for name, points in found.items()}


def _lines(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
