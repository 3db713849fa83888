from __future__ import annotations

import pytest

from traksense.domain import units
from traksense.domain.units import UnitMismatch, convert


@pytest.mark.parametrize(
    ("value", "from_unit", "to_unit", "expected"),
    [
        (300.15, "K", "°C", 27.0),
        (27.0, "°C", "K", 300.15),
        (98.6, "°F", "°C", 37.0),
        (-40.0, "°F", "°C", -40.0),
        (0.0, "K", "°F", -459.67),
        (7.3, "Cel", "°C", 7.3),
        (7.3, "C", "ºC", 7.3),
        (1234.5, "W", "kW", 1.2345),
        (1.1, "kW", "W", 1100.0),
        (2.0, "MWh", "kWh", 2000.0),
        (3.6, "MJ", "kWh", 1.0),
        (1.013, "bar", "kPa", 101.3),
        (1013.25, "mbar", "hPa", 1013.25),
        (230.0, "mV", "V", 0.23),
        (13.8, "kV", "V", 13800.0),
        (20.0, "mA", "A", 0.02),
        (-61.0, "dBW", "dBm", -31.0),
        (-68.0, "dBm", "dBW", -98.0),
        (64.0, "%RH", "%", 64.0),
        (0.64, "/", "%", 64.0),
        (90.0, "min", "h", 1.5),
        (1500.0, "ms", "s", 1.5),
        (3.6, "m3/h", "L/s", 1.0),
        (60.0, "L/min", "L/s", 1.0),
        (1.0, "m³/h", "m3/h", 1.0),
        (1800.0, "rpm", "Hz", 30.0),
        (36.0, "km/h", "m/s", 10.0),
        (1.0, "TR", "BTU/h", 12000.0),
        (1.0, "mca", "kPa", 9.80665),
        (3600.0, "W·s", "Wh", 1.0),
        (3600.0, "coulomb", "Ah", 1.0),
        (0.1, "kvar", "var", 100.0),
    ],
)
def test_a_known_factor_gives_the_nearest_double(
    value: float, from_unit: str, to_unit: str, expected: float
) -> None:
    assert convert(value, from_unit, to_unit) == expected


def test_an_atmosphere_is_14_7_psi() -> None:
    assert convert(1.0, "atm", "psi") == pytest.approx(14.695948775513, rel=1e-12)


@pytest.mark.parametrize("unit", ["°C", "no such unit", "", None])
def test_the_points_own_unit_leaves_the_value_alone(unit: str | None) -> None:
    value = 0.1 + 0.2
    assert convert(value, unit, unit) is value
    assert convert(value, None, unit) is value


@pytest.mark.parametrize(
    ("from_unit", "to_unit"),
    [
        ("°C", "V"),
        ("°C", "no such unit"),
        ("no such unit", "°C"),
        ("", "°C"),
        ("mw", "W"),
        ("kW", "kWh"),
        ("W", "VA"),
        ("Δ°C", "°C"),
        ("dB", "dBm"),
        ("count", "%"),
        ("m", "min"),
    ],
)
def test_an_unknown_factor_is_a_mismatch(from_unit: str, to_unit: str) -> None:
    with pytest.raises(UnitMismatch, match="cannot be converted"):
        convert(1.0, from_unit, to_unit)


@pytest.mark.parametrize("unit", ["", "1", "/", "count"])
def test_a_point_without_a_unit_takes_plain_numbers(unit: str) -> None:
    assert convert(5.0, unit, None) == 5.0


@pytest.mark.parametrize("unit", ["°C", "%", "s", "no such unit"])
def test_a_point_without_a_unit_takes_no_other(unit: str) -> None:
    with pytest.raises(UnitMismatch, match="has no unit"):
        convert(5.0, unit, None)


def test_a_result_beyond_a_double_is_a_mismatch() -> None:
    with pytest.raises(UnitMismatch, match="too large"):
        convert(1e308, "GWh", "J")


def test_case_tells_milli_from_mega() -> None:
    assert convert(1.0, "MW", "mW") == 1e9


def test_no_spelling_stands_for_two_units() -> None:
    spellings = [
        spelling for rows in units._TABLE.values() for row in rows for spelling in row[0].split()
    ]
    assert len(spellings) == len(set(spellings))
