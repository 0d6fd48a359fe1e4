"""Batch statistics and running statistics as exact integers (docs/numerics.md, section 4).

Arrays are int64 [c], one entry per channel. Q16 means sixteen fraction bits.
"""

from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from orchestrator.dfp import Int64, half_up, half_up_rational, half_up_saturating

_RUNNING_BITS: Final = 46


class Statistics(NamedTuple):
    """Mean and biased variance per channel, int64 in Q16 of y's unit and of its square."""

    mean: Int64
    variance: Int64


def batch_statistics(s1: Int64, s2: Int64, rows: int) -> Statistics:
    """Return a ghost batch's statistics from exact sums of y and of y^2.

    Parameters
    ----------
    s1, s2 : sums over `rows` mantissas of magnitude 32767 at most.
    rows : N * H * W, 1 .. 2^24.
    """
    pivot = (s1 + rows // 2) // rows
    rest = s1 - rows * pivot
    squares = s2 - 2 * pivot * s1 + rows * pivot * pivot
    fraction = ((rest << 16) + rows // 2) // rows
    whole, part = np.divmod(squares, rows)
    variance = (whole << 16) + (part << 16) // rows - half_up(fraction * fraction, 16)
    return Statistics((pivot << 16) + fraction, np.maximum(variance, 0))


def running_contribution(statistics: Statistics, exponent: int) -> Statistics:
    """Return a ghost batch's statistics in real units on the grid 2^-28, to be summed exactly.

    Parameters
    ----------
    statistics : of the ghost batch, Q16 of y's unit.
    exponent : of y.

    Returns
    -------
    Values of magnitude 2^46 at most, so that 65536 ghost batches sum inside an int64.
    """
    return Statistics(
        half_up_saturating(statistics.mean, -(exponent + 12), _RUNNING_BITS),
        half_up_saturating(statistics.variance, -(2 * exponent + 12), _RUNNING_BITS),
    )


def running_update(run: Int64, total: Int64, ghost_batches: int, momentum: Fraction) -> Int64:
    """Return running values after a step.

    Parameters
    ----------
    run : running means or variances before, grid 2^-28, magnitude 2^46 at most.
    total : the step's exact sum of contributions over all ghost batches of all ranks.
    ghost_batches : how many, 1 .. 65536.
    momentum : weight of the new value, 0 .. 1.
    """
    weight = half_up_rational(momentum, -16)
    change = (total + ghost_batches // 2) // ghost_batches - run
    # change * weight can reach 2^63; its low 16 bits are the only ones that round.
    return run + (change >> 16) * weight + half_up((change & 0xFFFF) * weight, 16)


def statistics_from_running(mean: Int64, variance: Int64, exponent: int) -> Statistics:
    """Return running values as statistics of y, for evaluation.

    Parameters
    ----------
    mean, variance : running values, grid 2^-28.
    exponent : of y.

    Returns
    -------
    Q16 of y's unit; a mean stops at +-2^40 and a variance at 2^61, far outside what y can hold.
    """
    q_mean = half_up_saturating(mean, exponent + 12, 40)
    q_variance = half_up_saturating(variance, 2 * exponent + 12, 61)
    return Statistics(q_mean, np.maximum(q_variance, 0))
