"""Archives that are put together from entries, as others read them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from datetime import UTC, datetime

import pytest

from traksense.domain.zip_stream import Entry, central_directory, header, header_length

WHEN = datetime(2025, 10, 7, 2, 34, 56, tzinfo=UTC)
GIB = 1 << 30


def entry(name: str, data: bytes, offset: int) -> Entry:
    return Entry(name, WHEN, len(data), zlib.crc32(data), offset)


def archive(files: dict[str, bytes]) -> bytes:
    """Entries written apart from each other, and the directory that joins them."""
    parts: list[bytes] = []
    entries: list[Entry] = []
    for name, data in files.items():
        entries.append(entry(name, data, entries[-1].end if entries else 0))
        parts.append(header(name, WHEN, len(data), zlib.crc32(data)) + data)
    return b"".join(parts) + central_directory(entries)


def test_what_is_put_together_is_read_back_by_another_program() -> None:
    files = {"part-0001.parquet": b"one" * 1000, "água.json": b"{}", "empty": b""}
    with zipfile.ZipFile(io.BytesIO(archive(files))) as found:
        assert found.testzip() is None
        assert {info.filename: found.read(info) for info in found.infolist()} == files
        first = found.infolist()[0]
        assert first.date_time == (2025, 10, 7, 2, 34, 56)
        assert first.compress_type == zipfile.ZIP_STORED
        assert first.external_attr >> 16 == 0o100644


def test_an_archive_without_entries_is_one() -> None:
    with zipfile.ZipFile(io.BytesIO(archive({}))) as found:
        assert found.namelist() == []


@pytest.mark.parametrize("size", [0, 1, 4 * GIB, 900 * GIB])
def test_a_header_is_as_long_as_was_said_before_the_size_was_known(size: int) -> None:
    assert len(header("água", WHEN, size, 7)) == header_length("água")


def test_a_headers_size_and_crc_are_where_a_reader_of_a_stream_looks() -> None:
    made = header("a", WHEN, 5 * GIB, 0xCAFE)
    flags, method, _time, _date, crc = struct.unpack_from("<HHHHL", made, 6)
    assert flags & 1 << 3 == 0  # no data descriptor
    assert (method, crc) == (0, 0xCAFE)
    assert struct.unpack_from("<HHQQ", made, 31) == (1, 16, 5 * GIB, 5 * GIB)


def test_entries_beyond_four_gibibytes_are_found() -> None:
    entries = [Entry("large", WHEN, 5 * GIB, 1, 0)]
    entries.append(Entry("behind", WHEN, 3, 2, entries[0].end))
    directory = central_directory(entries)
    # The directory alone, as zipfile sees the end of a file of which it never reads the rest.
    with zipfile.ZipFile(_Sparse(entries[-1].end, directory)) as found:
        large, behind = found.infolist()
    assert (large.filename, large.file_size, large.header_offset) == ("large", 5 * GIB, 0)
    assert (behind.filename, behind.file_size, behind.header_offset) == (
        "behind",
        3,
        entries[0].end,
    )


def test_more_entries_than_sixteen_bits_count_are_all_found() -> None:
    files = {f"{n}": b"" for n in range(70_000)}
    with zipfile.ZipFile(io.BytesIO(archive(files))) as found:
        assert len(found.namelist()) == 70_000


class _Sparse(io.RawIOBase):
    """A file of so many zeros and then some bytes."""

    def __init__(self, zeros: int, end: bytes) -> None:
        self._zeros = zeros
        self._end = end
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, self._zeros + len(self._end))[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        assert self._at >= self._zeros, "the directory alone is read"
        start = self._at - self._zeros
        found = self._end[start:] if size < 0 else self._end[start : start + size]
        self._at += len(found)
        return found
