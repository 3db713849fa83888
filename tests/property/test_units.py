"""Conversions are affine, reversible and rounded once."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traksense.domain import units
from traksense.domain.units import UnitMismatch, convert

DIMENSIONS = [
    [spelling for row in rows for spelling in row[0].split()] for rows in units._TABLE.values()
]
pairs = st.sampled_from(DIMENSIONS).flatmap(
    lambda spellings: st.tuples(st.sampled_from(spellings), st.sampled_from(spellings))
)
values = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@settings(max_examples=300, deadline=None)
@given(pair=pairs, value=values)
def test_there_and_back_is_the_same_value(pair: tuple[str, str], value: float) -> None:
    one, other = pair
    back = convert(convert(value, one, other), other, one)
    # An offset costs digits that a small value has and its image has not.
    image_of_zero = abs(convert(0.0, other, one))
    assert back == pytest.approx(value, rel=1e-14, abs=1e-14 * image_of_zero)


@settings(max_examples=300, deadline=None)
@given(pair=pairs, value=values)
def test_a_conversion_is_a_line(pair: tuple[str, str], value: float) -> None:
    at_zero, at_one = (convert(one, *pair) for one in (0.0, 1.0))
    line = at_zero + value * (at_one - at_zero)
    scale = max(abs(at_zero), abs(at_one)) * max(1.0, abs(value))
    assert convert(value, *pair) == pytest.approx(line, rel=1e-9, abs=1e-14 * scale)


@settings(max_examples=300, deadline=None)
@given(kelvin=st.decimals(0, 2000, places=2))
def test_a_decimal_temperature_keeps_its_digits(kelvin: object) -> None:
    exact = Fraction(str(kelvin)) - Fraction("273.15")
    assert convert(float(str(kelvin)), "K", "°C") == float(exact)


@settings(max_examples=300, deadline=None)
@given(value=st.floats(allow_nan=False, allow_infinity=False), pair=pairs)
def test_any_finite_value_is_converted_or_a_mismatch(value: float, pair: tuple[str, str]) -> None:
    try:
        converted = convert(value, *pair)
    except UnitMismatch as error:
        assert "too large" in str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert abs(converted) < float("inf")


@settings(max_examples=300, deadline=None)
@given(from_unit=st.text(max_size=8), to_unit=st.none() | st.text(max_size=8))
def test_any_two_texts_give_a_value_or_a_mismatch(from_unit: str, to_unit: str | None) -> None:
    try:
        assert isinstance(convert(1.0, from_unit, to_unit), float)
    except UnitMismatch as error:
        assert str(error)  # noqa: PT017 - both outcomes are right
