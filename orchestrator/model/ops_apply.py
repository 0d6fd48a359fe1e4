"""Oracle of an activation as a whole: statistics, coefficients, one pass; and back.

`model.norm` has the coefficients, `model.ops_norm` the passes (docs/numerics.md, section 4).
Tensors are seen as [rows, c], rows = n * h * w.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from orchestrator.dfp import Int16, Int32, absolute_bits
from orchestrator.model.norm import (
    NormBranch,
    Statistics,
    backward_coefficients,
    batch_statistics,
    forward_coefficients,
    normalised,
    plain,
    running_contribution,
    statistics_from_running,
)
from orchestrator.model.ops_conv import accumulate
from orchestrator.model.ops_norm import (
    affine_backward,
    affine_backward_sums,
    affine_forward,
    channel_statistics,
)


class NormSource(NamedTuple):
    """A batch norm's parameters, [c] each, and where its statistics come from or go to."""

    gamma: Int32
    """Exponent -28."""

    beta: Int32
    """Exponent -28."""

    epsilon: Fraction

    statistics: Statistics
    """Grid 2^-28: the running values in evaluation; in training the step's sums, to which the ghost
    batch's statistics are added."""

    running: bool
    """Whether they are the running values."""


class Gradient(NamedTuple):
    """Where the gradient of a gamma or a beta is added."""

    total: Int32
    """[c]."""

    exponent: int | None
    """Of the total; None: it is left alone, and the gradient only measured."""


class Rounded(NamedTuple):
    """What became of a gradient."""

    bits: int | None
    """Absolute bit length of the exact sums; None where all are zero."""

    saturated: int


class Applied(NamedTuple):
    """What became of an activation."""

    exponent: int
    bits: int | None
    """Absolute bit length of its bound; None if nothing is positive, or if it was frozen."""

    saturated: int
    lo: Int32
    """Smallest mantissa per channel."""

    hi: Int32
    """Largest mantissa per channel."""


class Carried(NamedTuple):
    """What became of an error at a branch's sums, and of the gradients of gamma and beta."""

    exponent: int
    saturated: int
    gradients: tuple[Rounded, ...]
    """As given: gamma's and beta's."""


@dataclass(frozen=True, slots=True)
class OracleBranch:
    """What `branch` returns: sums of a convolution on their way into an activation and back."""

    y: Int16
    norm: NormBranch


def branch(
    y: Int16,
    exponent: int,
    norm: NormSource | None,
    extremes: tuple[Int32, Int32] | None = None,
    *,
    frozen: bool = False,
) -> OracleBranch:
    """Return an operand of an activation, ready for `apply_forward`.

    Parameters
    ----------
    y : [rows, c], 16 bits: sums of a convolution, or a stored activation (a shortcut).
    exponent : of y.
    norm : the batch norm behind y, if there is one.
    extremes : smallest and largest mantissa of y per channel, where they are known; None measures
        them.
    frozen : whether the activation's bit length is, so that no bound needs extremes.
    """
    lo, hi = (None, None) if extremes is None else extremes
    if lo is None and not frozen:
        _, _, lo, hi = channel_statistics(y)
    if norm is None:
        return OracleBranch(y, plain(exponent=exponent, lo=lo, hi=hi, channels=y.shape[1]))
    return OracleBranch(
        y,
        normalised(
            exponent=exponent,
            lo=lo,
            hi=hi,
            gamma=norm.gamma,
            beta=norm.beta,
            statistics=_statistics(y, exponent, norm),
            epsilon=norm.epsilon,
        ),
    )


def _statistics(y: Int16, exponent: int, norm: NormSource) -> Statistics:
    if norm.running:
        return statistics_from_running(*norm.statistics, exponent)
    s1, s2, _, _ = channel_statistics(y)
    statistics = batch_statistics(s1, s2, len(y))
    contribution = running_contribution(statistics, exponent)
    for total, value in zip(norm.statistics, contribution, strict=True):
        np.add(total, value, out=total)
    return statistics


def apply_forward(
    main: OracleBranch,
    shortcut: OracleBranch | None,
    relu: bool,
    frozen_bits: int | None,
    out: Int16,
) -> Applied:
    """Write the 13-bit activation of main + shortcut.

    Parameters
    ----------
    main, shortcut : from `branch`.
    relu : whether negative results become 0.
    frozen_bits : the activation's absolute bit length in evaluation; None takes the bound of this
        ghost batch.
    out : [rows, c].
    """
    c = forward_coefficients(
        main.norm, None if shortcut is None else shortcut.norm, relu=relu, frozen_bits=frozen_bits
    )
    z = None if shortcut is None else shortcut.y
    saturated, lo, hi = affine_forward(main.y, c.a, c.b, z, c.r, c.shift, relu, out)
    return Applied(c.exponent, c.bits, saturated, lo, hi)


def apply_backward(
    main: OracleBranch,
    d: Int16,
    exponent: int,
    seed: int,
    e: Int16,
    gradients: tuple[Gradient, ...],
) -> Carried:
    """Write the 13-bit error at a branch's sums; add the gradients of its batch norm.

    Parameters
    ----------
    main : from `branch`, with extremes.
    d : error at the activation [rows, c], 16 bits, masked by the ReLU.
    exponent : of d.
    seed : of the dither.
    e : output [rows, c].
    gradients : gamma's and beta's; empty without batch norm.
    """
    y = None if main.norm.inverse_sigma is None else main.y
    d1, d2, dmax = affine_backward_sums(d, y)
    c = backward_coefficients(
        main.norm, d1=d1, d2=d2, dmax=dmax, rows=len(d), error_exponent=exponent
    )
    rounded = []
    exact_gradients = [g for g in (c.gamma, c.beta) if g is not None]
    for gradient, exact in zip(gradients, exact_gradients, strict=True):
        chosen = gradient.exponent
        shift = None if chosen is None else chosen - exact.exponent
        sums = accumulate(exact.values, shift, gradient.total)
        rounded.append(Rounded(absolute_bits(sums.bits, exact.exponent), sums.saturated))
    saturated = affine_backward(d, y, c.a, c.c, c.p, c.b, c.shift, seed, e)
    return Carried(c.exponent, saturated, tuple(rounded))
