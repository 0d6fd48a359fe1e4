"""Oracle of pools, dropout, scaling and input normalisation (docs/numerics.md, sections 3 and 5).

Legend: x [n, h, w, c] input, y [n, p, q, c] output of a pool.
"""

from collections.abc import Iterator

import numpy as np

from orchestrator.dfp import (
    LIMIT13,
    LIMIT16,
    Int8,
    Int16,
    Int64,
    half_up,
    or_bits,
    round_saturate,
)
from orchestrator.errors import ArgumentError
from orchestrator.model.shapes import DropoutKey, PoolShape, Sums
from orchestrator.philox import DROPOUT, philox4x32

_BELOW_ALL = -(2**15)
"""What max pool sees in the padding: below every mantissa, so that it never wins."""


def max_pool_forward(shape: PoolShape, x: Int16, out: Int16, index: Int8) -> None:
    """Write each window's maximum, and where it lies: `row * ks + column` in the window.

    The first of equal maxima in raster order is taken.

    Raises
    ------
    ArgumentError
        The window has more than 256 places, which an index byte cannot tell apart.
    """
    if shape.kr * shape.ks > 256:
        raise ArgumentError(
            f"max pool kernel {shape.kr} x {shape.ks}: at most 256 elements; use a smaller one"
        )
    padded = _padded(shape, x, _BELOW_ALL)
    best = np.full(shape.y_shape, _BELOW_ALL - 1, dtype=np.int32)
    for place, rows, columns in _places(shape):
        candidate = padded[:, rows, columns]
        better = candidate > best
        best[better] = candidate[better]
        index[better] = place
    out[...] = best


def avg_pool_forward(shape: PoolShape, x: Int16, m: int, q: int, out: Int16) -> None:
    """Write `sat13(half_up(sum * m, q))` of each window; the padding counts as zeros.

    Parameters
    ----------
    shape : the pool's sizes.
    x : 13-bit mantissas.
    m, q : m * 2^-q is the reciprocal of the window's area, from `dfp.mantissa16`.
    out : output.
    """
    padded = _padded(shape, x, 0)
    total = np.zeros(shape.y_shape, dtype=np.int64)
    for _, rows, columns in _places(shape):
        total += padded[:, rows, columns]
    out[...] = round_saturate(total * m, q, LIMIT13)[0]


def window_backward(
    shape: PoolShape,
    d: Int16,
    index: Int8 | None,
    addend: Int16 | None,
    acc_shift: int,
    addend_shift: int,
    mask: Int16 | None,
    shift: int,
    out: Int16,
) -> Sums:
    """Write the error at a pool's input, added to what other consumers contribute.

    Parameters
    ----------
    shape : the pool's sizes.
    d : error at the pool's output [n, p, q, c].
    index : what `max_pool_forward` wrote; None (average) gives d to the whole window.
    addend, acc_shift, addend_shift, mask, shift : as in `conv_input_gradient`.
    out : output [n, h, w, c].
    """
    acc = np.zeros(
        (shape.n, shape.h + 2 * shape.pad, shape.w + 2 * shape.pad, shape.c), dtype=np.int64
    )
    for place, rows, columns in _places(shape):
        acc[:, rows, columns] += d if index is None else np.where(index == place, d, 0)
    inner = acc[:, shape.pad : shape.pad + shape.h, shape.pad : shape.pad + shape.w]
    v = half_up(inner, -acc_shift)
    if addend is not None:
        v = v + half_up(addend.astype(np.int64), -addend_shift)
    if mask is not None:
        v = np.where(mask > 0, v, 0)
    rounded, saturated = round_saturate(v, shift, LIMIT16)
    out[...] = rounded
    return Sums(or_bits(v), saturated)


def scale16(x: Int16, m: int, q: int, limit: int, out: Int16) -> int:
    """Write half_up(x * m, q) clamped to [-limit, limit]; return how many the clamp changed."""
    rounded, saturated = round_saturate(x.astype(np.int64) * m, q, limit)
    out[...] = rounded
    return saturated


def dropout(x: Int16, key: DropoutKey, threshold: int, m: int, limit: int, out: Int16) -> int:
    """Write x with elements dropped and the kept ones scaled: half_up(x * m, 16), clamped.

    The same call on an error is the backward pass.

    Parameters
    ----------
    x : [n, ...], one entry of `key.positions` per sample.
    key : the address of the layer's random words in this epoch.
    threshold : floor(rate * 2^32); an element whose word is below it is dropped.
    m : mantissa of 1 / (1 - rate), from `dfp.mantissa16`.
    limit : 4095 forward, 32767 backward.
    out : of x's shape.

    Returns
    -------
    How many elements the clamp changed.
    """
    per_sample = x[0].size
    words = philox4x32(
        (
            key.positions[:, None],
            np.arange((per_sample + 3) // 4)[None, :],
            key.tensor,
            (DROPOUT << 24) + key.epoch,
        ),
        key.seed,
    )
    keep = words.reshape(x.shape[0], -1)[:, :per_sample].reshape(x.shape) >= threshold
    rounded, saturated = round_saturate(np.where(keep, x, 0).astype(np.int64) * m, 16, limit)
    out[...] = rounded
    return saturated


def normalise(pixels: Int8, table: Int16, out: Int16) -> None:
    """Write the input mantissas of images: `out[n, h, w, c] = table[pixels[n, h, w, c], c]`.

    Parameters
    ----------
    pixels : uint8 [n, h, w, c].
    table : int16 [256, c].
    out : int16 [n, h, w, c].
    """
    out[...] = table[pixels, np.arange(pixels.shape[-1])]


def _padded(shape: PoolShape, x: Int16, value: int) -> Int64:
    margin = ((0, 0), (shape.pad, shape.pad), (shape.pad, shape.pad), (0, 0))
    return np.pad(x.astype(np.int64), margin, constant_values=value)


def _places(shape: PoolShape) -> Iterator[tuple[int, slice, slice]]:
    """Yield each place of a window in raster order, with the padded rows and columns it covers."""
    for i in range(shape.kr):
        for j in range(shape.ks):
            rows = slice(i, i + shape.stride * (shape.p - 1) + 1, shape.stride)
            columns = slice(j, j + shape.stride * (shape.q - 1) + 1, shape.stride)
            yield i * shape.ks + j, rows, columns
