"""RMSprop warm-up: its integers against exact fractions, its blend against the paper."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from orchestrator.config import OptimizerConfig
from orchestrator.optim import StepRates, plan_updates, rmsprop_scalars, rmsprop_update
from orchestrator.optim.rmsprop_warmup import BLOCK, quotients, renew, sgd_share

AKIBA = OptimizerConfig(name="rmsprop_warmup", weight_decay="1e-4", exclude=())
LIMIT = 2**31 - 1
INT31 = st.integers(-LIMIT, LIMIT)


@pytest.mark.parametrize(
    ("epoch", "share"), [(0, math.exp(-4) / 2), (10, 0.5), (11, 0.7), (12.5, 1), (40, 1)]
)
def test_the_share_of_sgd_by_epoch(epoch, share):
    assert float(sgd_share(AKIBA, Fraction(epoch))) == pytest.approx(share, rel=1e-12)


def test_value_and_slope_meet_at_the_centre():
    step = Fraction(1, 1000)
    before, centre, after = (sgd_share(AKIBA, 10 + k * step) for k in (-1, 0, 1))
    assert float(centre - before) == pytest.approx(float(after - centre), rel=1e-3)


@given(
    arrays(np.int64, 5, elements=INT31),
    arrays(np.int64, 5, elements=st.integers(0, LIMIT**2)),
    st.integers(1, 2**24),
)
def test_second_moments_are_exact_and_never_negative(gradient, second, renewal):
    expected = [
        s + (((g * g - s) * renewal + 2**23) >> 24)
        for g, s in zip(gradient.tolist(), second.tolist(), strict=True)
    ]
    renew(second, gradient, renewal)
    assert second.tolist() == expected
    assert min(expected) >= 0


@given(
    arrays(np.int64, 5, elements=INT31),
    arrays(np.int64, 5, elements=st.integers(0, LIMIT**2)),
    st.integers(1, 2**32),
)
def test_quotients_are_exact_integers(gradient, second, epsilon):
    expected = []
    for g, s in zip(gradient.tolist(), second.tolist(), strict=True):
        root = math.isqrt(s << 8) if s < 2**54 else math.isqrt(s) << 4
        below = root + epsilon
        rounded = ((g << 29) + below) // (2 * below)
        expected.append(max(-LIMIT, min(LIMIT, rounded)))
    assert quotients(gradient, second, epsilon).tolist() == expected


def scalars_at(epoch, exponent=-24, samples=64):
    plan = plan_updates(AKIBA, [])
    rates = StepRates(Fraction(1, 2), Fraction(1, 2), samples)
    return rmsprop_scalars(plan, "w", rates, exponent, Fraction(epoch))


@given(
    epoch=st.integers(0, 20),
    values=st.lists(
        st.tuples(
            st.integers(-(2**27), 2**27), st.integers(-(2**24), 2**24), st.integers(-(2**26), 2**26)
        ),
        min_size=1,
        max_size=5,
    ),
    second=st.integers(2**30, 2**50),
)
def test_an_update_is_the_papers_formula_within_rounding(epoch, values, second):
    scalars = scalars_at(epoch)
    arrays_ = [np.array(column, np.int32) for column in zip(*values, strict=True)]
    w, v, g = (array.copy() for array in arrays_)
    s = np.full(len(values), second, np.int64)
    assert rmsprop_update(w, v, g, s, scalars) == (0, 0)
    share = float(sgd_share(AKIBA, Fraction(epoch)))
    for i, (w0, v0, g0) in enumerate(values):
        gradient = g0 * 2.0**-24 / 64 + 1e-4 * w0 * 2.0**-28
        moment = 0.99 * second * 2.0**-56 + 0.01 * gradient**2
        rate = share / 2 + (1 - share) * 3e-4 / (math.sqrt(moment) + 1e-8)
        expected_v = 0.9 * v0 * 2.0**-30 + rate * gradient
        # Every scalar is off by 2^-17 of itself, every stored number by a unit.
        slack = 2.0**-14 * (abs(v0) * 2.0**-30 + abs(rate * gradient)) + rate * 2.0**-27 + 2.0**-28
        assert v[i] * 2.0**-30 == pytest.approx(expected_v, abs=slack)
        assert w[i] * 2.0**-28 == pytest.approx(w0 * 2.0**-28 - expected_v, abs=slack)
        assert s[i] * 2.0**-56 == pytest.approx(moment, rel=1e-2)


def test_extremes_saturate_and_are_counted():
    w = np.array([LIMIT, -LIMIT], np.int32)
    v = np.array([-LIMIT, LIMIT], np.int32)
    g = np.array([-LIMIT, LIMIT], np.int32)
    second = np.zeros(2, np.int64)
    assert rmsprop_update(w, v, g, second, scalars_at(20, exponent=0, samples=1)) == (2, 2)
    assert v.tolist() == [-LIMIT, LIMIT]
    assert w.tolist() == [LIMIT, -LIMIT]


def test_a_gradient_without_history_leaves_the_second_moments():
    w, v = np.array([2**28], np.int32), np.array([0], np.int32)
    second = np.array([7], np.int64)
    rmsprop_update(w, v, np.array([5], np.int32), second, scalars_at(0, exponent=None))
    assert second.tolist() == [7]
    assert 0 < v[0] < 2**30 * 1e-4


def test_arrays_of_any_shape_are_updated_in_place():
    w, v, g = (np.full((2, 3, 1, 2), value, np.int32) for value in (2**20, 0, 2**12))
    second = np.zeros((2, 3, 1, 2), np.int64)
    rmsprop_update(w, v, g, second, scalars_at(5))
    assert len(np.unique(w)) == len(np.unique(second)) == 1
    assert w.flat[0] < 2**20


def test_long_arrays_are_updated_in_blocks_without_a_seam():
    size = 2 * BLOCK + 3
    g = np.arange(size, dtype=np.int32) - size // 2
    whole = [np.full(size, 2**20, np.int32), np.zeros(size, np.int32), g]
    parts = [array.copy() for array in whole]
    second, moments = np.zeros(size, np.int64), np.zeros(size, np.int64)
    rmsprop_update(*whole, second, scalars_at(5))
    for start in range(0, size, 1000):
        part = slice(start, start + 1000)
        rmsprop_update(*(array[part] for array in parts), moments[part], scalars_at(5))
    assert np.array_equal(whole[0], parts[0])
    assert np.array_equal(whole[1], parts[1])
    assert np.array_equal(second, moments)
