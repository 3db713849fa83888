"""CSV of exports: RFC 4180, and what spreadsheet programs take for it.

The database writes the lines, since it is quicker at that than anything here; what is the same in
all lines of a point is made here.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from traksense.domain.exports import Asked

if TYPE_CHECKING:
    from traksense.services.export_rows import Lines

RAW_COLUMNS: Final = ("ts", "site", "device", "point", "value", "unit", "quality")
ROLLUP_COLUMNS: Final = (
    "ts", "site", "device", "point", "avg", "min", "max", "count", "unit",
)  # fmt: skip

_END: Final = "\r\n"
_BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_GZIP_LEVEL: Final = 3
"""Twice as quick as 6 for a twentieth more bytes: the database is not waited for."""
_QUOTED: Final = re.compile(r'[",;\r\n]|\A\Z')
_FORMULA: Final = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a cell must not begin with (OWASP, "CSV injection"). The same as in export_rows.sql."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How lines are written."""

    separator: str
    decimal_mark: str
    time_zone: str
    """Times are those of this zone."""
    between: str
    """Date and time."""
    after_time: str
    begins_with: str
    guards_formulas: bool
    """Texts that a spreadsheet program would compute get an apostrophe in front."""

    def cell(self, text: str) -> str:
        """A text as a cell."""
        if self.guards_formulas and _FORMULA.match(text):
            text = f"'{text}"
        return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text

    def line(self, *cells: str) -> str:
        """Cells with separators between them."""
        return self.separator.join(cells)

    def header(self, columns: tuple[str, ...]) -> bytes:
        """What a file begins with."""
        return (self.begins_with + self.line(*columns) + _END).encode()

    def before_values(self, site: str, device: str, point: str) -> str:
        """What stands between the time and the values in all lines of a point."""
        return self.after_time + self.line("", *map(self.cell, (site, device, point)), "")

    def after_values(self, unit: str | None, *, is_raw: bool) -> str:
        """What follows the values, up to the quality or the end of the line."""
        cell = "" if unit is None else self.cell(unit)
        return self.line("", cell, "") if is_raw else self.line("", cell) + _END


RFC_4180: Final = Layout(",", ".", "UTC", "T", "Z", "", guards_formulas=False)


def layout_of(asked: Asked) -> Layout:
    """How an export's lines are written."""
    if not asked.for_spreadsheet:
        return RFC_4180
    separator, decimal_mark = (";", ",") if asked.locale == "pt-BR" else (",", ".")
    return Layout(
        separator, decimal_mark, asked.time_zone, " ", "", _BOM, guards_formulas=True
    )  # fmt: skip


class Plain:
    """Lines as they are."""

    def begin(self, header: bytes) -> bytes:
        """What to write of the first line."""
        return header

    def add(self, rows: Lines) -> bytes:
        """What to write of a slice."""
        return rows.data

    def end(self) -> bytes:
        """What ends the data."""
        return b""


class Gzip:
    """Lines as one member of a gzip file (RFC 1952); members one after the other are a file."""

    def __init__(self) -> None:
        self._compress = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)

    def begin(self, header: bytes) -> bytes:
        """What to write of the first line."""
        return self._compress.compress(header)

    def add(self, rows: Lines) -> bytes:
        """What to write of a slice."""
        return self._compress.compress(rows.data)

    def end(self) -> bytes:
        """What ends the member."""
        return self._compress.flush()
