"""Irrational steps of a learning rate: right to 30 digits, and the same on every machine."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.optim.exact import cosine, exponential, power, root

UNIT = st.fractions(min_value=0, max_value=1, max_denominator=10**6)


@given(UNIT)
def test_cosine_agrees_with_the_float_one(turn):
    assert float(cosine(turn)) == pytest.approx(math.cos(math.pi * turn), abs=1e-15)
    assert cosine(turn) == -cosine(1 - turn)


@given(UNIT, st.fractions(min_value=Fraction(1, 10), max_value=5, max_denominator=100))
def test_power_agrees_with_the_float_one(base, exponent):
    assert float(power(base, exponent)) == pytest.approx(float(base) ** float(exponent), rel=1e-12)


@given(st.fractions(min_value=0, max_value=10**6, max_denominator=10**6))
def test_root_squares_back(value):
    assert abs(root(value) ** 2 - value) <= Fraction(2 * 10**4, 10**30)


@given(st.fractions(min_value=-60, max_value=0, max_denominator=1000))
def test_exponential_agrees_with_the_float_one(value):
    assert float(exponential(value)) == pytest.approx(math.exp(value), rel=1e-3, abs=1e-29)


def test_digits_are_pinned():
    assert cosine(Fraction(1, 5)) == Fraction("0.809016994374947424102293417183")
    assert root(Fraction(2)) == Fraction("1.414213562373095048801688724210")
    assert exponential(Fraction(-1)) == Fraction("0.367879441171442321595523770161")
    assert power(Fraction(1, 2), Fraction(1, 2)) == root(Fraction(1, 2))


def test_whole_exponents_stay_exact():
    assert power(Fraction(1, 3), Fraction(2)) == Fraction(1, 9)
    assert power(Fraction(0), Fraction("2.2")) == 0
