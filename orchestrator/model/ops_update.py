"""Oracle of the weights' life: 13-bit copies, norms, the update (docs/numerics.md, section 7)."""

import numpy as np

from orchestrator.dfp import (
    LIMIT16,
    LIMIT32,
    MASTER_EXPONENT,
    MOMENTUM_EXPONENT,
    Int16,
    Int32,
    Int64,
    half_up,
    half_up_saturating,
    or_bits,
    round_saturate,
    saturate,
)

_GRID = -46
_TERM_BITS = 60


def quantise(t: Int32, shift: int, limit: int, out: Int16) -> int:
    """Write half_up(t, shift) clamped to [-limit, limit]; return how many the clamp changed."""
    rounded, saturated = round_saturate(t.astype(np.int64), shift, limit)
    out[...] = rounded
    return saturated


def bits_i32(t: Int32) -> int:
    """Return the OR of v ^ (v >> 31) over a tensor; its bit length is the tensor's."""
    return or_bits(t.astype(np.int64))


def sum_squares(t: Int32, shift: int) -> int:
    """Return the exact sum of squares of half_up(t, shift) clamped to 16 bits."""
    rounded, _ = round_saturate(t.astype(np.int64), shift, LIMIT16)
    return int((rounded * rounded).sum())


def update(
    w: Int32,
    v: Int32,
    g: Int32,
    m: tuple[int, int],
    l: tuple[int, int],  # noqa: E741
    d: tuple[int, int],
    ahead: tuple[int, int] | None,
) -> tuple[int, int]:
    """Update masters and momentum in place: v <- m*v + l*g + d*w, w <- w - v.

    Parameters
    ----------
    w : masters, exponent -28.
    v : momentum, exponent -30.
    g : summed gradient.
    m, l, d : (mantissa, exponent) of the momentum, of the learning rate per sample including g's
        exponent, and of the learning rate times the weight decay.
    ahead : Nesterov's momentum: w moves by ahead*v' + l*g + d*w; None: by v'.

    Returns
    -------
    How many values the clamps of the momentum changed (with Nesterov, of the step too), and how
    many those of the masters.
    """
    pull = _on_grid(g, l, 0) + _on_grid(w, d, MASTER_EXPONENT)
    moved, saturated_v = saturate(half_up(_on_grid(v, m, MOMENTUM_EXPONENT) + pull, 16), LIMIT32)
    v[...] = moved
    step = moved
    if ahead is not None:
        step, clipped = saturate(half_up(_on_grid(v, ahead, MOMENTUM_EXPONENT) + pull, 16), LIMIT32)
        saturated_v += clipped
    weights, saturated_w = saturate(w.astype(np.int64) - half_up(step, 2), LIMIT32)
    w[...] = weights
    return saturated_v, saturated_w


def _on_grid(t: Int32, scalar: tuple[int, int], exponent: int) -> Int64:
    """Return t * scalar on the grid 2^-46, where t has an exponent; it stops at +-2^60."""
    mantissa, scalar_exponent = scalar
    return half_up_saturating(
        t.astype(np.int64) * mantissa, _GRID - exponent - scalar_exponent, _TERM_BITS
    )
