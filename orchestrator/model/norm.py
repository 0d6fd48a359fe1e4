"""Batch norm as integer coefficients: the oracle of `norm.c` (docs/numerics.md, section 4).

A board measures exact sums and extremes per channel; the functions here turn them into the few
integers per channel with which one pass over the tensor applies batch norm, shortcut and ReLU, or
their backward pass. Arrays are [c], one entry per channel. Q16 means sixteen fraction bits.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from orchestrator.dfp import (
    MASTER_EXPONENT,
    Int32,
    Int64,
    Soft,
    epsilon_q16,
    half_up,
    half_up_saturating,
    soft_align,
    soft_bits,
    soft_div_int,
    soft_mul,
    soft_norm,
    soft_power_of_two,
    soft_rsqrt,
    soft_scale,
    soft_to_int,
)
from orchestrator.errors import ArgumentError
from orchestrator.model.statistics import (
    Statistics,
    batch_statistics,
    running_contribution,
    running_update,
    statistics_from_running,
)

__all__ = [
    "BackwardCoefficients",
    "ChannelGradient",
    "ForwardCoefficients",
    "NormBranch",
    "Statistics",
    "backward_coefficients",
    "batch_statistics",
    "forward_coefficients",
    "normalised",
    "plain",
    "running_contribution",
    "running_update",
    "statistics_from_running",
]

COEFFICIENT_LIMIT: Final = 16383
"""Largest magnitude of A, R and C: two products with 16-bit mantissas fit 31 bits."""

OFFSET_LIMIT: Final = 1 << 30
"""Largest value of max|B| + 2^s: with it the whole expression fits an int32."""

_LARGEST_F: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class NormBranch:
    """What is added: a convolution's output y, with or without batch norm, or a stored activation.

    Built by `normalised` or `plain`.
    """

    exponent: int
    """Of y."""

    lo: Int32 | None
    """Smallest mantissa of y per channel; None in evaluation."""

    hi: Int32 | None
    """Largest mantissa of y per channel; None in evaluation."""

    scale: Soft
    """Real output per mantissa of y."""

    mean: Int64
    """Q16 of y's unit; zeros without batch norm."""

    beta: Int64
    """On the masters' grid; zeros without batch norm."""

    inverse_sigma: Soft | None
    """1 / sigma in 1 / (unit of y), for the backward pass; None without batch norm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardCoefficients:
    """What `affine_forward` needs, and what becomes of its output."""

    a: Int32
    b: Int32
    r: Int32 | None
    """None without a shortcut."""

    shift: int
    f: int
    """The exact sums have exponent -f."""

    exponent: int
    """Of the activation: shift - f."""

    bits: int | None
    """Absolute bit length of the bound, for the activation's history; None if nothing is
    positive, or if the bound was frozen."""


class ChannelGradient(NamedTuple):
    """An exact gradient per channel, `values * 2^exponent`, for `accumulate`."""

    values: Int64
    exponent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackwardCoefficients:
    """What `affine_backward` needs, and the gradients of gamma and beta."""

    a: Int32
    c: Int32
    p: int
    b: Int32
    shift: int
    exponent: int
    """Of the error at the convolution's output."""

    gamma: ChannelGradient | None
    """None without batch norm."""

    beta: ChannelGradient | None


def normalised(
    *,
    exponent: int,
    lo: Int32 | None,
    hi: Int32 | None,
    gamma: Int32,
    beta: Int32,
    statistics: Statistics,
    epsilon: Fraction,
) -> NormBranch:
    """Return the branch of a convolution output that goes through batch norm.

    Parameters
    ----------
    exponent, lo, hi : of y; the extremes may be None where the bound is frozen.
    gamma, beta : masters, exponent -28.
    statistics : of this ghost batch, or from running values in evaluation.
    epsilon : added to the variance, in real units.
    """
    variance = statistics.variance + epsilon_q16(epsilon, exponent)
    inverse_sigma = soft_scale(soft_rsqrt(np.minimum(variance, (1 << 62) - 1)), 8)
    return NormBranch(
        exponent=exponent,
        lo=lo,
        hi=hi,
        scale=soft_mul(soft_norm(gamma.astype(np.int64), MASTER_EXPONENT), inverse_sigma),
        mean=statistics.mean,
        beta=beta.astype(np.int64),
        inverse_sigma=inverse_sigma,
    )


def plain(*, exponent: int, lo: Int32 | None, hi: Int32 | None, channels: int) -> NormBranch:
    """Return a convolution's output without batch norm, or an identity shortcut, as a branch."""
    zeros = np.zeros(channels, dtype=np.int64)
    return NormBranch(
        exponent=exponent,
        lo=lo,
        hi=hi,
        scale=soft_power_of_two(exponent, channels),
        mean=zeros,
        beta=zeros,
        inverse_sigma=None,
    )


def forward_coefficients(
    branch: NormBranch,
    shortcut: NormBranch | None,
    *,
    relu: bool,
    frozen_bits: int | None = None,
) -> ForwardCoefficients:
    """Return the integers that apply batch norm, shortcut and ReLU in one pass.

    Parameters
    ----------
    branch, shortcut : what is added; extremes must be there unless `frozen_bits` is given.
    relu : whether negative results become 0.
    frozen_bits : the activation's absolute bit length in evaluation; None takes the bound of this
        ghost batch.
    """
    scales = (branch.scale,) if shortcut is None else (branch.scale, shortcut.scale)
    f = _first_f(*scales)
    while (found := _forward_at(f, branch, shortcut, relu, frozen_bits)) is None:
        f -= 1
    return found


def _forward_at(
    f: int,
    branch: NormBranch,
    shortcut: NormBranch | None,
    relu: bool,
    frozen_bits: int | None,
) -> ForwardCoefficients | None:
    """Return the coefficients with f fraction bits; None if they do not fit."""
    a = soft_to_int(branch.scale, f)
    r = None if shortcut is None else soft_to_int(shortcut.scale, f)
    if not (_coefficients_fit(a) and (r is None or _coefficients_fit(r))):
        return None
    b = _forward_offset(branch, shortcut, a, r, f)
    if frozen_bits is None:
        length = _forward_bound(branch, shortcut, a, r, b, relu).bit_length()
    else:
        length = max(0, frozen_bits + f)
    shift = max(0, length - 12)
    if not _offset_fits(b, shift):
        return None
    return ForwardCoefficients(
        a=a.astype(np.int32),
        b=b.astype(np.int32),
        r=None if r is None else r.astype(np.int32),
        shift=shift,
        f=f,
        exponent=shift - f,
        bits=length - f if length > 0 and frozen_bits is None else None,
    )


def _forward_offset(
    branch: NormBranch, shortcut: NormBranch | None, a: Int64, r: Int64 | None, f: int
) -> Int64:
    """Return B from the rounded A and R; |mean| <= 2^40 and |A|, |R| < 2^14 keep it in int64."""
    beta = branch.beta if shortcut is None else branch.beta + shortcut.beta
    total = half_up_saturating(beta, 12 - f, 55) - branch.mean * a
    if shortcut is not None and r is not None:
        total = total - shortcut.mean * r
    return half_up(total, 16)


def _forward_bound(
    branch: NormBranch,
    shortcut: NormBranch | None,
    a: Int64,
    r: Int64 | None,
    b: Int64,
    relu: bool,
) -> int:
    """Return the largest magnitude the exact sums can take, at least 0."""
    low, high = _product_range(a, branch.lo, branch.hi)
    if shortcut is not None and r is not None:
        shortcut_low, shortcut_high = _product_range(r, shortcut.lo, shortcut.hi)
        low, high = low + shortcut_low, high + shortcut_high
    bound = int((high + b).max())
    if not relu:
        bound = max(bound, -int((low + b).min()))
    return max(bound, 0)


def _product_range(a: Int64, lo: Int32 | None, hi: Int32 | None) -> tuple[Int64, Int64]:
    """Return the smallest and the largest a * y per channel."""
    if lo is None or hi is None:
        raise ArgumentError("a bound needs the extremes of y and of the shortcut, or frozen bits")
    ends = a * lo, a * hi
    return np.minimum(*ends), np.maximum(*ends)


def backward_coefficients(
    branch: NormBranch, *, d1: Int64, d2: Int64, dmax: Int32, rows: int, error_exponent: int
) -> BackwardCoefficients:
    """Return the integers that carry an error back through a branch's batch norm in one pass.

    Parameters
    ----------
    branch : as in the forward pass, with its extremes.
    d1, d2, dmax : exact sums of d and of d * y, and the largest |d|, from `affine_backward_sums`.
    rows : N * H * W, 1 .. 2^24.
    error_exponent : of d, the error at the batch norm's output, masked by the ReLU.
    """
    if branch.inverse_sigma is None:
        return _backward_plain(dmax, error_exponent)
    # Any split of the mean into whole + fraction gives the same d2 about the mean.
    whole, fraction = branch.mean >> 16, branch.mean & 0xFFFF
    centred = soft_norm(d2 - whole * d1 - half_up(fraction * d1, 16), 0)
    inverse_variance = soft_mul(branch.inverse_sigma, branch.inverse_sigma)
    slope = soft_mul(soft_mul(branch.scale, inverse_variance), soft_div_int(centred, rows))
    slope = Soft(-slope.m, slope.e)
    mean_error = ((d1 << 16) + rows // 2) // rows
    f = _first_f(branch.scale, slope)
    while (found := _backward_at(f, branch, slope, mean_error, dmax)) is None:
        f -= 1
    values, exponent = soft_align(soft_mul(centred, branch.inverse_sigma))
    return BackwardCoefficients(
        a=found.a.astype(np.int32),
        c=found.c.astype(np.int32),
        p=found.p,
        b=found.b.astype(np.int32),
        shift=found.shift,
        exponent=error_exponent - branch.exponent - f + found.shift,
        gamma=ChannelGradient(values, exponent + error_exponent),
        beta=ChannelGradient(d1, error_exponent),
    )


class _Backward(NamedTuple):
    a: Int64
    c: Int64
    p: int
    b: Int64
    shift: int


def _backward_at(
    f: int, branch: NormBranch, slope: Soft, mean_error: Int64, dmax: Int32
) -> _Backward | None:
    """Return the coefficients with f fraction bits; None if they do not fit.

    Parameters
    ----------
    f : fraction bits of A.
    branch : as in the forward pass, with its extremes.
    slope : the real value of C.
    mean_error : the mean of d in Q16.
    dmax : the largest |d|.
    """
    a, c0 = soft_to_int(branch.scale, f), soft_to_int(slope, f)
    if not (_coefficients_fit(a) and _coefficients_fit(c0)):
        return None
    c, p = _scaled_slope(slope, c0, f)
    offset = a * mean_error
    b = half_up(-((offset << p) + c * branch.mean), 16 + p)
    bound = np.abs(a) * dmax + ((np.abs(c) * _largest_deviation(branch)) >> p)
    bound += (np.abs(offset) >> 16) + 2
    shift = max(0, int(bound.max()).bit_length() - 12)
    return _Backward(a, c, p, b, shift) if _offset_fits(b, shift) else None


def _backward_plain(dmax: Int32, error_exponent: int) -> BackwardCoefficients:
    """Return the coefficients of a branch without batch norm: only a narrowing to 13 bits."""
    zeros = np.zeros(dmax.size, dtype=np.int32)
    shift = max(0, int(dmax.max()).bit_length() - 12)
    return BackwardCoefficients(
        a=np.ones_like(zeros),
        c=zeros,
        p=0,
        b=zeros,
        shift=shift,
        exponent=error_exponent + shift,
        gamma=None,
        beta=None,
    )


def _scaled_slope(slope: Soft, c0: Int64, f: int) -> tuple[Int64, int]:
    """Return C and the p fraction bits it has below A's, as many as fit, 4 at most."""
    p = min(4, 14 - int(np.abs(c0).max()).bit_length())
    while not _coefficients_fit(c := soft_to_int(slope, f + p)):
        p -= 1
    return c, p


def _largest_deviation(branch: NormBranch) -> Int64:
    """Return a bound of |y - mean| per channel, whole mantissas."""
    if branch.lo is None or branch.hi is None:
        raise ArgumentError("a backward pass needs the extremes of y")
    floor = branch.mean >> 16
    deviation: Int64 = np.maximum(branch.hi - floor, floor + 1 - branch.lo)
    return deviation


def _first_f(*scales: Soft) -> int:
    """Return the largest f worth trying: all values then have at most 14 bits."""
    bits = soft_bits(*scales)
    return _LARGEST_F if bits is None else min(_LARGEST_F, 14 - bits)


def _coefficients_fit(values: Int64) -> bool:
    return int(np.abs(values).max()) <= COEFFICIENT_LIMIT


def _offset_fits(b: Int64, shift: int) -> bool:
    return int(np.abs(b).max()) + (1 << shift) <= OFFSET_LIMIT
