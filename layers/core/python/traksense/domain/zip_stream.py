"""ZIP archives that are written in parts, each part by somebody else.

An archive is its entries one after the other and the central directory at the end: who wrote an
entry needs to know of no other. Entries are stored, not compressed, and may be of any size
(ZIP64). Their headers hold size and CRC-32, so that a reader need not look for the end of the
data; whoever streams an entry knows them only then, and writes the header, whose length never
changes (``HEADER_BYTES`` and the name's), in front of it at last. Source of the format: PKWARE's
APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.

::

    header(name …) data   header(name …) data   …   central_directory(entries)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

HEADER_BYTES: Final = 50
"""Of an entry's header, besides its name."""

_VERSION: Final = 45
"""4.5 is the first with ZIP64 (APPNOTE 4.4.3.2)."""
_MADE_BY_UNIX: Final = 3 << 8 | _VERSION
_REGULAR_FILE: Final = 0o100644 << 16
_UTF_8: Final = 1 << 11
_STORED: Final = 0
_ZIP64: Final = 1
"""Id of the extra field with sizes of eight bytes."""
_FULL_16: Final = 0xFFFF
_FULL_32: Final = 0xFFFFFFFF
"""What stands where the number itself is in the ZIP64 record."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive."""

    name: str
    modified: datetime
    size: int
    """Of the data, in bytes."""
    crc32: int
    """Of the data."""
    offset: int
    """Of the header, from the beginning of the archive."""

    @property
    def end(self) -> int:
        """Where the next entry begins."""
        return self.offset + header_length(self.name) + self.size


def header_length(name: str) -> int:
    """How many bytes stand before an entry's data."""
    return HEADER_BYTES + len(name.encode())


def header(name: str, modified: datetime, size: int, crc32: int) -> bytes:
    """What stands before an entry's data; always ``header_length(name)`` bytes."""
    encoded = name.encode()
    extra = struct.pack("<HHQQ", _ZIP64, 16, size, size)
    return (
        struct.pack(
            "<4sHHHHHLLLHH", b"PK\x03\x04", _VERSION, _UTF_8, _STORED, *_dos_time(modified), crc32,
            _FULL_32, _FULL_32, len(encoded), len(extra),
        )
        + encoded
        + extra
    )  # fmt: skip


def central_directory(entries: Sequence[Entry]) -> bytes:
    """What ends an archive of these entries, which stand in this order without a gap."""
    start = entries[-1].end if entries else 0
    directory = b"".join(map(_central_header, entries))
    end = b""
    if len(entries) >= _FULL_16 or len(directory) >= _FULL_32 or start >= _FULL_32:
        end = struct.pack(
            "<4sQHHLLQQQQ", b"PK\x06\x06", 44, _MADE_BY_UNIX, _VERSION, 0, 0,
            len(entries), len(entries), len(directory), start,
        )  # fmt: skip
        end += struct.pack("<4sLQL", b"PK\x06\x07", 0, start + len(directory), 1)
    count = min(len(entries), _FULL_16)
    end += struct.pack(
        "<4sHHHHLLH", b"PK\x05\x06", 0, 0, count, count,
        min(len(directory), _FULL_32), min(start, _FULL_32), 0,
    )  # fmt: skip
    return directory + end


def _central_header(entry: Entry) -> bytes:
    encoded = entry.name.encode()
    # In the order of the fields that they stand for, and only those that do not fit there.
    large = [n for n in (entry.size, entry.size, entry.offset) if n >= _FULL_32]
    extra = struct.pack(f"<HH{len(large)}Q", _ZIP64, 8 * len(large), *large) if large else b""
    return (
        struct.pack(
            "<4sHHHHHHLLLHHHHHLL", b"PK\x01\x02", _MADE_BY_UNIX, _VERSION, _UTF_8, _STORED,
            *_dos_time(entry.modified), entry.crc32, min(entry.size, _FULL_32),
            min(entry.size, _FULL_32), len(encoded), len(extra), 0, 0, 0, _REGULAR_FILE,
            min(entry.offset, _FULL_32),
        )
        + encoded
        + extra
    )  # fmt: skip


def _dos_time(moment: datetime) -> tuple[int, int]:
    """Time and date as MS-DOS has them, in UTC, to two seconds."""
    utc = moment.astimezone(UTC)
    return (
        utc.hour << 11 | utc.minute << 5 | utc.second // 2,
        (utc.year - 1980) << 9 | utc.month << 5 | utc.day,
    )
