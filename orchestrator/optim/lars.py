"""Norms and trust ratios of LARS (You et al. 2017, algorithm 1), from exact integers."""

from fractions import Fraction
from math import isqrt
from typing import NamedTuple

from orchestrator.config import OptimizerConfig
from orchestrator.dfp import mantissa

NORM_BITS = 15
"""A norm is taken of a tensor rounded so that its largest magnitude has 15 bits."""


class Norms(NamedTuple):
    """Euclidean norms of a parameter and of its summed gradient, as exact rationals."""

    weight: Fraction
    gradient: Fraction


def norm_shift(bits: int) -> int:
    """Return the shift that brings a tensor of bit length `bits` to 15 bits (may be negative)."""
    return bits - NORM_BITS


def norm(sum_squares: int, exponent: int) -> Fraction:
    """Return the norm of a tensor u * 2^exponent from the exact sum of u^2.

    The integer square root keeps 12 bits below the point: docs/numerics.md, section 7.

    >>> norm(9 + 16, -1)
    Fraction(5, 2)
    """
    return Fraction(isqrt(sum_squares << 24)) * Fraction(2) ** (exponent - 12)


def trust_ratio(optimizer: OptimizerConfig, norms: Norms, samples: int) -> Fraction:
    """Return eta * |w| / (|g| + wd * |w| + epsilon), half up to a 15-bit mantissa.

    g is the mean gradient: `norms.gradient` is divided by `samples`. The ratio is 1 if either
    norm is 0.
    """
    gradient = norms.gradient / samples
    if norms.weight == 0 or gradient == 0:
        return Fraction(1)
    below = gradient + optimizer.weight_decay * norms.weight + optimizer.epsilon
    m, exponent = mantissa(optimizer.eta * norms.weight / below, 15)
    return m * Fraction(2) ** exponent
