"""Dynamic fixed point: roundings, exponents and soft scalars (docs/numerics.md, sections 1 to 3).

A tensor is an integer array of mantissas times one power of two, `value = m * 2^exponent`.
Everything here is exact integer or rational arithmetic and pure; vectorised functions take and
return int64 arrays, and say which inputs keep them inside int64.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.uint8]
Int16 = NDArray[np.int16]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

LIMIT13: Final = 4095
"""Largest magnitude of a 13-bit mantissa; -4096 never occurs."""

LIMIT16: Final = 32767
"""Largest magnitude of a 16-bit mantissa; -32768 never occurs."""

LIMIT32: Final = 2**31 - 1
"""Largest magnitude of a master weight or a momentum."""

MASTER_EXPONENT: Final = -28
MOMENTUM_EXPONENT: Final = -30
LOGIT_EXPONENT: Final = -10
LOGIT_ERROR_EXPONENT: Final = -12

DELAY_STEPS: Final = 4
"""Steps in the history of a y, d or a."""

GRADIENT_DELAY_STEPS: Final = 16
"""Steps in the history of a gradient."""

_GOLDEN: Final = np.uint64(0x9E3779B9)
_SOFT_BITS: Final = 30
_ONE: Final = np.int64(1)


@overload
def half_up(v: int, s: int) -> int: ...
@overload
def half_up(v: Int64, s: int) -> Int64: ...
def half_up(v: int | Int64, s: int) -> int | Int64:
    """Return v * 2^-s rounded half up: `(v + 2^(s-1)) >> s`, or the exact `v << -s` for s <= 0.

    Written as `(v >> s)` plus the last bit shifted out, which is the same number and cannot
    overflow an int64 for any s > 0. For s <= 0 the caller answers for the range, or takes
    `half_up_saturating`.
    """
    if s > 0:
        return (v >> s) + ((v >> (s - 1)) & 1)
    return v << -s


def half_up_saturating(v: Int64, s: int, bits: int) -> Int64:
    """Return half_up(v, s) of unbounded integers, clamped to +-2^bits (bits <= 62)."""
    limit = 1 << bits
    if s >= 0:
        return np.clip(half_up(v, s), -limit, limit)
    largest = limit >> -s
    shifted = np.clip(v, -largest, largest) << min(-s, 62)
    shifted[v > largest] = limit
    shifted[v < -largest] = -limit
    return shifted


def saturate(v: Int64, limit: int) -> tuple[Int64, int]:
    """Return v clamped to [-limit, limit], and how many elements the clamp changed."""
    clamped = np.clip(v, -limit, limit)
    return clamped, int(np.count_nonzero(clamped != v))


def round_saturate(v: Int64, s: int, limit: int) -> tuple[Int64, int]:
    """Return half_up(v, s) clamped to [-limit, limit], and how many elements the clamp changed.

    The result is that of unbounded integers, also where a left shift would leave int64.
    """
    return saturate(half_up_saturating(v, s, 62), limit)


def half_up_rational(value: Fraction, exponent: int) -> int:
    """Return value * 2^-exponent rounded half up to an integer.

    Examples
    --------
    >>> half_up_rational(Fraction(1, 10), -16)
    6554
    """
    # Integers, because arithmetic of Fractions divides out common factors at every step.
    n, d = value.numerator << max(-exponent, 0), value.denominator << max(exponent, 0)
    return (2 * n + d) // (2 * d)


@lru_cache(maxsize=256)
def mantissa(value: Fraction, bits: int) -> tuple[int, int]:
    """Return (m, e) with m * 2^e nearest to a rational, 2^(bits-1) <= |m| < 2^bits, half up.

    The magnitude is rounded; a negative rational carries its sign in m. Zero is (0, 0).

    Examples
    --------
    >>> mantissa(Fraction(9, 10), 16)
    (58982, -16)
    """
    if value == 0:
        return 0, 0
    magnitude = abs(value)
    n, d = magnitude.numerator, magnitude.denominator
    top = n.bit_length() - d.bit_length()
    # The difference of bit lengths is off by at most one.
    exponent = top - bits + (n << max(-top, 0) >= d << max(top, 0))
    m = half_up_rational(magnitude, exponent)
    if m == 1 << bits:
        m, exponent = m >> 1, exponent + 1
    return (m if value > 0 else -m), exponent


def mantissa16(value: Fraction) -> tuple[int, int]:
    """Return (m, e) with m * 2^e nearest to a rational, 2^15 <= |m| < 2^16; zero is (0, 0)."""
    return mantissa(value, 16)


def dither(count: int, seed: int, shift: int) -> Int64:
    """Return the dither of elements 0 .. count - 1 scaled to a right shift, each in [0, 2^shift).

    Parameters
    ----------
    count : number of elements, in canonical (n, h, w, c) order.
    seed : 32 bits, from `philox.dither_seed`.
    shift : 0 .. 30.
    """
    index = np.arange(count, dtype=np.uint64)
    word = (index * _GOLDEN + np.uint64(seed)) & np.uint64(0xFFFFFFFF)
    u = (word >> np.uint64(16)).astype(np.int64)
    return u >> (16 - shift) if shift <= 16 else u << (shift - 16)


def or_bits(v: Int64) -> int:
    """Return the OR of t ^ (t >> 63) over an array; its bit length is that of the tensor."""
    return int(np.bitwise_or.reduce((v ^ (v >> 63)).ravel(), initial=0))


def absolute_bits(bits: int, exponent: int) -> int | None:
    """Return the absolute bit length of sums whose `or_bits` is given; None for a zero tensor."""
    return bits.bit_length() + exponent if bits else None


def delayed_exponent(history: Sequence[int | None]) -> int | None:
    """Return the exponent that a history of absolute bit lengths gives a 16-bit tensor.

    Parameters
    ----------
    history : one entry per step, the largest over all ghost batches; None where all were zero.

    Returns
    -------
    The largest entry plus a margin, minus 15; None where there is no entry to go by. The margin
    is 3 while fewer than 4 entries are non-zero, then 1.
    """
    known = [bits for bits in history if bits is not None]
    if not known:
        return None
    return max(known) + (3 if len(known) < 4 else 1) - 15


def exact_exponent(bits: int, exponent: int) -> int:
    """Return the exponent of a 16-bit tensor written with its own exact bit length.

    Parameters
    ----------
    bits : `or_bits` of the exact sums.
    exponent : of the sums; a zero tensor takes it unchanged.
    """
    return exponent + bits.bit_length() - 15 if bits else exponent


def frozen_bits(history: Sequence[int | None]) -> int | None:
    """Return the absolute bit length an activation is given in evaluation: the largest plus 1."""
    return max((bits + 1 for bits in history if bits is not None), default=None)


def extend_history(
    history: Sequence[int | None], bits: int | None, steps: int
) -> tuple[int | None, ...]:
    """Return a history with a step's entry added, its last `steps` entries only."""
    return (*history, bits)[-steps:]


def weight_shift(bits: int) -> int:
    """Return k - 12 for masters whose `or_bits` is given; the copy's exponent is that - 28."""
    return bits.bit_length() - 12


class Alignment(NamedTuple):
    """How exact sums and a 16-bit addend are brought to one exponent."""

    exponent: int
    acc_shift: int
    """Left shift of the sums; negative: rounded half up to the right."""

    addend_shift: int
    """Left shift of the addend; negative: rounded half up to the right."""


def align(acc_exponent: int, addend_exponent: int) -> Alignment:
    """Return the common exponent of exact sums (below 2^42) and a 16-bit addend."""
    common = min(acc_exponent, addend_exponent)
    common = max(common, acc_exponent - 20)
    common = max(common, addend_exponent - 44)
    return Alignment(common, acc_exponent - common, addend_exponent - common)


def epsilon_q16(epsilon: Fraction, exponent: int) -> int:
    """Return batch norm's epsilon in Q16 of the squared unit of y, 1 .. 2^60.

    Parameters
    ----------
    epsilon : positive.
    exponent : of y.
    """
    scaled = epsilon * Fraction(2) ** (16 - 2 * exponent)
    return min(max(1, scaled.__floor__()), 1 << 60)


class Soft(NamedTuple):
    """Soft scalars, one per channel: m * 2^e with 2^29 <= |m| < 2^30, or m = e = 0."""

    m: Int64
    e: Int64


def soft_norm(v: Int64, e: Int64 | int) -> Soft:
    """Return v * 2^e rounded half up to 30 bits, |v| <= 2^62."""
    # A float64 may round v up to the next power of two and so shift one place too far: m then
    # comes out as 2^29 instead of being carried there from 2^30, the same number.
    s = np.frexp(v.astype(np.float64))[1].astype(np.int64) - _SOFT_BITS
    left: Int64 = np.maximum(-s, 0)
    right: Int64 = np.maximum(s, 0)
    m = ((v << left) + ((_ONE << right) >> 1)) >> right
    carried = np.abs(m) >> _SOFT_BITS
    m >>= carried
    return Soft(m, np.where(m == 0, 0, e + s + carried))


def soft_power_of_two(exponent: int, count: int) -> Soft:
    """Return `count` soft scalars that are 2^exponent exactly."""
    m = np.full(count, 1 << (_SOFT_BITS - 1), dtype=np.int64)
    return Soft(m, np.full(count, exponent - (_SOFT_BITS - 1), dtype=np.int64))


def soft_scale(a: Soft, exponent: int) -> Soft:
    """Return a * 2^exponent, exactly."""
    return Soft(a.m, np.where(a.m == 0, 0, a.e + exponent))


def soft_mul(a: Soft, b: Soft) -> Soft:
    """Return a * b; the product of the mantissas has 60 bits and is rounded once."""
    return soft_norm(a.m * b.m, a.e + b.e)


def soft_div_int(a: Soft, n: int) -> Soft:
    """Return a / n for 1 <= n < 2^31: 32 more bits, floor division, rounded to 30 bits."""
    return soft_norm((a.m << 32) // n, a.e - 32)


def soft_rsqrt(v: Int64) -> Soft:
    """Return 1 / sqrt(v) for 1 <= v < 2^62, within 2^-28 of it relatively."""
    t = (62 - bit_length(v)) >> 1
    root = integer_sqrt(v << (2 * t))
    return soft_norm((1 << 60) // root, t - 60)


def soft_to_int(a: Soft, f: int) -> Int64:
    """Return a * 2^f rounded half up to an integer, at most 2^40 in magnitude."""
    s = -(a.e + f)
    right = np.clip(s, 0, 62)
    rounded: Int64 = (a.m + ((_ONE << right) >> 1)) >> right
    if int(s.min()) >= 0:
        return rounded
    # |m| >= 2^29: a left shift by 11 already reaches the limit.
    shifted: Int64 = rounded << np.clip(-s, 0, 11)
    return np.clip(shifted, -(1 << 40), 1 << 40)


def soft_bits(*scalars: Soft) -> int | None:
    """Return the largest absolute bit length, 30 + e, of non-zero soft scalars; None without."""
    return max((int(a.e[a.m != 0].max()) + _SOFT_BITS for a in scalars if a.m.any()), default=None)


def soft_align(a: Soft) -> tuple[Int64, int]:
    """Return soft scalars as int64 values on one exponent, the largest minus 16 (0 if all are 0).

    Values stay below 2^46 in magnitude; those with a smaller exponent are rounded half up.
    """
    largest = soft_bits(a)
    if largest is None:
        return np.zeros_like(a.m), 0
    exponent = largest - _SOFT_BITS - 16
    s = exponent - a.e
    right = np.clip(s - 1, 0, 62)
    left = np.clip(-s, 0, 16)
    return np.where(s > 0, ((a.m >> right) + 1) >> 1, a.m << left), exponent


def bit_length(v: Int64) -> Int64:
    """Return the bit length of each element of an array, 0 <= v < 2^63."""
    # A float64 may round v up to the next power of two; one comparison takes that back.
    length: Int64 = np.frexp(v.astype(np.float64))[1].astype(np.int64)
    length -= (length > 0) & ((v >> np.maximum(length - 1, 0)) == 0)
    return length


def integer_sqrt(v: Int64) -> Int64:
    """Return the floor of the square root of each element of an array, 0 <= v < 2^62."""
    root = np.sqrt(v.astype(np.float64)).astype(np.int64)
    root -= root * root > v
    root += (root + 1) * (root + 1) <= v
    return root
