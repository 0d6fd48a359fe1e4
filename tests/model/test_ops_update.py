"""Weight copies, norms and the update of the oracle against exact rationals."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.dfp import LIMIT13, LIMIT16, LIMIT32, half_up, mantissa16, weight_shift
from orchestrator.model import ops

INT32 = st.integers(-LIMIT32, LIMIT32)
SCALAR = st.fractions(min_value=0, max_value=4, max_denominator=10**7).map(mantissa16)


def array(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


def test_copy_of_the_masters_fills_thirteen_bits() -> None:
    masters = array(3 * 2**20, -(2**21), 5, 0, 2**22 - 1)
    shift = weight_shift(ops.bits_i32(masters))
    assert shift == 22 - 12
    out = np.empty(5, np.int16)
    assert ops.quantise(masters, shift, LIMIT13, out) == 1
    assert out.tolist() == [3072, -2048, 0, 0, LIMIT13]


def test_copy_of_tiny_and_extreme_masters() -> None:
    out = np.empty(3, np.int16)
    tiny = array(1, -1, 2)
    assert ops.quantise(tiny, weight_shift(ops.bits_i32(tiny)), LIMIT13, out) == 0
    assert out.tolist() == [1024, -1024, 2048]
    extreme = array(LIMIT32, -LIMIT32, 0)
    assert ops.quantise(extreme, weight_shift(ops.bits_i32(extreme)), LIMIT13, out) == 2
    assert out.tolist() == [LIMIT13, -LIMIT13, 0]
    assert ops.bits_i32(array(0, -1, 0)) == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(INT32, min_size=1, max_size=20), st.integers(-3, 20))
def test_sum_of_squares_is_exact(values: list[int], shift: int) -> None:
    clamped = [max(-LIMIT16, min(LIMIT16, half_up(v, shift))) for v in values]
    assert ops.sum_squares(array(*values), shift) == sum(v * v for v in clamped)


def term(value: int, scalar: tuple[int, int], exponent: int) -> int:
    """Return value * scalar on the grid 2^-46, clamped, from the exact rational."""
    exact = Fraction(value * scalar[0]) * Fraction(2) ** (scalar[1] + exponent + 46)
    return max(-(2**60), min(2**60, math.floor(exact + Fraction(1, 2))))


def clamp(v: int) -> int:
    return max(-LIMIT32, min(LIMIT32, v))


@settings(max_examples=50, deadline=None)
@given(INT32, INT32, INT32, SCALAR, SCALAR, SCALAR, st.integers(-70, 10), st.none() | SCALAR)
def test_update_follows_the_exact_rule(
    w: int,
    v: int,
    g: int,
    m: tuple[int, int],
    rate: tuple[int, int],
    d: tuple[int, int],
    gradient_exponent: int,
    ahead: tuple[int, int] | None,
) -> None:
    rate = (rate[0], rate[1] + gradient_exponent)
    pull = term(g, rate, 0) + term(w, d, -28)
    moved = half_up(term(v, m, -30) + pull, 16)
    step = half_up(term(clamp(moved), ahead, -30) + pull, 16) if ahead else moved
    weight = w - half_up(clamp(step), 2)
    masters, momentum = array(w), array(v)
    counts = ops.update(masters, momentum, array(g), m, rate, d, ahead)
    assert (masters[0], momentum[0]) == (clamp(weight), clamp(moved))
    clipped = (abs(moved) > LIMIT32) + (ahead is not None and abs(step) > LIMIT32)
    assert counts == (clipped, abs(weight) > LIMIT32)


@pytest.mark.parametrize("nesterov", [False, True])
def test_ten_steps_follow_float64(nesterov: bool) -> None:
    rng = np.random.default_rng(1)
    w, v = rng.integers(-(2**27), 2**27, 100).astype(np.int32), np.zeros(100, np.int32)
    real_w, real_v = w / 2.0**28, np.zeros(100)
    m, rate, d = (mantissa16(Fraction(s)) for s in ("0.9", "0.1", "0.00005"))
    for _ in range(10):
        g = rng.integers(-(2**20), 2**20, 100).astype(np.int32)
        pull = 0.1 * g * 2.0**-24 + 0.00005 * real_w
        real_v = 0.9 * real_v + pull
        real_w = real_w - (0.9 * real_v + pull if nesterov else real_v)
        assert ops.update(w, v, g, m, (rate[0], rate[1] - 24), d, m if nesterov else None) == (0, 0)
    # The 16-bit scalars are off by 2^-17 relatively, w has moved by less than 1.
    assert np.abs(v / 2.0**30 - real_v).max() < 2**-17
    assert np.abs(w / 2.0**28 - real_w).max() < 2**-17


def test_no_history_leaves_weight_decay_and_momentum() -> None:
    w, v = array(2**28), array(2**20)
    ops.update(w, v, array(LIMIT32), mantissa16(Fraction(1, 2)), (0, 0), (0, 0), None)
    assert (w[0], v[0]) == (2**28 - 2**17, 2**19)
