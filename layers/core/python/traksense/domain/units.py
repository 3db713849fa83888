"""Units of measurement: a value is converted where the factor is known, else refused.

A unit is ``value × factor + offset`` of its dimension's base, both exact fractions. A conversion is
computed on the decimal number that was sent and rounded to a double once: 300.15 K is 27.0 °C, not
26.999999999999943. Factors are those of the SI Brochure and of NIST SP 811, appendix B.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final


class UnitMismatch(ValueError):
    """No factor is known between the two units, or the result is beyond a double."""


@dataclass(frozen=True, slots=True)
class _Unit:
    dimension: str
    factor: Fraction
    offset: Fraction


_FOOT: Final = Fraction("0.3048")
_POUND_FORCE: Final = Fraction("0.45359237") * Fraction("9.80665")
_GALLON: Final = Fraction("0.003785411784")
_BTU: Final = Fraction("1055.05585262")
_HOUR: Final = Fraction(3600)
_MINUTE: Final = Fraction(60)

# dimension: (spellings, factor, offset to the base); the first spelling is how we write it.
_TABLE: Final[dict[str, tuple[tuple[str, Fraction | int | str, Fraction | int | str], ...]]] = {
    "temperature, in K": (
        ("K kelvin", 1, 0),
        ("°C ºC C Cel degC celsius ℃", 1, "273.15"),
        ("°F ºF F degF fahrenheit ℉", Fraction(5, 9), Fraction("459.67") * 5 / 9),
    ),
    "temperature difference, in K": (("ΔK", 1, 0), ("Δ°C", 1, 0), ("Δ°F", Fraction(5, 9), 0)),
    "power, in W": (
        ("W", 1, 0),
        ("mW", "1e-3", 0),
        ("kW", 1000, 0),
        ("MW", 10**6, 0),
        ("GW", 10**9, 0),
        ("BTU/h Btu/h", _BTU / _HOUR, 0),
        ("kcal/h", Fraction("4186.8") / _HOUR, 0),
        ("TR", 12000 * _BTU / _HOUR, 0),
        ("cv", Fraction("735.49875"), 0),
        ("hp HP", 550 * _FOOT * _POUND_FORCE, 0),
    ),
    "apparent power, in VA": (("VA", 1, 0), ("kVA", 1000, 0), ("MVA", 10**6, 0)),
    "reactive power, in var": (
        ("var VAr VAR", 1, 0),
        ("kvar kVAr kVAR", 1000, 0),
        ("Mvar MVAr MVAR", 10**6, 0),
    ),
    "energy, in J": (
        ("J Ws W·s", 1, 0),
        ("kJ", 1000, 0),
        ("MJ", 10**6, 0),
        ("GJ", 10**9, 0),
        ("Wh", _HOUR, 0),
        ("kWh", 1000 * _HOUR, 0),
        ("MWh", 10**6 * _HOUR, 0),
        ("GWh", 10**9 * _HOUR, 0),
        ("BTU Btu", _BTU, 0),
        ("kcal", Fraction("4186.8"), 0),
    ),
    "apparent energy, in VA·s": (
        ("VA·s VAs", 1, 0),
        ("VAh", _HOUR, 0),
        ("kVAh", 1000 * _HOUR, 0),
    ),
    "reactive energy, in var·s": (
        ("var·s vars", 1, 0),
        ("varh VArh", _HOUR, 0),
        ("kvarh kVArh", 1000 * _HOUR, 0),
        ("Mvarh MVArh", 10**6 * _HOUR, 0),
    ),
    "charge, in coulombs": (
        ("coulomb A·s As", 1, 0),
        ("Ah", _HOUR, 0),
        ("mAh", _HOUR / 1000, 0),
    ),
    "pressure, in Pa": (
        ("Pa", 1, 0),
        ("hPa", 100, 0),
        ("kPa", 1000, 0),
        ("MPa", 10**6, 0),
        ("bar", 10**5, 0),
        ("mbar", 100, 0),
        ("psi PSI", _POUND_FORCE / (_FOOT / 12) ** 2, 0),
        ("atm", 101325, 0),
        ("mmHg", "133.322387415", 0),
        ("mH2O mca mCA", "9806.65", 0),
        ("mmH2O mmca mmCA", "9.80665", 0),
        ("inH2O", Fraction("249.08891"), 0),
        ("kgf/cm² kgf/cm2", "98066.5", 0),
    ),
    "voltage, in V": (("V", 1, 0), ("mV", "1e-3", 0), ("kV", 1000, 0)),
    "current, in A": (
        ("A", 1, 0),
        ("µA μA uA", "1e-6", 0),
        ("mA", "1e-3", 0),
        ("kA", 1000, 0),
    ),
    "resistance, in Ω": (("Ω Ohm ohm \u2126", 1, 0), ("kΩ kOhm kohm", 1000, 0), ("MΩ", 10**6, 0)),
    "conductivity, in S/m": (("S/m", 1, 0), ("mS/cm", "0.1", 0), ("µS/cm μS/cm uS/cm", "1e-4", 0)),
    "frequency, in Hz": (
        ("Hz 1/s", 1, 0),
        ("kHz", 1000, 0),
        ("MHz", 10**6, 0),
        ("GHz", 10**9, 0),
        ("rpm RPM 1/min", 1 / _MINUTE, 0),
    ),
    "ratio": (
        ("1 /", 1, 0),
        ("% %RH %UR %EL", "1e-2", 0),
        ("‰ /1000", "1e-3", 0),
        ("ppm", "1e-6", 0),
        ("ppb", "1e-9", 0),
    ),
    "count": (("count", 1, 0),),
    # The two count from different references, a milliwatt and a watt: 0 dBW is 30 dBm.
    "signal power, in dBW": (("dBW", 1, 0), ("dBm", 1, -30)),
    "level, in dB": (("dB", 1, 0),),
    "time, in s": (
        ("s sec", 1, 0),
        ("µs μs us", "1e-6", 0),
        ("ms", "1e-3", 0),
        ("min", _MINUTE, 0),
        ("h hr", _HOUR, 0),
        ("d", 24 * _HOUR, 0),
    ),
    "volume flow, in m³/s": (
        ("m³/s m3/s", 1, 0),
        ("m³/h m3/h", 1 / _HOUR, 0),
        ("m³/min m3/min", 1 / _MINUTE, 0),
        ("L/s l/s", "1e-3", 0),
        ("L/min l/min", Fraction("1e-3") / _MINUTE, 0),
        ("L/h l/h", Fraction("1e-3") / _HOUR, 0),
        ("gpm GPM", _GALLON / _MINUTE, 0),
        ("cfm CFM", _FOOT**3 / _MINUTE, 0),
    ),
    "volume, in m³": (("m³ m3", 1, 0), ("L l", "1e-3", 0), ("mL ml", "1e-6", 0)),
    "length, in m": (
        ("m", 1, 0),
        ("mm", "1e-3", 0),
        ("cm", "1e-2", 0),
        ("km", 1000, 0),
        ("in", _FOOT / 12, 0),
        ("ft", _FOOT, 0),
    ),
    "area, in m²": (("m² m2", 1, 0), ("cm² cm2", "1e-4", 0)),
    "speed, in m/s": (
        ("m/s", 1, 0),
        ("km/h", 1000 / _HOUR, 0),
        ("m/min", 1 / _MINUTE, 0),
        ("m/h", 1 / _HOUR, 0),
        ("mm/s", "1e-3", 0),
        ("mm/h", Fraction("1e-3") / _HOUR, 0),
    ),
    "acceleration, in m/s²": (("m/s² m/s2", 1, 0), ("g0", "9.80665", 0)),
    "mass, in kg": (("kg", 1, 0), ("g", "1e-3", 0), ("mg", "1e-6", 0), ("t", 1000, 0)),
    "density, in kg/m³": (
        ("kg/m³ kg/m3", 1, 0),
        ("mg/m³ mg/m3", "1e-6", 0),
        ("µg/m³ μg/m³ ug/m³ µg/m3 μg/m3 ug/m3", "1e-9", 0),
    ),
    "irradiance, in W/m²": (("W/m² W/m2", 1, 0), ("kW/m² kW/m2", 1000, 0)),
    "illuminance, in lx": (("lx lux", 1, 0),),
    "angle, in °": (("° deg", 1, 0),),
    "data, in bits": (("bit", 1, 0), ("B byte", 8, 0), ("KiB", 8 * 1024, 0), ("GB", 8 * 10**9, 0)),
    "data rate, in bit/s": (
        ("bit/s bps", 1, 0),
        ("kbit/s", 1000, 0),
        ("Mbit/s", 10**6, 0),
        ("B/s", 8, 0),
        ("MB/s", 8 * 10**6, 0),
    ),
}
_UNITS: Final[dict[str, _Unit]] = {
    spelling: _Unit(dimension, Fraction(factor), Fraction(offset))
    for dimension, units in _TABLE.items()
    for spellings, factor, offset in units
    for spelling in spellings.split()
}
_PLAIN: Final = frozenset({"", "1", "/", "count"})
_BY_LOWER_CASE: Final[dict[str, tuple[str, ...]]] = {
    lower: tuple(unit for unit in _UNITS if unit.lower() == lower)
    for lower in {unit.lower() for unit in _UNITS}
}


def miswritten(unit: str) -> tuple[str, ...]:
    """The known units that a text is but for its capitals (``°c``, ``mw``); none where it is one.

    One letter says too little: an ``H`` is no hour.
    """
    if unit in _UNITS or len(unit) < 2:
        return ()
    return _BY_LOWER_CASE.get(unit.lower(), ())


def convert(value: float, from_unit: str | None, to_unit: str | None) -> float:
    """A finite value in another unit of the same dimension.

    ``from_unit`` None is the point's own unit. ``to_unit`` None is a point without a unit, which
    takes plain numbers only (``1``, ``/``, ``count``). Units are case-sensitive: mW is no MW.
    Raises UnitMismatch.
    """
    if from_unit is None or from_unit == to_unit:
        return value
    numerator, denominator, shift_numerator, shift_denominator = _line(from_unit, to_unit)
    if numerator == denominator and not shift_numerator:
        return value
    sent, scale = Decimal(repr(value)).as_integer_ratio()
    below = scale * denominator * shift_denominator
    above = sent * numerator * shift_denominator + shift_numerator * scale * denominator
    try:
        return above / below
    except OverflowError as error:
        raise UnitMismatch(f"{value!r} {from_unit} is too large in {to_unit}") from error


@lru_cache(maxsize=1024)
def _line(from_unit: str, to_unit: str | None) -> tuple[int, int, int, int]:
    """Slope and intercept, as two ratios, of the line from one unit to the other."""
    if to_unit is None:
        if from_unit in _PLAIN:
            return 1, 1, 0, 1
        raise UnitMismatch(f"the point has no unit, the reading is in {from_unit[:64]}")
    source, target = _UNITS.get(from_unit), _UNITS.get(to_unit)
    if source is None or target is None or source.dimension != target.dimension:
        raise UnitMismatch(f"{from_unit[:64]} cannot be converted to {to_unit}")
    slope = source.factor / target.factor
    shift = (source.offset - target.offset) / target.factor
    return (*slope.as_integer_ratio(), *shift.as_integer_ratio())
