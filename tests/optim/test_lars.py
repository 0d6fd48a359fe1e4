"""Norms and trust ratios from exact integers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from orchestrator.config import OptimizerConfig
from orchestrator.model.ops_update import bits_i32, sum_squares
from orchestrator.optim import Norms, norm, norm_shift, trust_ratio

LARS = OptimizerConfig(name="lars", weight_decay="1e-4")
VALUE = st.fractions(min_value=Fraction(1, 10**6), max_value=10**4, max_denominator=10**6)


def norm_of(tensor, exponent):
    shift = norm_shift(bits_i32(tensor).bit_length())
    return norm(sum_squares(tensor, shift), exponent + shift)


@given(arrays(np.int32, st.integers(1, 50), elements=st.integers(-(2**31) + 1, 2**31 - 1)))
def test_a_norm_is_right_within_its_rounding(tensor):
    exact = math.sqrt(sum(int(x) ** 2 for x in tensor)) * 2.0**-28
    # Each of n elements is off by half a unit of 2^-15 of the largest, or clamped by one.
    rounding = 2.0**-14 * float(np.abs(tensor.astype(np.int64)).max()) * 2.0**-28
    found = float(norm_of(tensor, -28))
    assert found == pytest.approx(exact, abs=rounding * math.sqrt(len(tensor)) + 2.0**-28)


def test_a_norm_of_all_extremes_is_exact_enough():
    tensor = np.full(10_000, 2**31 - 1, np.int32)
    assert float(norm_of(tensor, -28)) == pytest.approx(800, rel=2**-14)


def test_a_zero_tensor_has_norm_zero():
    assert norm_of(np.zeros(5, np.int32), -28) == 0


@given(VALUE, VALUE, st.integers(1, 65_536))
def test_the_ratio_is_the_float_formula_within_15_bits(weight, gradient, samples):
    ratio = float(trust_ratio(LARS, Norms(weight, gradient), samples))
    below = float(gradient) / samples + 1e-4 * float(weight)
    assert ratio == pytest.approx(0.001 * float(weight) / below, rel=2**-14)


def test_epsilon_and_eta_count():
    optimizer = OptimizerConfig(name="lars", eta="1/2", epsilon=1)
    assert trust_ratio(optimizer, Norms(Fraction(3), Fraction(4)), 2) == Fraction(1, 2)


@pytest.mark.parametrize(
    "norms", [Norms(Fraction(0), Fraction(1)), Norms(Fraction(1), Fraction(0))]
)
def test_the_ratio_is_1_where_a_norm_is_0(norms):
    assert trust_ratio(LARS, norms, 32) == 1
