from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from traksense.domain import crc32


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_the_crc_of_a_whole_comes_from_those_of_its_parts(parts: list[bytes]) -> None:
    known = crc32.combined((zlib.crc32(part), len(part)) for part in parts)
    assert known == zlib.crc32(b"".join(parts))


def test_parts_may_be_large() -> None:
    half = bytes(range(256)) * 40_000
    known = crc32.combined([(zlib.crc32(half), len(half)), (zlib.crc32(half), len(half))])
    assert known == zlib.crc32(half + half)


def test_order_and_length_count() -> None:
    a, b = b"first", b"second"
    parts = [(zlib.crc32(a), len(a)), (zlib.crc32(b), len(b))]
    assert crc32.combined(parts) != crc32.combined(reversed(parts))
    assert crc32.combined([(parts[0][0], 4), parts[1]]) == zlib.crc32(b"firstsecond")
    assert crc32.combined([parts[0], (parts[1][0], 7)]) != zlib.crc32(b"firstsecond")
