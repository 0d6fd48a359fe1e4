"""Batch and running statistics against exact rationals."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.dfp import LIMIT16
from orchestrator.model import ops, statistics

quick = settings(max_examples=40, deadline=None)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_mean_and_variance_are_within_a_q16_step(seed: int, rows: int) -> None:
    y = np.random.default_rng(seed).integers(-LIMIT16, LIMIT16, (rows, 3)).astype(np.int16)
    s1, s2, _, _ = ops.channel_statistics(y)
    got = statistics.batch_statistics(s1, s2, rows)
    for c in range(3):
        mean = Fraction(int(s1[c]), rows)
        variance = Fraction(int(s2[c]), rows) - mean * mean
        assert abs(Fraction(int(got.mean[c]), 2**16) - mean) <= Fraction(1, 2**17)
        assert abs(Fraction(int(got.variance[c]), 2**16) - variance) <= Fraction(2, 2**16)


@pytest.mark.parametrize("value", [LIMIT16, -LIMIT16, 0, 17])
def test_a_constant_has_no_variance(value: int) -> None:
    rows = 2**24
    s1 = np.array([value * rows], np.int64)
    s2 = np.array([value * value * rows], np.int64)
    got = statistics.batch_statistics(s1, s2, rows)
    assert got.mean.tolist() == [value << 16]
    assert got.variance.tolist() == [0]


def test_largest_deviation_and_largest_batch() -> None:
    rows = 2**24
    s2 = np.array([LIMIT16**2 * rows], np.int64)
    got = statistics.batch_statistics(np.array([0], np.int64), s2, rows)
    assert got.variance.tolist() == [LIMIT16**2 << 16]


def test_half_way_means_round_up() -> None:
    got = statistics.batch_statistics(np.array([3, -3]), np.array([5, 5]), 2)
    assert got.mean.tolist() == [3 << 15, -3 << 15]
    assert got.variance.tolist() == [1 << 14] * 2


@quick
@given(
    st.integers(-(2**46), 2**46),
    st.integers(-(2**46), 2**46),
    st.integers(1, 65536),
    st.fractions(min_value=0, max_value=1, max_denominator=1000),
)
def test_running_update_is_exact(
    run: int, value: int, ghost_batches: int, momentum: Fraction
) -> None:
    total = value * ghost_batches - ghost_batches // 3
    mean = math.floor(Fraction(total, ghost_batches) + Fraction(1, 2))
    weight = math.floor(momentum * 2**16 + Fraction(1, 2))
    expected = run + math.floor(Fraction((mean - run) * weight, 2**16) + Fraction(1, 2))
    got = statistics.running_update(np.array([run]), np.array([total]), ghost_batches, momentum)
    assert got.tolist() == [expected]
