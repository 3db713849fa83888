"""The units of SenML by the platform's symbols, and the suffixes that they give to a point's name.

The symbols are those of RFC 8428, section 12.1, and RFC 8798, sections 2 and 3. They have to be
translated because some mean something else elsewhere: C is a coulomb, F a farad.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SenmlUnit:
    """A unit by the platform's symbol, and by the suffix of an alias (None: it makes none)."""

    symbol: str
    suffix: str | None


_RENAMED: Final = {
    # SenML: (symbol, suffix)
    "m": ("m", "metre"),
    "kg": ("kg", "kilogram"),
    "g": ("g", "gram"),
    "s": ("s", "second"),
    "A": ("A", "ampere"),
    "K": ("K", "kelvin"),
    "cd": ("cd", "candela"),
    "mol": ("mol", "mole"),
    "Hz": ("Hz", "hertz"),
    "rad": ("rad", "radian"),
    "sr": ("sr", "steradian"),
    "N": ("N", "newton"),
    "Pa": ("Pa", "pascal"),
    "J": ("J", "joule"),
    "W": ("W", "watt"),
    "C": ("coulomb", "coulomb"),
    "V": ("V", "volt"),
    "F": ("farad", "farad"),
    "Ohm": ("Ω", "ohm"),
    "S": ("S", "siemens"),
    "Wb": ("Wb", "weber"),
    "T": ("T", "tesla"),
    "H": ("H", "henry"),
    "Cel": ("°C", "celsius"),
    "lm": ("lm", "lumen"),
    "lx": ("lx", "lux"),
    "Bq": ("Bq", "becquerel"),
    "Gy": ("Gy", "gray"),
    "Sv": ("Sv", "sievert"),
    "kat": ("kat", "katal"),
    "m2": ("m²", "square_metre"),
    "m3": ("m³", "cubic_metre"),
    "l": ("L", "litre"),
    "m/s": ("m/s", "metre_per_second"),
    "m/s2": ("m/s²", "metre_per_square_second"),
    "m3/s": ("m³/s", "cubic_metre_per_second"),
    "l/s": ("L/s", "litre_per_second"),
    "W/m2": ("W/m²", "watt_per_square_metre"),
    "cd/m2": ("cd/m²", "candela_per_square_metre"),
    "bit": ("bit", "bit"),
    "bit/s": ("bit/s", "bit_per_second"),
    "lat": ("°", "latitude"),
    "lon": ("°", "longitude"),
    "pH": ("pH", "ph"),
    "dB": ("dB", "db"),
    "dBW": ("dBW", "dbw"),
    "Bspl": ("Bspl", "bspl"),
    "count": ("count", "count"),
    "/": ("1", "ratio"),
    "%": ("%", "percent"),
    "%RH": ("%", "percent_rh"),
    "%EL": ("%", "percent_el"),
    "EL": ("s", "el"),
    "1/s": ("1/s", "per_second"),
    "1/min": ("1/min", "per_minute"),
    "beat/min": ("1/min", "beat_per_minute"),
    "beats": ("count", "beats"),
    "S/m": ("S/m", "siemens_per_metre"),
    "deg": ("°", "degree"),
    "B": ("B", "byte"),
    "ug/m3": ("µg/m³", "microgram_per_cubic_metre"),
    "kg/m3": ("kg/m³", "kilogram_per_cubic_metre"),
    "/100": ("%", "percent"),
    "m/h": ("m/h", "metre_per_hour"),
}
_INTEGRALS: Final = {
    "W": ("J", "joule"),
    "A": ("coulomb", "coulomb"),
    "m/s": ("m", "metre"),
    "m³/s": ("m³", "cubic_metre"),
    "L/s": ("L", "litre"),
    "bit/s": ("bit", "bit"),
    "1/s": ("count", "count"),
}
_NO_NAME: Final = re.compile(r"[^a-z0-9]+")


def named(symbol: str) -> SenmlUnit:
    """The unit of a SenML symbol. One that no RFC lists keeps its symbol."""
    if symbol in _RENAMED:
        return SenmlUnit(*_RENAMED[symbol])
    return SenmlUnit(symbol, _NO_NAME.sub("_", symbol.lower()).strip("_") or None)


def integral_of(unit: SenmlUnit | None) -> SenmlUnit | None:
    """The unit of a value summed over time: the unit times seconds (RFC 8428, section 4.2)."""
    if unit is None:
        return None
    if unit.symbol in _INTEGRALS:
        return SenmlUnit(*_INTEGRALS[unit.symbol])
    return SenmlUnit(f"{unit.symbol}·s", f"{unit.suffix}_second" if unit.suffix else None)
