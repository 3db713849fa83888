"""CRC-32 of a whole from those of its parts, without their bytes.

Appending n bytes to a message multiplies its CRC by x^(8n) modulo the polynomial; what is joined
differs from that by the CRC of what was appended. Polynomials over GF(2) are kept as zlib keeps
them, the lowest bit for the highest power (RFC 1952, section 8).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_POLYNOMIAL: Final = 0xEDB88320
_ONE: Final = 1 << 31
_X8: Final = 1 << 23
"""x to the power of 8: one more byte."""


def combined(parts: Iterable[tuple[int, int]]) -> int:
    """CRC-32 of all parts one after the other, each given by its CRC-32 and its length."""
    whole = 0
    for crc, length in parts:
        whole = _product(_power(length), whole) ^ crc
    return whole


def _power(length: int) -> int:
    """x to the power of eight times ``length``."""
    found, square = _ONE, _X8
    while length:
        if length & 1:
            found = _product(found, square)
        square = _product(square, square)
        length >>= 1
    return found


def _product(a: int, b: int) -> int:
    found = 0
    while a:
        if a & _ONE:
            found ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return found
