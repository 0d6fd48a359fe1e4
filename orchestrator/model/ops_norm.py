"""Oracle of the passes around batch norm, shortcut and ReLU (docs/numerics.md, section 4).

Tensors are seen as [rows, c], rows = n * h * w. The coefficients come from `model.norm`.
"""

import numpy as np

from orchestrator.dfp import LIMIT13, Int16, Int32, Int64, dither, half_up, saturate


def channel_statistics(y: Int16) -> tuple[Int64, Int64, Int32, Int32]:
    """Return per channel of y [rows, c] the exact sums of y and y^2, the minimum, the maximum."""
    wide = y.astype(np.int64)
    return (
        wide.sum(axis=0),
        (wide * wide).sum(axis=0),
        y.min(axis=0).astype(np.int32),
        y.max(axis=0).astype(np.int32),
    )


def affine_forward(
    y: Int16,
    a: Int32,
    b: Int32,
    z: Int16 | None,
    r: Int32 | None,
    shift: int,
    relu: bool,
    out: Int16,
) -> tuple[int, Int32, Int32]:
    """Write `out = sat13((a*y + r*z + b + half) >> shift)`, negative results 0 under a ReLU.

    Parameters
    ----------
    y : [rows, c], 16 bits.
    a, b : [c].
    z, r : the shortcut [rows, c] and its factor [c]; both or neither None.
    shift : right shift, at least 0.
    relu : whether negative results become 0, before the clamp is counted.
    out : [rows, c].

    Returns
    -------
    How many elements the clamp changed, and the smallest and the largest output per channel.
    """
    total = y.astype(np.int64) * a + b
    if z is not None and r is not None:
        total += z.astype(np.int64) * r
    total = half_up(total, shift)
    if relu:
        total = np.maximum(total, 0)
    clamped, saturated = saturate(total, LIMIT13)
    out[...] = clamped
    return saturated, out.min(axis=0).astype(np.int32), out.max(axis=0).astype(np.int32)


def affine_backward_sums(d: Int16, y: Int16 | None) -> tuple[Int64, Int64, Int32]:
    """Return per channel the exact sums of d and of d * y, and the largest |d|.

    Parameters
    ----------
    d : error [rows, c].
    y : the convolution's output [rows, c]; None (no batch norm) gives zeros for its sum.
    """
    wide = d.astype(np.int64)
    d1: Int64 = wide.sum(axis=0)
    d2: Int64 = np.zeros_like(d1) if y is None else (wide * y).sum(axis=0)
    return d1, d2, np.abs(wide).max(axis=0).astype(np.int32)


def affine_backward(
    d: Int16,
    y: Int16 | None,
    a: Int32,
    c: Int32,
    p: int,
    b: Int32,
    shift: int,
    seed: int,
    e: Int16,
) -> int:
    """Write `e = sat13((a*d + c*((y + 2^(p-1)) >> p) + b + dither) >> shift)`.

    Parameters
    ----------
    d : error at the batch norm's output [rows, c].
    y : the convolution's output [rows, c]; None without batch norm.
    a, c, b : [c].
    p : how far y is rounded before its factor, at least 0.
    shift : right shift, at least 0.
    seed : of the dither.
    e : output [rows, c].

    Returns
    -------
    How many elements the clamp changed.
    """
    total = d.astype(np.int64) * a + b
    if y is not None:
        total += half_up(y.astype(np.int64), p) * c
    total += dither(d.size, seed, shift).reshape(d.shape)
    clamped, saturated = saturate(total >> shift, LIMIT13)
    e[...] = clamped
    return saturated
