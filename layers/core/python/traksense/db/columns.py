"""Columns of many rows as one ``bytea`` each, read without looking at a single value.

A query concatenates what ``timestamptz_send``, ``float8send`` and the like make of each value:
numbers in big-endian order, which is how ``array`` reads them once their bytes are swapped. For
43,000 rows that takes 0.7 ms a column, where arrays of the server cost some 20 ms more in all.
"""

from __future__ import annotations

import sys
from array import array
from typing import Literal, cast

from traksense.db.binary import PG_EPOCH_US

Kind = Literal["d", "q", "i", "h"]
"""float8, int8, int4, int2: the letters of ``array`` and of ``struct``."""

_IS_LITTLE = sys.byteorder == "little"


def numbers(data: bytes | None, kind: Kind) -> array[float] | array[int]:
    """The values of a column; none for None, which is what no rows give."""
    values: array[float] | array[int] = array(kind)
    values.frombytes(data or b"")
    if _IS_LITTLE:
        values.byteswap()
    return values


def instants(data: bytes | None) -> list[int]:
    """timestamptz values as microseconds since the Unix epoch."""
    return [us + PG_EPOCH_US for us in cast("array[int]", numbers(data, "q"))]
